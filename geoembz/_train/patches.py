"""Square patches of a store, each once, as NumPy arrays: a dataset that PyTorch takes as it is."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._export.lookup import ViewOptions
from geoembz._export.region import open_regions
from geoembz._geo import BBox
from geoembz._geo.grid import Grid, Window
from geoembz._train.blocks import BlockReader, Content
from geoembz._train.dense import LabelOptions, NumberedLabels, open_labels
from geoembz._train.parts import OpenParts, Part
from geoembz._train.samples import Samples, check_seed, for_many
from geoembz._train.split import (
    blocks_of,
    check_part,
    folds_of,
    in_part,
    place_pixels,
    say_split,
)
from geoembz._train.survey import Places, lay_out, survey
from geoembz._util.memory import allocate
from geoembz._util.options import check_whole
from geoembz._util.threads import single_threaded_blas
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader, View
from geoembz.store.grids import shared_encoding

CACHE_BYTES = 2**28
"""Bytes of codes that a process keeps, by default."""


@dataclass(frozen=True)
class PatchOptions:
    """How patches are taken; see `patches`."""

    size: int
    stride: int
    min_valid: float
    fill: float | None
    mask: bool
    block_size: float | None
    seed: int
    cache_bytes: int

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_whole(size=self.size, stride=self.stride, cache_bytes=self.cache_bytes)
        check_seed(self.seed)
        if self.size < 1 or self.stride < 1:
            raise InvalidConfigError(
                f"patches: size {self.size}, stride {self.stride}; expected 1 pixel or more"
            )
        if not 0 <= self.min_valid <= 1:
            raise InvalidConfigError(f"min_valid {self.min_valid}; expected a share, 0 to 1")
        if self.cache_bytes < 0:
            raise InvalidConfigError(f"cache_bytes {self.cache_bytes}; expected 0 or more")


@dataclass(frozen=True, eq=False, repr=False)
class Patches(Samples):
    """Patches of a store; `geoembz.patches` makes them.

    ``patches[3]`` is one patch, float32 or codes, shape ``(length, size, size)``. With labels it is
    a tuple of the patch and its labels, shape ``(size, size)``; with ``mask=True`` which pixels
    have an embedding, bool, comes last. ``patches[[3, 5]]`` and ``patches[:8]`` are several,
    stacked. Numbers follow the store, block of chunks by block.

    Parameters
    ----------
    options
        How they are taken.
    places
        Where each lies.
    view
        How vectors are seen.
    parts
        The grids of the store.
    labels
        None without labels.
    messages
        What a user should know about how they were chosen.
    """

    options: PatchOptions
    places: Places
    view: ViewOptions
    parts: OpenParts
    labels: NumberedLabels | None = None
    messages: tuple[str, ...] = ()
    _blocks: BlockReader = field(init=False)

    def __post_init__(self) -> None:
        """Prepare to read block by block."""
        blocks = self.places.windows(self.options.size)
        encoding = self.parts.reader(0).encoding
        code_bytes = encoding.code_length * encoding.code_dtype.itemsize
        label_bytes = 1 if self.labels is None else 9
        largest = max(block.window.size for block in blocks) * (code_bytes + label_bytes)
        kept = max(1, self.options.cache_bytes // largest)
        read_labels = None if self.labels is None else self.labels.read
        object.__setattr__(self, "_blocks", BlockReader(self.parts, blocks, read_labels, kept))

    @cached_property
    def _starts(self) -> NDArray[np.int64]:
        return self.places.starts()

    @property
    def _seed(self) -> int:
        return self.options.seed

    @property
    def _kept(self) -> int:
        return self._blocks.kept

    @property
    def classes(self) -> NDArray[Any] | None:
        """What the numbers of labels stand for, in order; None without labels, and of quantities.

        Pixels without a label have -100, and NaN as quantities.
        """
        return None if self.labels is None else self.labels.classes

    @property
    def length(self) -> int:
        """How many numbers a pixel has."""
        return self.view.length(self.parts.reader(0))

    def grid(self, number: int) -> Grid:
        """Return where the pixels of a patch lie: CRS, transform and bounding box."""
        return self.parts.parts[int(self.places.parts[number])].grid.part(self._window(number))

    def part(self, name: str) -> Self:
        """Return the patches of a part: ``train``, ``val`` or ``test``; see `geoembz.patches`.

        Raises
        ------
        InvalidConfigError
            If there is no such part, or there are too few blocks.
        """
        check_part(name)
        folds, reaches_across, blocks = _divide(self)
        mine = in_part(folds, name)
        left_out = mine & reaches_across(name)
        places = self.places.take(mine).without(
            left_out[mine], "patch that reaches into a block of another part"
        )
        if not len(places):
            raise InvalidConfigError(
                f"{self._name}: no patch lies wholly in blocks of part {name!r}; expected larger "
                "blocks (block_size), or a stride that is not below the size"
            )
        said = say_split(name, blocks, self.options.seed)
        return replace(self, places=places, messages=(*self.messages, said))

    @single_threaded_blas()
    def _take(self, numbers: NDArray[np.int64]) -> tuple[NDArray[Any], ...]:
        """Read patches, and return vectors, labels and validity, as far as they are wanted."""
        side, encoding = self.options.size, self.parts.reader(0).encoding
        contents = self._read(numbers)
        dtype = encoding.code_dtype if self.view.is_codes else np.float32
        out = allocate((len(numbers), self.length, side, side), dtype)
        for_many(lambda number: self._decode(contents[number], out[number]), len(numbers))
        parts: list[NDArray[Any]] = [out]
        if self.labels is not None:
            parts.append(self._read_labels(contents))
        if self.options.mask:
            masks = np.ones((len(numbers), side, side), np.bool_)
            for number, content in enumerate(contents):
                masks[number] = True if content.valid is None else content.valid
            parts.append(masks)
        return tuple(parts)

    def _read(self, numbers: NDArray[np.int64]) -> list[Content]:
        """Return what patches hold."""
        blocks = (np.searchsorted(self._starts, numbers, side="right") - 1).tolist()
        count = Counter(blocks)
        return [
            self._blocks.read(block, self._window(number), is_alone=count[block] == 1)
            for block, number in zip(blocks, numbers.tolist(), strict=True)
        ]

    def _decode(self, content: Content, out: NDArray[Any]) -> None:
        codes, valid = content.codes, content.valid
        if self.view.is_codes:
            out[...] = codes
            return
        flat = None if valid is None else valid.reshape(-1)
        decoder = self.view.decoder(self.parts.reader(0).encoding)
        decoder.decode(codes.reshape(len(codes), -1), flat, out.reshape(len(out), -1))
        if self.options.fill is not None and valid is not None:
            out[:, ~valid] = self.options.fill

    def _read_labels(self, contents: Sequence[Content]) -> NDArray[Any]:
        """Return labels: none where there is no embedding to learn from."""
        assert self.labels is not None  # noqa: S101 - asked before
        labels = np.array([content.labels for content in contents])
        for number, content in enumerate(contents):
            if content.valid is not None:
                labels[number][~content.valid] = self.labels.none
        return labels

    def _window(self, number: int) -> Window:
        side = self.options.size
        return Window(int(self.places.rows[number]), int(self.places.cols[number]), side, side)

    @property
    def _name(self) -> str:
        return self.parts.parts[0].url

    def to_json(self) -> dict[str, Any]:
        """Return what they are as JSON values."""
        return {
            "patches": len(self),
            "size": self.options.size,
            "stride": self.options.stride,
            "length": self.length,
            "space": self.view.space,
            "classes": None if self.classes is None else self.classes.tolist(),
            "left_out": dict(self.places.exclusions),
            "messages": list(self.messages),
        }

    def _rows(self) -> list[tuple[str, ...]]:
        size = self.options.size
        rows = [
            ("patches", f"{len(self):,} of {size} x {size} pixels, {self.options.stride} apart"),
            ("vectors", f"{self.length} numbers, {self.view.space}"),
        ]
        if self.labels is not None:
            count = "quantities" if self.classes is None else f"{len(self.classes)} classes"
            rows.append(("labels", f"{count} ({self.labels.options.path})"))
        rows += [("left out", f"{n:,} x {why}") for why, n in self.places.exclusions.items()]
        return [*rows, *(("note", text) for text in self.messages)]


def _divide(
    patches: Patches,
) -> tuple[NDArray[np.int64], Callable[[str], NDArray[np.bool_]], str]:
    """Return each patch's fold, which of them reach into blocks of other parts, and the blocks."""
    places, size = patches.places, patches.options.size
    grids = [part.grid for part in patches.parts.parts]
    corners = [(0, 0), (0, size - 1), (size - 1, 0), (size - 1, size - 1), (size // 2, size // 2)]
    placed = [
        place_pixels(grids, places.parts, places.rows + down, places.cols + across)
        for down, across in corners
    ]
    x, y = (np.concatenate(axis) for axis in zip(*placed, strict=True))
    diagonal = np.hypot(
        *(axis[: len(places)] - axis[-2 * len(places) : -len(places)] for axis in (x, y))
    )
    blocks, side = blocks_of(x, y, patches.options.block_size, float(diagonal.max()))
    homes = blocks[-len(places) :]
    folds = folds_of(homes, None, patches.options.seed)
    fold_of = np.full(blocks.max() + 1, -1)
    fold_of[homes] = folds
    reached = fold_of[blocks.reshape(len(corners), -1)]
    has_overlaps = patches.options.stride < size

    def reach_across(part: str) -> NDArray[np.bool_]:
        if not has_overlaps:
            return np.zeros(len(places), np.bool_)
        return np.asarray((~in_part(reached, part) & (reached >= 0)).any(axis=0))

    return folds, reach_across, f"{len(np.unique(homes)):,} blocks of {side:,.0f} m"


def patches(
    store: str | Path | StoreReader,
    size: int = 64,
    *,
    stride: int | None = None,
    space: View = "original",
    components: int | None = None,
    whiten: float = 0.0,
    labels: str | Path | None = None,
    column: str | None = None,
    label_nodata: float | None = None,
    quantities: bool = False,
    split: str | None = None,
    block_size: float | None = None,
    seed: int = 0,
    min_valid: float = 1.0,
    fill: float | None = None,
    mask: bool = False,
    bbox: BBox | None = None,
    bbox_crs: str | None = None,
    time: str | None = None,
    level: int | None = None,
    cache_bytes: int = CACHE_BYTES,
) -> Patches:
    """Cut a store into square patches for training, with labels if wanted.

    They are laid out from the first row and column of each grid; pixels at its end that make no
    whole patch are left out.

    Parameters
    ----------
    store
        Path, URL or open `StoreReader`; of several grids, all.
    size
        Side of a patch, in pixels.
    stride
        Pixels from one patch to the next; None for `size`, so that none overlap.
    space, components, whiten
        How vectors are seen; see `geoembz.open`.
    labels
        A raster of labels, brought onto the store's pixels by nearest neighbour where it lies on
        others; or points, lines or polygons in a file. A patch without any label is left out.
    column
        Attribute or column of the label; needed where there are several.
    label_nodata
        Label that means none; of a raster the declared one by default.
    quantities
        Whether labels are numbers to predict, float32; otherwise they are classes, numbered from 0
        in the order of `Patches.classes`, int64.
    split
        Only a part: ``train``, ``val`` or ``test``, three, one and one of five folds. Blocks of
        pixels stay together; a patch counts where its centre lies. Where patches overlap, one that
        reaches into a block of another part is left out.
    block_size
        Side of these blocks, in metres; None for a tenth of the longer side of all patches, and no
        less than a patch's diagonal.
    seed
        Seed of the split and of all orders.
    min_valid
        Least share of a patch's pixels that have an embedding. Above 0 they are counted first: the
        codes are read once for that, or the mask alone of a store that has one.
    fill
        Number for vectors of pixels without an embedding; None for NaN.
    mask
        Whether to return which pixels have an embedding, too.
    bbox, bbox_crs
        Only patches inside a box, and its CRS; see `geoembz.export`.
    time, level
        Date, and number of the level.
    cache_bytes
        Bytes of codes that each process keeps in memory, so that shuffled patches of some blocks
        of chunks are read once.

    Returns
    -------
    patches
        A sequence; see `Patches`.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or no patch fits.
    NoValidPixelsError
        If no patch holds enough.
    SourceError
        If labels cannot be read, or none lies on the store.
    StoreError
        If the store cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "train.zarr", pca=16)
    >>> patches = geoembz.patches(tmp_path / "train.zarr", 16, labels=files.labels)
    >>> vectors, labels = patches[0]
    >>> vectors.shape, labels.shape
    ((128, 16, 16), (16, 16))
    """
    step = size if stride is None else stride
    options = PatchOptions(size, step, min_valid, fill, mask, block_size, seed, cache_bytes)
    check_part(split)
    wanted = None if labels is None else LabelOptions(labels, column, label_nodata, quantities)
    regions = open_regions(store, bbox, bbox_crs, time, level=level)
    shared_encoding([region.reader for region in regions])
    view = ViewOptions(space, components, whiten)
    view.length(regions[0].reader)  # refuses what the encoding has not
    parts = OpenParts([Part.of(r) for r in regions], [r.reader for r in regions])
    known = None if wanted is None else open_labels(wanted, [part.grid for part in parts.parts])
    found = survey(regions, lay_out(regions, size, step), size, min_valid, known, wanted)
    if not len(found.places):
        why = ", ".join(f"{count:,} x {text}" for text, count in found.places.exclusions.items())
        raise NoValidPixelsError(
            f"{regions[0].reader.url}: no patch is left (left out: {why}); expected smaller "
            "patches, or a smaller min_valid"
        )
    numbered = None
    if known is not None and wanted is not None:
        numbered = NumberedLabels(known, wanted, found.classes)
    messages = () if known is None else known.messages
    made = Patches(options, found.places, view, parts, numbered, messages)
    return made if split is None else made.part(split)
