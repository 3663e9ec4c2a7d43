"""How large the tiles of a written GeoTIFF are, and the windows that fill them."""

import math

LARGEST_SIDE = 512
"""Side of the largest tile, in pixels."""

_STEP = 16
"""Sides of TIFF tiles are multiples of it."""

_LEAST_ROWS = 16
"""Rows and columns of a window, at least: smaller ones read the same chunks too often."""


def tile_side(shape: tuple[int, int]) -> int:
    """Return the side of tiles that cover a raster with little padding, in pixels.

    A tile is stored whole for each band, so one of 512 pixels for a raster of 24 is 455 times the
    raster: of 2,048 bands that is 2 GB.

    Examples
    --------
    >>> [tile_side(shape) for shape in ((24, 24), (600, 600), (2_000, 3_000), (24, 9_000), (1, 1))]
    [32, 304, 512, 32, 16]
    """
    tiles = math.ceil(max(shape) / LARGEST_SIDE)
    side = min(math.ceil(max(shape) / tiles), *shape)
    return math.ceil(side / _STEP) * _STEP


def draft_side(shape: tuple[int, int], pixel_bytes: int, limit: int) -> int:
    """Return the side of tiles of which all bands of one fit into some bytes, or nearly.

    Parameters
    ----------
    shape
        Of the raster.
    pixel_bytes
        Bytes of one pixel, all bands.
    limit
        Bytes.

    Examples
    --------
    >>> draft_side((2_000, 2_000), 2_048 * 4, 8 * 2**20)
    32
    """
    fitting = math.isqrt(max(limit // pixel_bytes, 1)) // _STEP * _STEP
    return max(min(tile_side(shape), fitting), _STEP)


def window_shape(
    chunk: tuple[int, int], width: int, pixel_bytes: int, limit: int
) -> tuple[int, int]:
    """Return rows and columns that are decoded at once.

    Whole chunks side by side where they fit, else a part of one: then its codes are read once for
    each part.

    Parameters
    ----------
    chunk
        Rows and columns of the store's chunks.
    width
        Columns wanted.
    pixel_bytes
        Bytes of one decoded pixel, all bands.
    limit
        Bytes.

    Examples
    --------
    >>> window_shape((128, 128), 1_000, 64 * 4, 64 * 2**20)
    (128, 1024)
    >>> window_shape((512, 512), 1_000, 2_048 * 4, 64 * 2**20)
    (16, 512)
    """
    rows, cols = chunk
    while rows > _LEAST_ROWS and rows * cols * pixel_bytes > limit:
        rows = math.ceil(rows / 2)
    while cols > _LEAST_ROWS and rows * cols * pixel_bytes > limit:
        cols = math.ceil(cols / 2)
    while cols < width and 2 * rows * cols * pixel_bytes <= limit:
        cols *= 2
    return rows, cols
