"""Make a sample from a source, and, where there are any, labels, a second date and a store."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.labels import PixelLabels, read_labels
from geoembz._evaluate.pixels import (
    codes_reader,
    draw_labelled,
    draw_unlabelled,
    draw_windows,
    gather,
    metres,
    source_reader,
)
from geoembz._evaluate.sample import Sample, cleaned
from geoembz.errors import SourceError
from geoembz.sources import Source, names_of
from geoembz.sources.georeference import describe_grid, same_pixels
from geoembz.sources.wrappers import reorder_bands
from geoembz.store import StoreReader

MOST_CLASSES = 1_000
_SAME_CODES, _FEWEST_SAME_CODES = 0.999, 0.9
WINDOW_SIDE = 32
"""Side of the whole windows that segmentation is tested on, in pixels."""


@dataclass(frozen=True)
class LabelOptions:
    """Where labels come from; see `read_labels`."""

    path: str | Path
    column: str | None = None
    groups: str | None = None
    nodata: float | None = None


def read_sample(
    source: Source,
    *,
    labels: LabelOptions | None = None,
    after: Source | None = None,
    store: StoreReader | None = None,
    n_samples: int,
    whole_windows: bool = False,
    seed: int = 0,
) -> Sample:
    """Draw pixels of a source and read their vectors, labels and codes.

    Parameters
    ----------
    source
        The uncompressed embeddings.
    labels
        Where labels come from; without them pixels are drawn all over the source.
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

    Raises
    ------
    SourceError
        If store, source and second date do not show the same pixels, or labels lie elsewhere.
    InvalidConfigError
        If a label column is missing, or all labels are of one class.
    """
    if store is not None:
        _require_same_grid(source, store)
        source = reorder_bands(source, store.attributes.band_names, store.url)
    if after is not None:
        _require_same_pixels(source, after)
        after = reorder_bands(after, names_of(source), source.name)
    drawn, vectors, valid = _draw(source, labels, n_samples, whole_windows, seed)
    rows, cols = drawn.rows, drawn.cols
    later, codes = None, None
    if after is not None:
        later, known = gather(source_reader(after), after.block_shape, rows, cols)
        valid &= known
    in_store = valid
    if store is not None:
        chunk = (store.codes.chunks[1], store.codes.chunks[2])
        codes, in_store = gather(codes_reader(store), chunk, rows, cols, store.encoding.code_dtype)
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
    sample = cleaned(sample.without(~in_store[valid], "pixel without codes in the store"))
    return sample if store is None else _checked_codes(sample, store)


def _draw(
    source: Source, labels: LabelOptions | None, n: int, whole_windows: bool, seed: int
) -> tuple[PixelLabels, NDArray[np.float32], NDArray[np.bool_]]:
    """Draw pixels; return them with their vectors and whether those are valid."""
    if labels is None:
        rows, cols, vectors = draw_unlabelled(source, n, seed)
        return PixelLabels(rows, cols, rows), vectors, np.ones(len(rows), np.bool_)
    drawn = _draw_labelled(source, labels, n, whole_windows, seed)
    read, block = source_reader(source), source.block_shape
    vectors, valid = gather(read, block, drawn.rows, drawn.cols)
    return drawn, vectors, valid & np.isfinite(vectors).all(axis=1)


def _draw_labelled(
    source: Source, labels: LabelOptions, n: int, whole_windows: bool, seed: int
) -> PixelLabels:
    """Draw labelled pixels."""
    found = read_labels(
        labels.path,
        source.grid,
        column=labels.column,
        groups=labels.groups,
        nodata=labels.nodata,
    )
    if whole_windows:
        return draw_windows(found, n, WINDOW_SIDE, seed)
    kinds = found.labels[: 100 * MOST_CLASSES]
    classes = found.labels.dtype.kind != "f" or len(np.unique(kinds)) <= MOST_CLASSES
    return draw_labelled(found, n, seed, classes=classes)


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


def _checked_codes(sample: Sample, store: StoreReader) -> Sample:
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
    report = store.encoding.report
    fitted = (
        f"the store's encoding was fitted, without labels, on {report.n_samples:,} pixels of its "
        "source, test pixels possibly among them"
    )
    if same < _SAME_CODES:
        return sample.noting(fitted, f"{same:.2%} of the store's codes are those of the source")
    return sample.noting(fitted)
