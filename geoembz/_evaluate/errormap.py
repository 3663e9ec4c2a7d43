"""Where a raster loses most: the error of every pixel, or of windows spread over a large raster."""

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.pixels import spread_windows
from geoembz._geo.grid import Window
from geoembz.sources import Source
from geoembz.store import StoreReader

_LARGEST_SIDE = 512
"""Cells along the map's longer side, at most."""

_WHOLE_BYTES = 512 * 2**20
"""A source up to this size is read whole."""


def error_map(source: Source, store: StoreReader) -> NDArray[np.float64]:
    """Return the mean of ``1 - cosine`` in every cell of a grid over the raster, NaN where unknown.

    Parameters
    ----------
    source
        The uncompressed embeddings.
    store
        The store made from them.
    """
    height, width = source.grid.shape
    step = -(-max(height, width) // _LARGEST_SIDE)
    total = np.zeros((-(-height // step), -(-width // step)))
    count = np.zeros_like(total)
    whole = height * width * source.dimension * source.dtype.itemsize <= _WHOLE_BYTES
    for window in spread_windows(source, everything=whole):
        rows, cols, error = _window_error(source, store, window)
        cell = (rows // step, cols // step)
        np.add.at(total, cell, error)
        np.add.at(count, cell, 1)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _window_error(
    source: Source, store: StoreReader, window: Window
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return rows, columns and errors of a window's valid pixels."""
    data = source.read(window)
    with np.errstate(over="ignore"):
        original = data.values.reshape(source.dimension, -1).astype(np.float32)
    decoded = store.read(window, "original").reshape(source.dimension, -1)
    valid = np.isfinite(original).all(axis=0) & np.isfinite(decoded).all(axis=0)
    if data.valid is not None:
        valid &= data.valid.reshape(-1)
    places = np.flatnonzero(valid)
    x, y = original[:, places].astype(np.float64), decoded[:, places].astype(np.float64)
    norms = np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    cosine = np.divide((x * y).sum(axis=0), norms, out=np.zeros(len(places)), where=norms > 0)
    rows, cols = places // window.width + window.row, places % window.width + window.col
    return rows, cols, np.maximum(1.0 - cosine, 0.0)
