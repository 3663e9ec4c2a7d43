"""Read a store: metadata once, then the codes or the vectors of any window."""

from concurrent.futures import Future, wait
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._objects.explain import stage
from geoembz._objects.icechunk import pin
from geoembz._objects.tree import ObjectTree
from geoembz._util.threads import shared_pool, single_threaded_blas, worker_count
from geoembz.encoding import Encoding
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.sources.layers import Layer
from geoembz.store.attributes import Attributes, StoreAttributes
from geoembz.store.chunk_form import ReadArray
from geoembz.store.chunk_reader import reader_of
from geoembz.store.documents import EMBEDDING, VALID, open_codes, plain_document
from geoembz.store.guard import guard_array
from geoembz.store.levels import find_level
from geoembz.store.open import (
    array_of,
    complete_array,
    is_table_store,
    open_array,
    open_group,
    read_encoding,
    read_faults,
    unreplaced,
)
from geoembz.store.packing import is_archive
from geoembz.store.watch import Watch

type View = Literal["original", "reduced", "codes"]

_BAND_PIXELS = 1 << 14
"""Pixels that one thread decodes at a time."""

_PAGE_NUMBERS = 1024
"""float32 numbers in a page of memory."""

MOST_COORDINATES = 2**24
"""Longest axis whose coordinates are made or read at once: the Earth at 2.4 m; 134 MB."""


@dataclass(frozen=True)
class Reader:
    """An open store, of a raster or of a table.

    Parameters
    ----------
    url
        Where it is.
    attributes
        What it says about itself.
    encoding
        Its encoding, with the hash checked.
    group
        The open Zarr group.
    """

    url: str
    attributes: Attributes
    encoding: Encoding
    group: zarr.Group

    @cached_property
    def codes(self) -> zarr.Array[Any]:
        """The codes, with the axis of a store: pixels last, or rows first."""
        return self._complete(EMBEDDING)

    @cached_property
    def mask(self) -> zarr.Array[Any] | None:
        """Validity, without the axis of codes; None where codes say it, or all are valid."""
        return None if self.encoding.nodata is not None else self._complete(VALID)

    @property
    def is_archive(self) -> bool:
        """Whether its chunks are packed to be small, not to be read often."""
        return is_archive(self.codes.metadata.to_dict())

    @cached_property
    def watch(self) -> Watch:
        """Looks whether this store is still the one that was opened."""
        return Watch(self.url, self.group, open_group)

    def length(self, space: View, components: int | None = None, whiten: float = 0.0) -> int:
        """Return the length of a vector in a space."""
        if space == "codes":
            if components is not None or whiten:
                raise InvalidConfigError(
                    f"components={components}, whiten={whiten} with space='codes'; codes are read "
                    "whole: choose 'reduced' or 'original', or slice the component axis"
                )
            return self.encoding.code_length
        return self.encoding.decoder(space, components, whiten).length

    def stored_bytes(self) -> int:
        """Return the size of all objects of the store, in bytes."""
        return sum(ObjectTree(self.url).sizes().values())

    def _complete(self, name: str) -> zarr.Array[Any]:
        """Return an array that the store must have; lost objects of it are errors."""
        array = open_array(self.url, self.group, name)
        return complete_array(self.url, self.group, self.attributes.version, array)

    def _check_shapes(self, codes: tuple[int, ...], mask: tuple[int, ...]) -> None:
        """Refuse arrays that are not what the rest of the store says, before reading them."""
        if self.codes.shape != codes or self.codes.dtype != self.encoding.code_dtype:
            raise StoreError(
                f"{self.url}: {self.codes.path} is {self.codes.dtype} {self.codes.shape}; the "
                f"metadata say {self.encoding.code_dtype} {codes}; the store is damaged"
            )
        if self.mask is not None and self.mask.shape != mask:
            raise StoreError(
                f"{self.url}: {self.mask.path} has shape {self.mask.shape}; expected {mask}; the "
                "store is damaged"
            )


