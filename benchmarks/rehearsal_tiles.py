"""Generate tiles like AlphaEarth's, as many as a disk takes: cheap, seamless, and alike every time.

As the product does: 64 bands A00 to A63 of int8 under the square law, -128 where there is none,
stored bottom-up, in folders by year and zone, and no tile where there is only sea. A zone is one
landscape, repeated: few smooth factors, parcels with sharp borders, a coast, and noise of every
pixel.
"""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.transform import Affine
from rasterio.windows import Window

from geoembz.sources.aef import BAND_NAMES
from geoembz.sources.checks import FACTOR, NODATA

BLOCK = 256
_FACTORS = 12
_SMOOTH, _PARCEL = 64, 16
"""Pixels between the knots of the smooth factors, and the side of a parcel; both divide a block."""
_PERIOD = 8
"""Tiles after which a landscape begins again, without a step: to draw is dearer than to copy."""
_DRAWN = "drawn"
_MISSING = 16
"""One tile in so many is missing."""
_COAST = -1.35
"""Where the first smooth factor is below it, there is sea: about a twentieth of the pixels."""
_PIXEL_M = 10
_ORIGINS = {32: (500_000, 5_000_000), 33: (300_000, 5_000_000)}


@dataclass(frozen=True)
class Landscape:
    """`across` x `across` tiles of `side` x `side` px in each zone, less those that are missing.

    Parameters
    ----------
    across
        Tiles from one end of a zone to the other.
    side
        Height and width of a tile, in pixels: a multiple of `BLOCK`.
    seed
        Of all randomness.
    """

    across: int
    side: int
    seed: int = 0

    def tiles(self) -> Iterator[tuple[int, int, int]]:
        """Yield zone, row from the north and column of every tile that there is."""
        for zone in _ORIGINS:
            for number in range(self.across**2):
                if number % _MISSING != _MISSING // 2:
                    yield zone, *divmod(number, self.across)

    def path(self, folder: Path, zone: int, row: int, col: int) -> Path:
        """Return where a tile lies."""
        return folder / "2024" / f"{zone}N" / f"tile-{row:03d}-{col:03d}.tiff"

    def place(self, zone: int) -> tuple[float, float]:
        """Return a point on land in the middle of a zone, in its CRS."""
        left, top = _ORIGINS[zone]
        half = self.across * self.side * _PIXEL_M / 2
        return left + half, top - half


def generate(landscape: Landscape, folder: Path, workers: int) -> int:
    """Write every tile that is not there yet; return how many there are."""
    places = list(landscape.tiles())
    drawn = {_original(place) for place in places}
    with ProcessPoolExecutor(workers) as pool:
        list(pool.map(partial(_draw_tile, landscape, folder), sorted(drawn)))
        list(pool.map(partial(_copy_tile, landscape, folder), places))
    shutil.rmtree(folder / _DRAWN)
    return len(places)


def _original(place: tuple[int, int, int]) -> tuple[int, int, int]:
    zone, row, col = place
    return zone, row % _PERIOD, col % _PERIOD


def _copy_tile(landscape: Landscape, folder: Path, place: tuple[int, int, int]) -> None:
    """Copy a tile of the landscape to where it lies: only its place is another."""
    path = landscape.path(folder, *place)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(f".{os.getpid()}")
    shutil.copyfile(landscape.path(folder / _DRAWN, *_original(place)), partial_path)
    with rasterio.open(partial_path, "r+") as raster:
        raster.transform = _profile(landscape, *place)["transform"]
    partial_path.replace(path)


def _draw_tile(landscape: Landscape, folder: Path, place: tuple[int, int, int]) -> None:
    path = landscape.path(folder / _DRAWN, *place)
    if path.exists():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    partial_path = path.with_suffix(f".{os.getpid()}")
    with rasterio.open(partial_path, "w", **_profile(landscape, *place)) as raster:
        raster.descriptions = BAND_NAMES
        for top in range(0, landscape.side, BLOCK):
            codes = _draw_strip(landscape, place, top)[:, ::-1]
            bottom_up = landscape.side - top - BLOCK
            raster.write(codes, window=Window(0, bottom_up, landscape.side, BLOCK))
    partial_path.replace(path)


