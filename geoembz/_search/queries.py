"""Queries of searches: the vectors at places, joined to one example, and the metric."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export import sample
from geoembz._search.parts import AnyStore
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader, TableReader
from geoembz.store.grids import open_readers


def vectors_at(
    store: AnyStore,
    points: Any,
    *,
    against: Any = None,
    together: bool = False,
    metric: str | None = None,
    crs: str | None = None,
    time: str | None = None,
    level: int | None = None,
) -> NDArray[np.float32]:
    """Return the vectors of a raster store at places, to search for their like.

    Parameters
    ----------
    store
        Path, URL or open `StoreReader`.
    points
        As `sample` takes them, such as ``[(x, y)]``.
    against
        Points whose like is not wanted: the one vector that is returned is the mean of those at
        `points` less the mean of these.
    together
        Return one vector, the mean of those at `points`, also without `against`.
    metric
        What the search compares by, as there: for cosines, vectors count by their direction alone,
        and have length 1 before means are taken.
    crs
        CRS of the points.
    time
        Year or date, of a store that has several.
    level
        Number of the level to take them from; 0 is the full resolution.

    Returns
    -------
    vectors
        float32, shape ``(n, dimension)``; n is 1 with `against` or `together`.

    Raises
    ------
    InvalidConfigError
        If there is no embedding at one of them, or the store is one of a table.

    References
    ----------
    J. J. Rocchio, Relevance feedback in information retrieval (1971).

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "at.zarr", pca=16)
    >>> tile = geoembz.open(tmp_path / "at.zarr")
    >>> place = float(tile.x[5]), float(tile.y[5])
    >>> vectors_at(tmp_path / "at.zarr", [place], crs=tile.attrs["proj:code"]).shape
    (1, 128)
    """
    if isinstance(store, TableReader):
        raise InvalidConfigError(
            f"{store.url}: a table has no pixel at a point; pass vectors, such as those of its rows"
        )
    vectors = _vectors(store, points, crs, time, level)
    if not together and against is None:
        return vectors
    others = None if against is None else _vectors(store, against, crs, time, level)
    return join_examples(vectors, others, choose_metric(metric, store))


def join_examples(
    like: NDArray[np.float32], unlike: NDArray[np.float32] | None, metric: Metric
) -> NDArray[np.float32]:
    """Return one query for what is wanted: the mean of examples, less that of counter-examples.

    Parameters
    ----------
    like, unlike
        Vectors, shape ``(n, dimension)``; None where there are no counter-examples.
    metric
        For cosines, vectors count by their direction alone.

    Returns
    -------
    query
        float32, shape ``(1, dimension)``.

    References
    ----------
    J. J. Rocchio, Relevance feedback in information retrieval (1971).

    Examples
    --------
    >>> join_examples(np.eye(2, dtype=np.float32), None, Metric("dot"))
    array([[0.5, 0.5]], dtype=float32)
    """
    joined = _mean(like, metric)
    if unlike is not None:
        joined = joined - _mean(unlike, metric)
    return joined.astype(np.float32)[np.newaxis]


def choose_metric(metric: str | None, store: str | Path | StoreReader | TableReader) -> Metric:
    """Return the metric that is named, else the one that the store recommends.

    Raises
    ------
    InvalidConfigError
        If there is no such metric.
    """
    if metric is not None:
        return Metric.parse(metric)
    reader = next(iter(open_readers(store))) if isinstance(store, str | Path) else store
    recommended = reader.attributes.metric
    try:
        return Metric.parse(recommended or "cosine")
    except InvalidConfigError as error:
        raise InvalidConfigError(
            f"{reader.url}: recommends {error}; name a metric, or take a newer geoembz"
        ) from error


def _mean(vectors: NDArray[np.float32], metric: Metric) -> NDArray[np.float64]:
    """Return the mean of vectors; where directions are compared, of those alone."""
    wide = vectors.astype(np.float64)
    if metric.name == "cosine":
        lengths = np.linalg.norm(wide, axis=1, keepdims=True)
        wide = wide / np.where(lengths > 0, lengths, 1)
    mean: NDArray[np.float64] = wide.mean(axis=0)
    return mean


def _vectors(
    store: str | Path | StoreReader,
    points: Any,
    crs: str | None,
    time: str | None,
    level: int | None,
) -> NDArray[np.float32]:
    sampled = sample(store, points, crs=crs, time=time, level=level)
    if not sampled.found.all():
        missing = np.flatnonzero(~sampled.found)[:5].tolist()
        raise InvalidConfigError(
            f"points {missing} (counted from 0): no embedding there; choose places with data"
        )
    return np.asarray(sampled.vectors, dtype=np.float32)
