"""Plain tables of vectors and labels, ``.npz`` or Parquet: the seed article's setting."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.assess.sample import Sample, cleaned
from geoembz.errors import InvalidConfigError, SourceError

_VECTOR_COLUMNS = ("embeddings", "embedding")
_LABEL_COLUMNS = ("labels", "label")
_NUMBERED = re.compile(r"[A-Za-z]+_?\d+")


def read_table(
    path: str | Path, *, label_column: str | None = None, groups: str | None = None
) -> Sample:
    """Read a table of vectors.

    Parameters
    ----------
    path
        An ``.npz`` file with `embeddings` (n, D), `labels` (n,), and optionally `is_train` (bool),
        `groups`, `embeddings_after` (a second date) and `classes` (names of integer labels); or a
        Parquet file with a list column `embedding`, or numbered columns such as ``A00`` … ``A63``.
    label_column
        Column of the labels; ``labels`` or ``label`` where it is not given.
    groups
        Column of what must stay on one side of a split.

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
    if path.suffix == ".npz":
        columns = _read_npz(path)
    elif path.suffix in {".parquet", ".pq", ".geoparquet"}:
        columns = _read_parquet(path)
    else:
        raise InvalidConfigError(
            f"{path}: type {path.suffix!r}; expected a table, .npz or .parquet"
        )
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


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError) as error:
        raise SourceError(
            f"{path}: cannot be read ({error}); expected an .npz file of plain arrays"
        ) from error


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path}: not a Parquet file ({error})") from error
    columns: dict[str, NDArray[Any]] = {}
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_nested(column.type):
            if name in _VECTOR_COLUMNS:
                columns[name] = _stacked(path, name, column)
        else:
            columns[name] = column.to_numpy(zero_copy_only=False)
    numbered = sorted(name for name in columns if _NUMBERED.fullmatch(name))
    if numbered and not set(_VECTOR_COLUMNS) & set(columns):
        columns["embeddings"] = np.stack([columns[name] for name in numbered], axis=1)
    return columns


def _stacked(path: Path, name: str, column: Any) -> NDArray[np.float32]:
    """Return a column of lists of one length as a matrix; a missing list becomes NaN."""
    rows = [None if row is None else np.ravel(row) for row in column.to_pylist()]
    lengths = {len(row) for row in rows if row is not None}
    if len(lengths) != 1:
        raise SourceError(f"{path}: lists in {name!r} have lengths {sorted(lengths)}; expected one")
    empty = np.full(lengths.pop(), np.nan)
    return np.stack([empty if row is None else row for row in rows]).astype(np.float32)


def _vectors(path: Path, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
    name = next((name for name in _VECTOR_COLUMNS if name in columns), None)
    if name is None:
        raise SourceError(
            f"{path}: no vectors among {', '.join(columns)}; expected 'embeddings' of shape (n, D)"
        )
    vectors = columns[name]
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        raise SourceError(
            f"{path}: {name} is {vectors.dtype} {vectors.shape}; expected real numbers (n, D)"
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
