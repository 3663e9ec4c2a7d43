"""Random fields and lines: what a made-up landscape is drawn with."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

type Floats = NDArray[np.float32]
type Mask = NDArray[np.bool_]
type Points = NDArray[np.float64]
"""Rows and columns of points along a line, shape ``(2, n)``, about half a pixel apart."""

_STEP = 0.5


def draw_field(rng: np.random.Generator, size: int, length: float, slope: float) -> Floats:
    """Return a random field (size, size) of unit variance, as rough as things in nature are.

    Amplitudes fall with the frequency to the power of ``-slope`` at wavelengths below `length`
    pixels, and are equal above.
    """
    from scipy import fft

    noise = rng.standard_normal((size, size), dtype=np.float32)
    squared = fft.fftfreq(size)[:, None] ** 2 + fft.rfftfreq(size) ** 2
    gain = (squared * length**2 + 1).astype(np.float32) ** np.float32(-slope / 2)
    field: Floats = fft.irfft2(fft.rfft2(noise) * gain, s=(size, size))
    return standardize(field)


def standardize(field: Floats) -> Floats:
    """Return a field about its mean, in units of its standard deviation."""
    return (field - field.mean()) / (field.std() or np.float32(1))


def draw_meander(
    rng: np.random.Generator,
    start: Points,
    heading: float,
    length: float,
    wavelength: float,
    swing: float = 1.15,
) -> Points:
    """Return a sine-generated curve, as rivers follow; its wavelength and swing (radians) wander.

    `heading` is an angle from east, clockwise on the map, in radians.
    """
    count = max(2, int(length / _STEP))
    sigma = max(1.0, wavelength / _STEP / 2)
    stretch, vigour, drift = (_wander(rng, count, sigma) for _ in range(3))
    phase = np.cumsum(2 * np.pi * _STEP / wavelength * np.exp(0.35 * stretch))
    angle = heading + swing * np.clip(1 + 0.4 * vigour, 0.2, 1.6) * np.sin(phase)
    angle += 0.22 * drift * (1 - np.exp(-np.arange(count) / sigma))
    return start[:, None] + _STEP * np.cumsum([np.sin(angle), np.cos(angle)], axis=1)


def draw_road(rng: np.random.Generator, start: Points, end: Points) -> Points:
    """Return a line between two places that is nearly straight."""
    way = end - start
    count = max(2, int(np.hypot(*way) / _STEP))
    share = np.linspace(0, 1, count)
    sideways = 0.05 * np.sin(np.pi * share) * _wander(rng, count, max(1.0, count / 10))
    normal = np.array([-way[1], way[0]])
    line: Points = start[:, None] + way[:, None] * share + normal[:, None] * sideways
    return line


def _wander(rng: np.random.Generator, count: int, sigma: float) -> NDArray[np.float64]:
    """Return smooth noise of about unit variance along a line."""
    from scipy.ndimage import gaussian_filter1d

    smooth = gaussian_filter1d(rng.standard_normal(count), sigma)
    return np.asarray(smooth * np.sqrt(2 * np.sqrt(np.pi) * sigma))


def within(points: Points, shape: tuple[int, ...]) -> Points:
    """Return the points that lie on an image of a shape."""
    inside = (points >= 0).all(axis=0) & (points < np.array(shape)[:, None]).all(axis=0)
    return points[:, inside]


def paint_line(image: NDArray[Any], points: Points, value: int) -> None:
    """Set the pixels of an image (y, x) in which points lie."""
    rows, cols = within(points, image.shape).astype(int)
    image[rows, cols] = value


def distance_to(points: Points, size: int) -> Floats:
    """Return the distance of every pixel of a square to the nearest of some points, in pixels."""
    from scipy.ndimage import distance_transform_edt

    away = np.ones((size, size), dtype=bool)
    paint_line(away, points, 0)
    if away.all():
        return np.full((size, size), size, dtype=np.float32)
    return np.asarray(distance_transform_edt(away), dtype=np.float32)


def positions(size: int) -> tuple[Floats, Floats]:
    """Return the row and the column of every pixel of a square."""
    steps = np.arange(size, dtype=np.float32)
    rows, cols = np.meshgrid(steps, steps, indexing="ij")
    return rows, cols


def turn(rows: Floats, cols: Floats, angle: float | Floats) -> tuple[Floats, Floats]:
    """Return positions along two axes at right angles of which the first is turned by `angle`."""
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return rows * cosine + cols * sine, cols * cosine - rows * sine