def _profile(landscape: Landscape, zone: int, row: int, col: int) -> dict[str, Any]:
    left, top = _ORIGINS[zone]
    extent = landscape.side * _PIXEL_M
    return {
        "driver": "GTiff",
        "dtype": "int8",
        "nodata": int(NODATA),
        "count": len(BAND_NAMES),
        "height": landscape.side,
        "width": landscape.side,
        "crs": f"EPSG:{32600 + zone}",
        "transform": Affine(
            _PIXEL_M, 0, left + col * extent, 0, _PIXEL_M, top - (row + 1) * extent
        ),
        "tiled": True,
        "blockxsize": BLOCK,
        "blockysize": BLOCK,
        "interleave": "pixel",
        "compress": "zstd",
        "zstd_level": 1,
    }


def _draw_strip(landscape: Landscape, place: tuple[int, int, int], top: int) -> NDArray[np.int8]:
    """Return the codes ``(64, BLOCK, side)`` of a row of blocks, from the north."""
    zone, row, col = place
    factors = _smooth_factors(landscape, zone, row * landscape.side + top, col * landscape.side)
    sea = factors[0] < _COAST
    rng = np.random.default_rng([landscape.seed, zone, row, col, top])
    parcels = rng.standard_normal(
        (_FACTORS, BLOCK // _PARCEL, landscape.side // _PARCEL), dtype=np.float32
    )
    factors += 0.6 * parcels.repeat(_PARCEL, axis=1).repeat(_PARCEL, axis=2)
    factors += 0.2 * rng.standard_normal(factors.shape, dtype=np.float32)
    values = np.tensordot(_mixing(landscape.seed), factors, 1)
    bank, shift = _noise(landscape.seed, landscape.side), int(rng.integers(landscape.side))
    for band, noise in enumerate(rng.permutation(len(bank))):
        values[band] += bank[noise, :, shift : shift + landscape.side]
    values *= FACTOR**2 / np.sqrt(np.einsum("kij,kij->ij", values, values))
    codes = np.empty(values.shape, np.int8)
    for band, plane in enumerate(values):
        codes[band] = np.rint(np.copysign(np.sqrt(np.abs(plane)), plane))
    codes[:, sea] = NODATA
    return codes


@cache
def _noise(seed: int, side: int) -> NDArray[np.float32]:
    """Return noise of every pixel and band: drawn once, and shifted and shuffled for each strip."""
    rng = np.random.default_rng([seed, 2])
    noise = rng.standard_normal((len(BAND_NAMES), BLOCK, 2 * side), dtype=np.float32)
    noise *= 0.15
    return noise


@cache
def _mixing(seed: int) -> NDArray[np.float32]:
    """Return what each factor means in the 64 bands: later factors less."""
    rng = np.random.default_rng([seed, 1])
    weights = rng.standard_normal((len(BAND_NAMES), _FACTORS), dtype=np.float32)
    weights *= np.float32(0.85) ** np.arange(_FACTORS, dtype=np.float32)
    return weights


def _smooth_factors(landscape: Landscape, zone: int, row: int, col: int) -> NDArray[np.float32]:
    """Return the smooth factors of a row of blocks: between the knots of the zone, bilinear."""
    knots = _PERIOD * landscape.side // _SMOOTH
    rng = np.random.default_rng([landscape.seed, zone])
    field = rng.standard_normal((_FACTORS, knots, knots), dtype=np.float32)
    n_rows, n_cols = BLOCK // _SMOOTH, landscape.side // _SMOOTH
    top, left = row // _SMOOTH, col // _SMOOTH
    rows, cols = np.arange(top, top + n_rows + 1), np.arange(left, left + n_cols + 1)
    part = field[:, rows % knots][:, :, cols % knots]
    return np.asarray(_weights(n_rows) @ part @ _weights(n_cols).T, np.float32)


def _weights(n_steps: int) -> NDArray[np.float32]:
    """Return how much each knot counts at each pixel, float32 ``(pixels, knots)``."""
    at = np.arange(n_steps * _SMOOTH, dtype=np.float32) / _SMOOTH
    distance = np.abs(at[:, None] - np.arange(n_steps + 1, dtype=np.float32))
    return np.asarray(np.maximum(1 - distance, 0), np.float32)
