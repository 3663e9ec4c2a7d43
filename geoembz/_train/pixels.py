"""Labelled pixels of a store, and polygons of them, as samples: their codes are kept in memory."""

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.labels import PixelLabels, find_all_labels, number_grids
from geoembz._evaluate.pixels import gather_codes
from geoembz._evaluate.sample import Rows, find_missing
from geoembz._export.lookup import ViewOptions
from geoembz._train.dense import LabelOptions
from geoembz._train.samples import Samples, check_seed
from geoembz._train.split import (
    blocks_of,
    check_part,
    folds_of,
    in_part,
    place_pixels,
    say_split,
)
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader, View
from geoembz.store.grids import open_readers, shared_encoding

_DEALT = 64
"""Runs of samples that workers get, each some of them."""


@dataclass(frozen=True, eq=False)
class LabelledCodes(Rows):
    """Codes of labelled pixels.

    Parameters
    ----------
    codes
        Shape ``(n, code_length)``.
    labels
        Numbers of classes, int64, or quantities, float32.
    x, y
        Where each lies, in metres.
    features
        Polygon, or other group, of each; -1 of all where there are none.
    """

    codes: NDArray[Any]
    labels: NDArray[Any]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    features: NDArray[np.int64]

    def __len__(self) -> int:
        """Return the number of pixels."""
        return len(self.codes)


