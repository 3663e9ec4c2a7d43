"""The protocol of a source: a raster of embeddings that can be read window by window.

Adding a product is a name in `PRODUCTS`, its traits and how it is recognised in `detect`, and,
where it has files of its own, a module such as `tessera` that reads them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid, Window
from geoembz.sources.band_names import BandNames
from geoembz.sources.provenance import SourceInfo


@dataclass(frozen=True)
class SourceData:
    """Pixels of one window.

    Parameters
    ----------
    values
        Real numbers of any type, shape ``(dimension, height, width)``, or codes of them: see
        `table` and `scale`. Invalid pixels may hold anything.
    valid
        bool, shape ``(height, width)``: False where the source says that a pixel has no data; None
        where it says nothing. A non-finite component makes a pixel invalid besides: whoever
        encodes finds that on the way, so a source need not look.
    rejected
        How many of the invalid pixels hold something that cannot be right, such as a corrupt scale.
    table
        float32, shape ``(256,)``: `values` are 8-bit codes, and code ``c`` seen as uint8 stands for
        ``table[c]``. None where values are numbers.
    scale
        float32, shape ``(height, width)`` or that of `values`: the numbers are ``values * scale``.
        None where there is nothing to multiply by.
    partial
        How many valid pixels hold the declared nodata value in some components, as numbers.
    """

    values: NDArray[Any]
    valid: NDArray[np.bool_] | None
    rejected: int = 0
    table: NDArray[np.float32] | None = None
    scale: NDArray[np.float32] | None = None
    partial: int = 0

    @property
    def is_coded(self) -> bool:
        """Whether `values` must be decoded to be numbers."""
        return self.table is not None or self.scale is not None

    def pixels(self, index: slice | NDArray[Any]) -> NDArray[np.float32]:
        """Return the numbers of some pixels, float32 ``(dimension, n)``.

        Decoding some pixels at a time keeps what is decoded in cache, and memory small.

        Parameters
        ----------
        index
            A slice, an array of indices or a mask, into the pixels row by row.
        """
        return self._decode(self.values.reshape(len(self.values), -1)[:, index], index)

    def planes(self, index: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return what `pixels` does, in the order in memory that takes the least time."""
        return self._decode(take_columns(self.values.reshape(len(self.values), -1), index), index)

    def _decode(self, chosen: NDArray[Any], index: slice | NDArray[Any]) -> NDArray[np.float32]:
        """Return the numbers that some values stand for, shape ``(dimension, n)``."""
        if self.table is not None:
            return np.take(self.table, chosen.view(np.uint8))
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = chosen.astype(np.float32)
            if self.scale is not None:
                numbers *= self.scale.reshape(*self.scale.shape[:-2], -1)[..., index]
        return numbers

    def complete(self) -> NDArray[np.bool_]:
        """Return which pixels are valid and finite, bool ``(height, width)``."""
        finite: NDArray[np.bool_] = np.isfinite(self.values).all(axis=0)
        return finite if self.valid is None else finite & self.valid

    def decode(self) -> "SourceData":
        """Return the same with numbers for values."""
        if not self.is_coded:
            return self
        numbers = self.pixels(slice(None)).reshape(self.values.shape)
        return SourceData(numbers, self.valid, self.rejected, partial=self.partial)


@dataclass(frozen=True)
class SourceTraits:
    """What is known of a product beyond its numbers.

    Parameters
    ----------
    product
        Name of the product, as ``--product`` spells it.
    model
        URI of the model that made the embeddings, where the product tells.
    license
        Licence of the product, as an SPDX name or URL, where it is known.
    recipe
        The recipe that keeps this product's own codes without loss, where there is one.
    unit_norm
        Whether every complete vector has length 1.
    notes
        What was done to the input that a reader may want to know, one sentence each.
    skipped
        Inputs that were left out, and why: ``(URI, reason)``.
    """

    product: str = "raster"
    model: str | None = None
    license: str | None = None
    recipe: str | None = None
    unit_norm: bool = False
    notes: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = ()

    def over(self, other: "SourceTraits") -> "SourceTraits":
        """Return the same with the notes and the skipped inputs of other traits before its own."""
        notes = dict.fromkeys((*other.notes, *self.notes))
        return replace(
            self, notes=(*notes,), skipped=(*dict.fromkeys((*other.skipped, *self.skipped)),)
        )

    def with_notes(self, *notes: str) -> "SourceTraits":
        """Return the same with more notes."""
        return replace(self, notes=(*self.notes, *notes))


