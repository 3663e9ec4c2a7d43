"""Plain tables of vectors and labels, ``.npz``, Parquet or CSV: the seed article's setting."""

import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz._evaluate.sample import Sample, cleaned
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.inputs import is_table_file
from geoembz.sources.tables import read_vectors

_VECTORS = "embeddings"
_LABEL_COLUMNS = ("labels", "label")


def is_table(path: str | Path) -> bool:
    """Whether a file is a table of vectors, by its name."""
    return Path(path).suffix.lower() == ".npz" or is_table_file(str(path))


def read_table(
    path: str | Path,
    *,
    label_column: str | None = None,
    groups: str | None = None,
    vector: str | None = None,
) -> Sample:
    """Read a table of vectors.

    Parameters
    ----------
    path
        An ``.npz`` file with `embeddings` (n, D), `labels` (n,), and optionally `is_train` (bool),
        `groups`, `embeddings_after` (a second date) and `classes` (names of integer labels); or a
        Parquet or CSV file with its vectors in a column of lists, or in numbered columns such as
        ``A00`` … ``A63``.
    label_column
        Column of the labels; ``labels`` or ``label`` where it is not given.
    groups
        Column of what must stay on one side of a split.
    vector
        Column (or array) of the vectors, or what their numbered columns begin with; needed where
        there is a choice.

    Raises
    ------
    SourceError
        If the file is missing, unreadable, or has no vectors.
    InvalidConfigError
        If a named column is missing, or columns differ in length.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"{path}: no such file; expected a table, .npz or .parquet")
    if not is_table(path):
        raise InvalidConfigError(
            f"{path}: type {path.suffix!r}; expected a table, .npz, Parquet or CSV"
        )
    columns = _read_npz(path, vector) if path.suffix.lower() == ".npz" else _rows(path, vector)
    vectors = _vectors(path, columns)
    label = _chosen(path, columns, label_column, _LABEL_COLUMNS, "--label-column")
    group = _chosen(path, columns, groups, ("groups",), "--groups")
    labels = None if label is None else _named(columns[label], columns.get("classes"))
    is_train, after = columns.get("is_train"), columns.get("embeddings_after")
    return cleaned(
        Sample(
            vectors=vectors,
            labels=labels,
            groups=None if group is None else columns[group],
            is_train=None if is_train is None else is_train.astype(np.bool_),
            after=None if after is None else after.astype(np.float32),
            name=str(path),
        )
    )


def _read_npz(path: Path, vector: str | None) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            found = {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise SourceError(
            f"{path}: cannot be read ({error}); expected an .npz file of plain arrays"
        ) from error
    name = vector or next((name for name in (_VECTORS, "embedding") if name in found), None)
    if vector is not None and vector not in found:
        raise InvalidConfigError(
            f"{path}: --vector {vector!r}: no such array; it has {', '.join(found)}"
        )
    return found if name is None else {**found, _VECTORS: found[name]}


def _rows(path: Path, vector: str | None) -> dict[str, NDArray[Any]]:
    """Return the vectors of a Parquet or CSV file, and its other columns of plain values."""
    vectors, others = read_vectors(str(path), vector)
    columns = {
        name: others[name].to_numpy(zero_copy_only=False)
        for name in others.column_names
        if not pa.types.is_nested(others[name].type)
    }
    return {**columns, _VECTORS: vectors}


def _vectors(path: Path, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    if _VECTORS not in columns:
        raise SourceError(
            f"{path}: no vectors among {', '.join(columns)}; expected 'embeddings' of shape (n, D)"
        )
    vectors = columns[_VECTORS]
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise SourceError(
            f"{path}: {_VECTORS} is {vectors.dtype} {vectors.shape}; expected real numbers (n, D)"
        )
    return vectors.astype(np.float32)


def _chosen(
    path: Path,
    columns: Mapping[str, NDArray[Any]],
    wanted: str | None,
    usual: tuple[str, ...],
    option: str,
) -> str | None:
    if wanted is None:
        return next((name for name in usual if name in columns), None)
    if wanted not in columns:
        raise InvalidConfigError(
            f"{path}: no column {wanted!r}; it has {', '.join(columns)}; name one with {option}"
        )
    return wanted


def _named(labels: NDArray[Any], names: NDArray[Any] | None) -> NDArray[Any]:
    """Return class names in place of integer labels, where the table has a name for each."""
    if names is None or labels.dtype.kind not in "iu" or names.dtype.kind not in "US":
        return labels
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(names):
        return labels
    return np.asarray(names[labels])