@dataclass(frozen=True, eq=False, repr=False)
class _OfPixels(Samples):
    """What pixels and polygons have in common.

    Parameters
    ----------
    rows
        The pixels.
    encoding, view
        What their codes mean, and how vectors are seen.
    options
        Of their labels.
    classes
        What the numbers of labels stand for, in order; None of quantities.
    seed, block_size
        Of the split and of orders; see `geoembz.pixels`.
    """

    rows: LabelledCodes
    encoding: Encoding
    view: ViewOptions
    options: LabelOptions
    classes: NDArray[Any] | None
    seed: int = 0
    block_size: float | None = None

    def __post_init__(self) -> None:
        """Refuse what no generator takes."""
        check_seed(self.seed)

    @property
    def _seed(self) -> int:
        return self.seed

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return np.unique(np.linspace(0, self._count, _DEALT + 1).astype(np.int64))

    @property
    def _kept(self) -> int:
        return _DEALT

    @property
    def _count(self) -> int:
        return len(self.rows)

    @property
    def length(self) -> int:
        """How many numbers a vector has."""
        if self.view.is_codes:
            return self.encoding.code_length
        return self.view.decoder(self.encoding).length

    @property
    def messages(self) -> tuple[str, ...]:
        """What a user should know about how they were found and divided."""
        return self.rows.messages

    def part(self, name: str) -> Self:
        """Return the samples of a part: ``train``, ``val`` or ``test``; see `geoembz.pixels`.

        Raises
        ------
        InvalidConfigError
            If there is no such part, or there are too few groups or blocks.
        """
        check_part(name)
        rows = self.rows
        if self.block_size is None and rows.features[0] >= 0:
            groups, said = rows.features, f"{len(np.unique(rows.features)):,} features"
        else:
            groups, side = blocks_of(*self._homes(), self.block_size)
            said = f"{len(np.unique(groups)):,} blocks of {side:,.0f} m"
        folds = folds_of(groups, None if self.classes is None else rows.labels, self.seed)
        mine = rows.take(in_part(folds, name))
        said = say_split(name, said, self.seed)
        return replace(self, rows=replace(mine, messages=(*rows.messages, said)))

    def _homes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the place whose block each pixel belongs to."""
        return self.rows.x, self.rows.y

    @single_threaded_blas()
    def _decode(self, chosen: NDArray[np.int64] | slice) -> NDArray[Any]:
        """Return vectors of pixels, shape ``(n, length)``."""
        codes = self.rows.codes[chosen]
        if self.view.is_codes:
            return codes
        decoder = self.view.decoder(self.encoding)
        return np.ascontiguousarray(decoder.decode(np.ascontiguousarray(codes.T)).T)

    def to_json(self) -> dict[str, Any]:
        """Return what they are as JSON values."""
        return {
            type(self).__name__.lower(): len(self),
            "length": self.length,
            "space": self.view.space,
            "classes": None if self.classes is None else self.classes.tolist(),
            "left_out": dict(self.rows.exclusions),
            "messages": list(self.messages),
        }

    def _rows(self) -> list[tuple[str, ...]]:
        count = "quantities" if self.classes is None else f"{len(self.classes)} classes"
        rows = [
            (type(self).__name__.lower(), f"{len(self):,}"),
            ("vectors", f"{self.length} numbers, {self.view.space}"),
            ("labels", f"{count} ({self.options.path})"),
        ]
        rows += [("left out", f"{n:,} x {why}") for why, n in self.rows.exclusions.items()]
        return [*rows, *(("note", text) for text in self.messages)]


@dataclass(frozen=True, eq=False, repr=False)
class Pixels(_OfPixels):
    """Labelled pixels of a store; `geoembz.pixels` makes them.

    ``pixels[3]`` is a vector, shape ``(length,)``, and its label; ``pixels[[3, 5]]`` and
    ``pixels[:8]`` are several, stacked: shape ``(n, length)`` and ``(n,)``, as scikit-learn takes
    them.
    """

    def _take(self, numbers: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        return self._decode(numbers), self.rows.labels[numbers]


@dataclass(frozen=True, eq=False, repr=False)
class Polygons(_OfPixels):
    """Labelled polygons of a store; `geoembz.polygons` makes them.

    ``polygons[3]`` is the vectors of all pixels in one, shape ``(n, length)``, and its label;
    several are a list of such, since each has a number of pixels of its own.
    """

    @cached_property
    def _edges(self) -> NDArray[np.int64]:
        """Number of the first pixel of each polygon, and of all pixels; they lie one by one."""
        starts = np.flatnonzero(np.diff(self.rows.features, prepend=-1))
        return np.append(starts, len(self.rows))

    @property
    def _count(self) -> int:
        return len(self._edges) - 1

    def _homes(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the middle of each pixel's polygon."""
        counts = np.diff(self._edges)
        x, y = (
            np.repeat(np.add.reduceat(axis, self._edges[:-1]) / counts, counts)
            for axis in (self.rows.x, self.rows.y)
        )
        return x, y

    def _take(self, numbers: NDArray[np.int64]) -> tuple[list[Any], ...]:
        edges = self._edges
        vectors = [self._decode(slice(edges[n], edges[n + 1])) for n in numbers.tolist()]
        return vectors, list(self.rows.labels[edges[numbers]])

    def __getitem__(self, index: Any) -> Any:
        """Return one polygon, or a list of several; see the class."""
        if isinstance(index, int | np.integer):
            return super().__getitem__(index)
        return self.__getitems__(self._numbers(index))  # type: ignore[arg-type]


def pixels(
    store: str | Path | StoreReader,
    labels: str | Path,
    *,
    column: str | None = None,
    label_nodata: float | None = None,
    groups: str | None = None,
    quantities: bool = False,
    split: str | None = None,
    block_size: float | None = None,
    seed: int = 0,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    time: str | None = None,
    level: int | None = None,
) -> Pixels:
    """Take all labelled pixels of a store for training.

    Their codes are read once, and kept in memory: 64 bytes for each pixel of ``pca64-int8``.

    Parameters
    ----------
    store
        Path, URL or open `StoreReader`; of several grids, all.
    labels
        Points, lines or polygons in a file, or a raster; of a very large one some four million
        pixels are drawn.
    column, label_nodata, quantities
        As in `geoembz.patches`.
    groups
        Attribute (or, for labels in a raster, a raster) of groups, which are never divided; None
        takes each polygon for one.
    split
        Only a part: ``train``, ``val`` or ``test``, three, one and one of five folds, each with
        its share of every class. Groups stay together, or blocks where there are none.
    block_size
        Side of a block, in metres, also where there are groups; None for a tenth of the longer
        side of all labelled pixels.
    seed
        Seed of the split and of all orders.
    space, components, whiten, time, level
        As in `geoembz.patches`.

    Returns
    -------
    pixels
        A sequence; see `Pixels`.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or labels are not what is wanted.
    NoValidPixelsError
        If no labelled pixel holds an embedding.
    SourceError
        If labels cannot be read, or none lies on the store.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "points.zarr", pca=16)
    >>> pixels = geoembz.pixels(tmp_path / "points.zarr", files.labels)
    >>> X, y = pixels[:100]
    >>> X.shape, y.shape
    ((100, 128), (100,))
    """
    options = LabelOptions(labels, column, label_nodata, quantities)
    view = ViewOptions(space, components, whiten)
    made = replace(
        _find(Pixels, store, options, groups, view, time, level), seed=seed, block_size=block_size
    )
    return made if split is None else made.part(split)