class Described(Protocol):
    """What is known of a raster of embeddings, whoever has its pixels.

    It may have these, too; ask `names_of` and `traits_of`:

    - ``band_names``: one name per component, None where it has none;
    - ``traits``: `SourceTraits`, what is known of its product.
    """

    @property
    def name(self) -> str:
        """What to call this source in messages: the path or URL that was given, no credentials."""
        ...

    @property
    def grid(self) -> Grid:
        """CRS, transform and shape."""
        ...

    @property
    def dimension(self) -> int:
        """Length of one embedding vector."""
        ...

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the numbers as the source stores them."""
        ...

    @property
    def info(self) -> tuple[SourceInfo, ...]:
        """The objects behind this source."""
        ...


class Source(Described, Protocol):
    """A raster of embeddings that can be read.

    One that knows more may have these, too; ask `occupies`, `occupied_window` and
    `geoembz.sources.layer_reading`:

    - ``occupies(window)``: False where a window can hold no valid pixel, without reading it;
    - ``occupied``: a window that all valid pixels lie in;
    - ``layers`` and ``read_layer(name, window)``: numbers of pixels beside the vectors.
    """

    @property
    def block_shape(self) -> tuple[int, int]:
        """Rows and columns read at once: windows aligned to them read no byte twice."""
        ...

    def read(self, window: Window) -> SourceData:
        """Read a window. May be called from several threads at once; the object can be pickled.

        Raises
        ------
        SourceError
            If the window cannot be read (truncated file, lost connection).
        """
        ...


def take_columns(values: NDArray[Any], index: NDArray[np.intp]) -> NDArray[Any]:
    """Return some columns, read in the order in which they lie in memory.

    Indexing goes from pixel to pixel through all components. Where these lie far apart, as in
    band-interleaved files, that takes five times as long as one component after the other.

    Examples
    --------
    >>> take_columns(np.arange(6).reshape(2, 3), np.array([0, 2]))
    array([[0, 2],
           [3, 5]])
    """
    if abs(values.strides[0]) < abs(values.strides[1]):
        return values[:, index]
    return np.take(values, index, axis=1)


def names_of(source: Described) -> BandNames:
    """Return the names of a source's bands: None for each where it says nothing of them."""
    names: BandNames = getattr(source, "band_names", (None,) * source.dimension)
    return names


def traits_of(source: Described) -> SourceTraits:
    """Return what is known of a source's product: nothing, where it says nothing."""
    traits: SourceTraits = getattr(source, "traits", SourceTraits())
    return traits


def place_infos(source: Described) -> tuple[SourceInfo, ...]:
    """Return the objects behind a source, each with the outline of its pixels.

    Those that have none yet lie where the whole source does; those of layers have none, since no
    vector begins or ends there.
    """
    return tuple(
        info if info.bbox or info.layers else replace(info, bbox=source.grid.bbox)
        for info in source.info
    )


def occupies(source: Source, window: Window) -> bool:
    """Whether a window of a source can hold a valid pixel, as far as is known without reading."""
    known = getattr(source, "occupies", None)
    return known is None or bool(known(window))


def occupied_window(source: Source) -> Window:
    """Return a window that all valid pixels of a source lie in, as far as is known."""
    known: Window = getattr(source, "occupied", source.grid.window)
    return known


def common_block(tiles: Sequence[Source], windows: Sequence[Window]) -> tuple[int, int]:
    """Return the tiles' block shape where blocks line up; else one that cuts few tiles often.

    Parameters
    ----------
    tiles
        Sources of one kind.
    windows
        Where each lies on the grid that is read.
    """
    rows, cols = tiles[0].block_shape
    if all(window.row % rows == 0 and window.col % cols == 0 for window in windows):
        return rows, cols
    heights, widths = zip(*(tile.grid.shape for tile in tiles), strict=True)
    # A block that meets several tiles reads a part of each: large ones waste less at the seams.
    return min(max(rows, 128), max(heights)), min(max(cols, 128), max(widths))
