"""Make a sample from a table, or from a source with labels, a second date and a store.

Tables are plain files of vectors and labels, ``.npz``, Parquet or CSV: the seed article's setting.
"""

import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.labels import PixelLabels, choose_column
from geoembz._evaluate.pixels import (
    CodesReader,
    SourceReader,
    draw_labelled,
    draw_unlabelled,
    draw_windows,
    gather,
    metres,
)
from geoembz._evaluate.sample import Sample, clean
from geoembz._util.arrow import pa
from geoembz._work.executors import Workers
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import Source
from geoembz.sources.base import names_of
from geoembz.sources.georeference import describe_grid, same_pixels
from geoembz.sources.inputs import is_table_file
from geoembz.sources.tables import read_vectors
from geoembz.sources.wrappers import reorder_bands
from geoembz.store import StoreReader

MOST_CLASSES = 1_000
"""Labels of floats with more different values than these are quantities, not classes."""

_SAME_CODES, _FEWEST_SAME_CODES = 0.999, 0.9
"""Share of a store's codes that its source gives again: below the first it is said (rounding flips
a few), below the second it is another source."""

WINDOW_SIDE = 32
"""Side of the whole windows that segmentation is tested on, in pixels."""

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
    names = list(columns)
    label = next((name for name in _LABEL_COLUMNS if name in columns), None)
    if label_column is not None:
        label = choose_column(path, names, label_column, "--label-column")
    group = "groups" if "groups" in columns else None
    if groups is not None:
        group = choose_column(path, names, groups, "--groups")
    labels = None if label is None else _name_classes(columns[label], columns.get("classes"))
    is_train, after = columns.get("is_train"), columns.get("embeddings_after")
    return clean(
        Sample(
            vectors=vectors,
            labels=labels,
            groups=None if group is None else columns[group],
            is_train=None if is_train is None else is_train.astype(np.bool_),
            after=None if after is None else after.astype(np.float32),
            name=str(path),
        )
    )


def read_sample(
    source: Source,
    *,
    labels: PixelLabels | None = None,
    after: Source | None = None,
    store: StoreReader | None = None,
    n_samples: int,
    whole_windows: bool = False,
    seed: int = 0,
    pool: Workers | None = None,
) -> Sample:
    """Draw pixels of a source and read their vectors, labels and codes.

    Parameters
    ----------
    source
        The uncompressed embeddings.
    labels
        Labelled pixels to draw from; without them pixels are drawn all over the source.
    after
        The same place at a second date.
    store
        Whose codes to read for the same pixels.
    n_samples
        How many pixels to draw.
    whole_windows
        Draw all labelled pixels of some windows, as segmentation needs.
    seed
        Of the draw.
    pool
        Reads the pixels; None for one thread per core.

    Raises
    ------
    SourceError
        If store, source and second date do not show the same pixels.
    InvalidConfigError
        If all labels are of one class.
    """
    if store is not None:
        _require_same_grid(source, store)
        source = reorder_bands(source, store.attributes.band_names, store.url)
    if after is not None:
        _require_same_pixels(source, after)
        after = reorder_bands(after, names_of(source), source.name)
    drawn, vectors, valid = _draw(source, labels, n_samples, whole_windows, seed, pool)
    rows, cols = drawn.rows, drawn.cols
    later, codes = None, None
    if after is not None:
        later, known = gather(SourceReader(after), after.block_shape, rows, cols, pool=pool)
        valid &= known
    in_store = valid
    if store is not None:
        chunk = (store.codes.chunks[1], store.codes.chunks[2])
        dtype = store.encoding.code_dtype
        codes, in_store = gather(CodesReader(store), chunk, rows, cols, dtype, pool)
    x, y = metres(source.grid, rows, cols)
    sample = Sample(
        vectors=vectors,
        labels=None if labels is None else drawn.labels,
        groups=drawn.groups,
        x=x,
        y=y,
        after=later,
        codes=codes,
        encoding=None if store is None else store.encoding,
        name=source.name,
        exclusions=drawn.exclusions,
        messages=drawn.messages,
    )
    sample = sample.without(~valid, "pixel without an embedding")
    sample = clean(sample.without(~in_store[valid], "pixel without codes in the store"))
    return sample if store is None else _check_codes(sample, store)


def _draw(
    source: Source,
    labels: PixelLabels | None,
    n: int,
    whole_windows: bool,
    seed: int,
    pool: Workers | None,
) -> tuple[PixelLabels, NDArray[np.float32], NDArray[np.bool_]]:
    """Draw pixels; return them with their vectors and whether those are valid."""
    if labels is None:
        rows, cols, vectors = draw_unlabelled(source, n, seed, pool)
        return PixelLabels(rows, cols, rows), vectors, np.ones(len(rows), np.bool_)
    if whole_windows:
        drawn = draw_windows(labels, n, WINDOW_SIDE, seed)
    else:
        kinds = labels.labels[: 100 * MOST_CLASSES]
        classes = labels.labels.dtype.kind != "f" or len(np.unique(kinds)) <= MOST_CLASSES
        drawn = draw_labelled(labels, n, seed, classes=classes)
    read, block = SourceReader(source), source.block_shape
    vectors, valid = gather(read, block, drawn.rows, drawn.cols, pool=pool)
    return drawn, vectors, valid & np.isfinite(vectors).all(axis=1)


def _require_same_grid(source: Source, store: StoreReader) -> None:
    encoding, grid = store.encoding, store.attributes.grid
    if source.dimension != encoding.dimension:
        raise SourceError(
            f"{store.url}: made from vectors of {encoding.dimension} numbers, but {source.name} "
            f"has {source.dimension}; give the source that it was made from"
        )
    if not same_pixels(source.grid, grid):
        raise SourceError(
            f"{store.url}: its grid is {describe_grid(grid)}, but that of {source.name} is "
            f"{describe_grid(source.grid)}; give the source it was made from"
        )


def _require_same_pixels(source: Source, after: Source) -> None:
    if not same_pixels(source.grid, after.grid) or source.dimension != after.dimension:
        raise SourceError(
            f"{after.name}: {after.dimension} numbers on {describe_grid(after.grid)}; expected "
            f"those of {source.name}: {source.dimension} on {describe_grid(source.grid)}"
        )


def _check_codes(sample: Sample, store: StoreReader) -> Sample:
    """Refuse a source whose vectors encode to other codes than the store's."""
    if sample.codes is None:
        return sample
    expected = store.encoding.encode(sample.vectors)
    if expected.dtype.kind == "f":
        same = float(np.isclose(expected, sample.codes, rtol=1e-4, atol=1e-6).mean())
    else:
        same = float((expected == sample.codes).mean())
    if same < _FEWEST_SAME_CODES:
        raise SourceError(
            f"{store.url}: only {same:.1%} of the codes are those of {sample.name}; expected all: "
            "this is not the source that the store was made from (another year or version?)"
        )
    count = store.encoding.report.n_samples
    fitted = f"the store's encoding was fitted, without labels, on {count:,} pixels of its source"
    notes = [f"{fitted}, test pixels possibly among them"]
    if same < _SAME_CODES:
        notes.append(f"{same:.2%} of the store's codes are those of the source")
    return replace(sample, messages=(*sample.messages, *notes))


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


def _name_classes(labels: NDArray[Any], names: NDArray[Any] | None) -> NDArray[Any]:
    """Return class names in place of integer labels, where the table has a name for each."""
    if names is None or labels.dtype.kind not in "iu" or names.dtype.kind not in "US":
        return labels
    if labels.min(initial=0) < 0 or labels.max(initial=0) >= len(names):
        return labels
    return np.asarray(names[labels])
