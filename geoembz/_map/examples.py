"""Examples and counter-examples of what a map is to show: places whose vectors a store has."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._export.sample import sample
from geoembz._util.arrow import pa
from geoembz.errors import InvalidConfigError
from geoembz.sources.features import Features
from geoembz.store import StoreReader

_SHOWN = 5
"""Rows that a message names."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Vectors of what is wanted, and of what is not.

    Parameters
    ----------
    like, unlike
        float32, shape ``(n, dimension)``; there may be no `unlike`.
    """

    like: NDArray[np.float32]
    unlike: NDArray[np.float32]

    @property
    def unlike_or_none(self) -> NDArray[np.float32] | None:
        """The counter-examples; None where there are none."""
        return self.unlike if len(self.unlike) else None

    def to_json(self) -> dict[str, Any]:
        """Return how many there are."""
        return {"like": len(self.like), "unlike": len(self.unlike)}


def gather_examples(
    store: str | Path | StoreReader,
    like: Any,
    unlike: Any,
    examples: Any,
    column: str | None,
    crs: str | None,
    time: str | None,
    level: int | None,
) -> Examples:
    """Take the vectors at examples.

    Parameters
    ----------
    store
        Where from: all its grids.
    like, unlike, examples, column, crs, time, level
        As in `geoembz.map_similar`.

    Raises
    ------
    InvalidConfigError
        If there is no example, or one has no embedding, or the column tells not what is like.
    SourceError
        If no example lies in the store, or a file cannot be read.
    """
    if column is not None and examples is None:
        raise InvalidConfigError(f"column {column!r}: of no file; name the file (--examples)")
    wanted: list[NDArray[np.float32]] = []
    unwanted: list[NDArray[np.float32]] = []
    for places, vectors in ((like, wanted), (unlike, unwanted)):
        if places is not None and len(places):
            vectors.append(_take(store, places, None, crs, time, level)[0])
    if examples is not None:
        found, is_like = _take(store, examples, column, crs, time, level)
        wanted.append(found[is_like])
        unwanted.append(found[~is_like])
    if not sum(map(len, wanted)):
        raise InvalidConfigError(
            "map similar: no example of what is wanted; expected one or more (--like X,Y, or "
            "--examples FILE)"
        )
    none = np.empty((0, wanted[0].shape[1]), np.float32)
    return Examples(np.concatenate(wanted), np.concatenate([none, *unwanted]))


def _take(
    store: str | Path | StoreReader,
    places: Any,
    column: str | None,
    crs: str | None,
    time: str | None,
    level: int | None,
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Return the vectors of places that count, and which of them are like."""
    sampled = sample(store, places, crs=crs, time=time, level=level)
    features = sampled.features
    counts = np.ones(len(features), np.bool_)
    is_like = counts if column is None else _read_column(features, column, counts)
    missing = np.flatnonzero(counts & ~sampled.found)
    if len(missing):
        raise InvalidConfigError(
            f"{features.name}: {features.kind} {missing[:_SHOWN].tolist()} (counted from 0): no "
            "embedding there; choose places with data"
        )
    return np.asarray(sampled.vectors[counts], np.float32), is_like[counts]


def _read_column(features: Features, column: str, counts: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which features are like; of those without a value, say that they do not count."""
    if column not in features.columns.column_names:
        raise InvalidConfigError(
            f"{features.name}: no column {column!r}; it has {', '.join(features.attributes)}"
        )
    values = features.columns[column].combine_chunks()
    kind = values.type
    is_number = pa.types.is_integer(kind) or pa.types.is_floating(kind)
    if not (is_number or pa.types.is_boolean(kind)):
        raise InvalidConfigError(
            f"{features.name}: column {column!r} holds {kind}; expected numbers (above 0: like), "
            "or true and false"
        )
    numbers = np.array([np.nan if v is None else float(v) for v in values.to_pylist()])
    counts &= ~np.isnan(numbers)
    return np.asarray(numbers > 0)