@dataclass(frozen=True)
class StoreReader(Reader):
    """An open store of a raster, at one of its levels; other parameters as of `Reader`.

    Parameters
    ----------
    attributes
        What the store says about itself; grid, pixels and fidelity are those of the level.
    level
        Number of the level: 0 is the full resolution.
    finest
        The reader of the full resolution, of a level below it.
    """

    attributes: StoreAttributes
    level: int = 0
    finest: "StoreReader | None" = field(default=None, repr=False, compare=False)

    @classmethod
    def open(
        cls, url: str | Path, group: zarr.Group | None = None, level: int | None = None
    ) -> "StoreReader":
        """Open a store.

        Parameters
        ----------
        url
            Where it is.
        group
            Its root group, where that is open already: saves a request.
        level
            Number of the level to read; None for the full resolution.

        Raises
        ------
        InvalidConfigError
            If there is no such level.
        StoreError
            If there is no store, an unfinished one, one of another kind, or a damaged one.
        StoreVersionError
            If the store's format version is not one that this geoembz reads.
        """
        url = str(url)
        group = open_group(url) if group is None else group
        url = pin(url, group.store)
        if is_table_store(group):
            raise StoreError(
                f"{url}: a store of a table (geoemb:type 'chip'), not of a raster; it has rows to "
                "select (geoembz.open(…).geoembz.select) and to export to GeoParquet, no pixels"
            )
        attributes = StoreAttributes.from_json(url, group.attrs.asdict())
        encoding = read_encoding(url, group, attributes)
        reader = cls(url, attributes, encoding, group).at_level(level)
        if not reader.level:
            reader.check_arrays()
        reader.watch.check()  # what was read to open it is of one store, too
        return reader

    def at_level(self, level: int | None = None, resolution: float | None = None) -> "StoreReader":
        """Return the reader of one of the store's levels; see `find_level`.

        Parameters
        ----------
        level
            Its number; None for this reader's own.
        resolution
            Instead: the largest side of a pixel, in CRS units.

        Raises
        ------
        InvalidConfigError
            If there is no such level.
        StoreError
            If its arrays are missing or damaged.
        """
        if level is None and resolution is None:
            return self
        full = self.finest or self
        attributes = full.attributes
        number = find_level(self.url, attributes.grid, attributes.levels, level, resolution)
        if number == 0:
            return full
        found = replace(full, attributes=attributes.at_level(number), level=number, finest=full)
        found.check_arrays()
        return found

    @property
    def folder(self) -> str:
        """What stands before the names of the level's arrays."""
        return f"{self.attributes.levels[self.level - 1].path}/" if self.level else ""

    def check_arrays(self) -> None:
        """Refuse arrays that are not what the rest of the store says, before reading them."""
        times = tuple(len(self.dates) for _ in self._at(0))
        shape = (*times, self.encoding.code_length, *self.shape)
        self._check_shapes(shape, (*times, *self.shape))
        for layer in self.attributes.layers:
            self._check_layer(layer, (*times, *self.shape))

    def _check_layer(self, layer: Layer, shape: tuple[int, ...]) -> None:
        array = self.layers[layer.name]
        same = np.array_equal(array.fill_value, layer.fill, equal_nan=layer.is_float)
        if array.shape != shape or array.dtype != layer.dtype or not same:
            raise StoreError(
                f"{self.url}: {array.path} is {array.dtype} {array.shape} with the fill value "
                f"{array.fill_value}; the metadata say {layer.dtype} {shape} with {layer.fill}; "
                "the store is damaged"
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width, in pixels."""
        return self.attributes.grid.shape

    @property
    def dates(self) -> tuple[str, ...]:
        """Dates of the time axis, as ``YYYY-MM-DD``; empty where there is none."""
        return self.attributes.dates

    @cached_property
    def chronological(self) -> tuple[int, ...]:
        """Positions on the time axis from the earliest date to the latest: appends go last."""
        return tuple(sorted(range(len(self.dates)), key=self.dates.__getitem__))

    @cached_property
    def codes(self) -> zarr.Array[Any]:
        """The codes ``([time,] code_length, height, width)`` as an array, in any layout."""
        name = f"{self.folder}{EMBEDDING}"
        if self.attributes.layout == "plain":
            return self._complete(name)
        array = array_of(self.url, self.group, name)
        document = plain_document(array.metadata.to_dict(), self.encoding)
        array = guard_array(open_codes(array.store, document, array.path))
        return complete_array(self.url, self.group, self.attributes.version, array)

    @cached_property
    def mask(self) -> zarr.Array[Any] | None:
        """Validity ``([time,] height, width)``; None where codes say it, or all are valid."""
        if self.encoding.nodata is not None or self.attributes.layout == "codec":
            return None
        return self._complete(f"{self.folder}{VALID}")

    @property
    def has_parts(self) -> bool:
        """Whether the codes of a pixel lie in several objects: prefix chunks without shards."""
        return self.codes.shards is None and self.codes.chunks[-3] < self.codes.shape[-3]

    def check_size(self) -> None:
        """Refuse a raster of which not even the coordinates would fit into memory.

        Raises
        ------
        StoreError
            If a side is longer than `MOST_COORDINATES`.
        """
        if max(self.shape) > MOST_COORDINATES:
            raise StoreError(
                f"{self.url}: a raster of {self.shape[0]} x {self.shape[1]} pixels; expected at "
                f"most {MOST_COORDINATES} each way, so that its coordinates fit into memory; the "
                "store is damaged, or to be cut into several grids"
            )

    @cached_property
    def layers(self) -> dict[str, zarr.Array[Any]]:
        """The arrays of the layers ``([time,] height, width)``, by name; see `Layer`."""
        return {layer.name: self._complete(layer.name) for layer in self.attributes.layers}

    @property
    def stored_chunk(self) -> tuple[int, int]:
        """Rows and columns of one stored object: what is best read at once."""
        shape = self.codes.shards or self.codes.chunks
        return shape[-2], shape[-1]

    def read_codes(self, window: Window, date: int = 0, components: int | None = None) -> Codes:
        """Read the codes of a window at one date, shape ``(length, height, width)``.

        Parameters
        ----------
        window, date
            As in `read`.
        components
            Read no more than these need: less of a store with prefix chunks.
        """
        length = None if components is None else self.encoding.prefix_length(components)
        selection = (*self._at(date), slice(length), *window.slices)
        return self._read(self.codes, self._reads_codes, selection)

    def read_mask(self, window: Window, date: int = 0) -> NDArray[np.bool_] | None:
        """Read the validity of a window at one date, where it is an array of its own."""
        if self.mask is None:
            return None
        return self._read(self.mask, self._reads_mask, (*self._at(date), *window.slices))

    def read_layer(self, name: str, window: Window, date: int = 0) -> NDArray[Any]:
        """Read the stored numbers of a layer, shape ``(height, width)``; see `Layer.decode`.

        Parameters
        ----------
        name
            Of the layer.
        window, date
            As in `read`.

        Raises
        ------
        InvalidConfigError
            If the store has no such layer; levels of overviews have none.
        """
        if name not in self.layers:
            known = ", ".join(self.layers) or "none"
            where = f"{self.url}, level {self.level}," if self.level else self.url
            raise InvalidConfigError(f"layer {name!r}: {where} has {known}; choose one of these")
        selection: tuple[int | slice, ...] = (*self._at(date), *window.slices)
        return self._read(self.layers[name], self._reads_layers[name], selection)

    @cached_property
    def _reads_layers(self) -> dict[str, ReadArray]:
        return {name: reader_of(array) for name, array in self.layers.items()}

    def read_stored(
        self, window: Window, date: int = 0, components: int | None = None
    ) -> tuple[Codes, NDArray[np.bool_] | None]:
        """Read codes and validity of a window at one date, while somebody updates the store, too.

        An update puts codes in their place before the mask that makes them valid, or before those
        of the first components, which do. Read the other way round, a pixel that is valid has its
        codes.

        Parameters
        ----------
        window, date, components
            As in `read_codes`.

        Returns
        -------
        codes
            Shape ``(length, height, width)``.
        valid
            bool, shape ``(height, width)``; None where codes say it, or all are valid.
        """
        mask = self.read_mask(window, date)
        if self.has_parts and self.encoding.nodata is not None:
            mask = ~self.encoding.is_nodata(self.read_codes(window, date, 1)[0])
        return self.read_codes(window, date, components), mask

    @cached_property
    def _reads_codes(self) -> ReadArray:
        return reader_of(self.codes)

    @cached_property
    def _reads_mask(self) -> ReadArray:
        if self.mask is None:
            raise RuntimeError("validity is no array of its own")
        return reader_of(self.mask)

    def _at(self, date: int) -> tuple[int, ...]:
        """Return the index of a date on the time axis; nothing where there is no such axis."""
        return (date,) if self.dates else ()

    @single_threaded_blas()
    def read(
        self,
        window: Window,
        space: Literal["original", "reduced"],
        components: int | None = None,
        whiten: float = 0.0,
        date: int = 0,
    ) -> NDArray[np.float32]:
        """Decode a window to float32 ``(length, height, width)``, invalid pixels NaN.

        Parameters
        ----------
        window
            Pixels to read.
        space
            ``original`` or ``reduced``; see `Encoding.decode`.
        components
            Use only the first so many components.
        whiten
            Weight of the metric in reduced space; see `Encoding.decoder`.
        date
            Position on the time axis, where there is one.
        """
        decoder = self.encoding.decoder(space, components, whiten)
        out = np.empty((decoder.length, window.size), dtype=np.float32)
        bands = range(0, window.size, _BAND_PIXELS)
        claims = _claim(out) if len(bands) > 1 else []
        codes, mask = self.read_stored(window, date, components)
        codes = codes.reshape(len(codes), -1)
        valid = None if mask is None else mask.reshape(-1)

        def decode(start: int) -> None:
            band = slice(start, start + _BAND_PIXELS)
            with stage("decode"):
                decoder.decode(codes[:, band], None if valid is None else valid[band], out[:, band])

        if len(bands) < 2:
            for start in bands:
                decode(start)
        else:
            wait(claims)
            list(shared_pool().map(decode, bands))
        return out.reshape(decoder.length, *window.shape)

    @single_threaded_blas()
    def read_pixels(
        self,
        window: Window,
        pixels: NDArray[np.intp],
        space: View,
        components: int | None = None,
        whiten: float = 0.0,
        date: int = 0,
    ) -> NDArray[Any]:
        """Read a window, and decode only some of its pixels.

        Parameters
        ----------
        window
            Pixels to read.
        pixels
            Which of them to return: ``row * window.width + col`` inside the window.
        space
            ``original``, ``reduced`` or ``codes``.
        components
            Use only the first so many components; not with ``codes``.
        whiten, date
            As in `read`.

        Returns
        -------
        vectors
            Shape ``(length, n)``, invalid pixels NaN, or as the codes say it.
        """
        self.length(space, components, whiten)
        if space == "codes":
            return self.read_codes(window, date).reshape(self.encoding.code_length, -1)[:, pixels]
        codes, mask = self.read_stored(window, date, components)
        codes = codes.reshape(len(codes), -1)[:, pixels]
        valid = None if mask is None else mask.reshape(-1)[pixels]
        with stage("decode"):
            return self.encoding.decoder(space, components, whiten).decode(codes, valid)

    def _read(
        self, array: zarr.Array[Any], read: ReadArray, selection: tuple[int | slice, ...]
    ) -> NDArray[Any]:
        with unreplaced(self.watch), read_faults(self.url, array.path, selection):
            return read(selection)


def _claim(out: NDArray[np.float32]) -> list[Future[None]]:
    """Begin to touch every page of a new array once, each thread its own rows.

    Decoding goes through all rows of one tile after the other: threads would meet in the same huge
    pages, and each would clear them.
    """
    parts = np.array_split(out.reshape(-1), 2 * worker_count())

    def touch(part: NDArray[np.float32]) -> None:
        part[::_PAGE_NUMBERS] = 0.0

    return [shared_pool().submit(touch, part) for part in parts]