def polygons(
    store: str | Path | StoreReader,
    labels: str | Path,
    *,
    column: str | None = None,
    label_nodata: float | None = None,
    quantities: bool = False,
    split: str | None = None,
    block_size: float | None = None,
    seed: int = 0,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    time: str | None = None,
    level: int | None = None,
) -> Polygons:
    """Take the vectors within labelled polygons of a store for training.

    A pixel belongs to the polygon that its centre lies in. One of several polygons with different
    labels belongs to none; where the label is the same, to the first.

    Parameters
    ----------
    store, column, label_nodata, quantities, seed, space, components, whiten, time, level
        As in `geoembz.pixels`.
    labels
        Polygons or lines in a file.
    split
        Only a part: ``train``, ``val`` or ``test``, three, one and one of five folds; a polygon is
        in one part.
    block_size
        Divide by blocks of so many metres: polygons whose middle lies in one stay together.

    Returns
    -------
    polygons
        A sequence, in the order of the file; see `Polygons`.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, labels are not what is wanted, or they are no polygons.
    NoValidPixelsError
        If no pixel in a polygon holds an embedding.
    SourceError
        If labels cannot be read, or none lies on the store.
    StoreError
        If the store cannot be read.
    """
    options = LabelOptions(labels, column, label_nodata, quantities)
    view = ViewOptions(space, components, whiten)
    found = _find(Polygons, store, options, None, view, time, level)
    rows = found.rows
    if rows.features[0] < 0:
        raise InvalidConfigError(
            f"{labels}: points or a raster; expected polygons: take pixels of these "
            "(geoembz.pixels)"
        )
    ordered = rows.take(np.argsort(rows.features, kind="stable"))
    made = replace(found, rows=ordered, seed=seed, block_size=block_size)
    return made if split is None else made.part(split)


def _find[Kind: _OfPixels](
    kind: type[Kind],
    store: str | Path | StoreReader,
    options: LabelOptions,
    groups: str | None,
    view: ViewOptions,
    time: str | None,
    level: int | None,
) -> Kind:
    """Read the codes of labelled pixels; those without an embedding are left out."""
    readers = open_readers(store, level=level)
    encoding = shared_encoding(readers)
    view.length(readers[0])  # refuses what the encoding has not
    grids = [reader.attributes.grid for reader in readers]
    found, tops = find_all_labels(grids, options.path, options.column, groups, options.nodata)
    found = found.without(find_missing(found.labels), "label missing")
    labels, classes = _number(options, found)
    numbers, rows = number_grids(tops, found.rows)
    codes, valid = gather_codes(readers, time, numbers, rows, found.cols)
    features = np.full(len(found), -1)
    if found.groups is not None:
        features = np.unique(found.groups, return_inverse=True)[1]
    places = place_pixels(grids, numbers, rows, found.cols)
    every = LabelledCodes(
        codes, labels, *places, features, exclusions=found.exclusions, messages=found.messages
    )
    kept = every.without(~valid, "labelled pixel without an embedding")
    return kind(kept, encoding, view, options, classes)


def _number(options: LabelOptions, found: PixelLabels) -> tuple[NDArray[Any], NDArray[Any] | None]:
    labels = options.number(found.labels)
    if options.quantities:
        return labels, None
    classes, numbers = np.unique(labels, return_inverse=True)
    return numbers.astype(np.int64), classes
