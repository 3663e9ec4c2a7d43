"""Read a store: metadata once, then the codes or the vectors of any window."""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, Self

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import NodeNotFoundError

from geoembz._geo.grid import Window
from geoembz._objects.names import check_key
from geoembz._objects.tree import ObjectTree
from geoembz._util.threads import shared_pool, single_threaded_blas, worker_count
from geoembz.encoding import Encoding, FitReport
from geoembz.encoding._quantization import Codes
from geoembz.encoding._state import MAX_ARRAY_BYTES, MAX_DIMENSION, check_hash, checked_parts
from geoembz.errors import EncodingError, GeoembzError, InvalidConfigError, StoreError
from geoembz.store.conventions import StoreAttributes, check_version, records_digests
from geoembz.store.digests import DIGESTS
from geoembz.store.documents import EMBEDDING, VALID, open_codes, plain_document
from geoembz.store.guard import guarded
from geoembz.store.journal import Journal
from geoembz.store.local_chunks import LocalChunks
from geoembz.store.lost import loss_checked
from geoembz.store.schema import check_attributes
from geoembz.store.watch import Watch
from geoembz.store.writer import open_zarr_store, store_faults

type View = Literal["original", "reduced", "codes"]

_BAND_PIXELS = 1 << 14
"""Pixels that one thread decodes at a time."""

_PAGE_NUMBERS = 1024
"""float32 numbers in a page of memory."""

_MALFORMED = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(RecursionError, OverflowError, NotImplementedError, AssertionError),
)
"""What zarr-python raises on metadata that are none."""

MOST_COORDINATES = 2**24
"""Longest axis whose coordinates are made or read at once: the Earth at 2.4 m; 134 MB."""


@dataclass(frozen=True)
class StoreReader:
    """An open store.

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
    attributes: StoreAttributes
    encoding: Encoding
    group: zarr.Group

    @classmethod
    def open(cls, url: str, group: zarr.Group | None = None) -> Self:
        """Open a store.

        Parameters
        ----------
        url
            Where it is.
        group
            Its root group, where that is open already: saves a request.

        Raises
        ------
        StoreError
            If there is no store, an unfinished one, one of another kind, or a damaged one.
        StoreVersionError
            If the store's format version is not one that this geoembz reads.
        """
        group = open_group(url) if group is None else group
        if is_table_store(group):
            raise StoreError(
                f"{url}: a store of a table (geoemb:type 'chip'), not of a raster; it has rows to "
                "select (geoembz.open(…).geoembz.select) and to export to GeoParquet, no pixels"
            )
        attributes = StoreAttributes.from_json(url, group.attrs.asdict())
        encoding = read_encoding(url, group, attributes)
        reader = cls(url, attributes, encoding, group)
        reader._check_shapes()
        reader.watch.check()  # what was read to open it is of one store, too
        return reader

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
        if self.attributes.layout == "plain":
            return self._complete(open_array(self.url, self.group, EMBEDDING))
        array = array_of(self.url, self.group, EMBEDDING)
        document = plain_document(array.metadata.to_dict(), self.encoding)
        return self._complete(guarded(open_codes(array.store, document, array.path)))

    @cached_property
    def mask(self) -> zarr.Array[Any] | None:
        """Validity ``([time,] height, width)``; None where codes say it, or all are valid."""
        if self.encoding.nodata is not None or self.attributes.layout == "codec":
            return None
        return self._complete(open_array(self.url, self.group, VALID))

    def _complete(self, array: zarr.Array[Any]) -> zarr.Array[Any]:
        return complete_array(self.url, self.group, self.attributes.version, array)

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

    @property
    def stored_chunk(self) -> tuple[int, int]:
        """Rows and columns of one stored object: what is best read at once."""
        shape = self.codes.shards or self.codes.chunks
        return shape[-2], shape[-1]

    def length(self, space: View, components: int | None = None, whiten: float = 0.0) -> int:
        """Return the length of the first axis in a space."""
        if space == "codes":
            if components is not None or whiten:
                raise InvalidConfigError(
                    f"components={components}, whiten={whiten} with space='codes'; codes are read "
                    "whole: choose 'reduced' or 'original', or slice the component axis"
                )
            return self.encoding.code_length
        return self.encoding.decoder(space, components, whiten).length

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
        return self._read(self.codes, (*self._at(date), slice(length), *window.slices))

    def read_mask(self, window: Window, date: int = 0) -> NDArray[np.bool_] | None:
        """Read the validity of a window at one date, where it is an array of its own."""
        if self.mask is None:
            return None
        return self._read(self.mask, (*self._at(date), *window.slices))

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
        codes = self.read_codes(window, date, components)
        codes = codes.reshape(len(codes), -1)
        mask = self.read_mask(window, date)
        valid = None if mask is None else mask.reshape(-1)

        def decode(start: int) -> None:
            band = slice(start, start + _BAND_PIXELS)
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
        codes = self.read_codes(window, date, components)
        codes = codes.reshape(len(codes), -1)[:, pixels]
        if space == "codes":
            return codes
        mask = self.read_mask(window, date)
        valid = None if mask is None else mask.reshape(-1)[pixels]
        return self.encoding.decoder(space, components, whiten).decode(codes, valid)

    def stored_bytes(self) -> int:
        """Return the size of all objects of the store, in bytes."""
        return sum(ObjectTree(self.url).sizes().values())

    def _read(self, array: zarr.Array[Any], selection: tuple[int | slice, ...]) -> NDArray[Any]:
        with unreplaced(self.watch), read_faults(self.url, array.path, selection):
            local = LocalChunks.of(array)
            return np.asarray(array[selection]) if local is None else local.read(selection)

    @cached_property
    def watch(self) -> Watch:
        """Looks whether this store is still the one that was opened."""
        return Watch(self.url, self.group, open_group)

    def _check_shapes(self) -> None:
        """Refuse arrays that are not what the encoding and the grid say, before reading them."""
        times = tuple(len(self.dates) for _ in self._at(0))
        expected = (*times, self.encoding.code_length, *self.shape)
        if self.codes.shape != expected or self.codes.dtype != self.encoding.code_dtype:
            raise StoreError(
                f"{self.url}: {EMBEDDING} is {self.codes.dtype} {self.codes.shape}; grid and "
                f"encoding say {self.encoding.code_dtype} {expected}; the store is damaged"
            )
        if self.mask is not None and self.mask.shape != (*times, *self.shape):
            raise StoreError(
                f"{self.url}: {VALID} has shape {self.mask.shape}; expected "
                f"{(*times, *self.shape)}; the store is damaged"
            )


@contextmanager
def unreplaced(watch: Watch) -> Iterator[None]:
    """Look after a read, be it done or failed, whether the store is still the one that was opened.

    Raises
    ------
    StoreError
        If it was replaced.
    """
    try:
        yield
    finally:
        watch.check()


@contextmanager
def read_faults(url: str, path: str, selection: object = "all") -> Iterator[None]:
    """Say what is damaged where an object of a store cannot be read: libraries have other errors.

    Parameters
    ----------
    url, path
        The store, and the array or file in it.
    selection
        Which part is read.

    Raises
    ------
    StoreError
        In place of what libraries raise.
    """
    try:
        with store_faults(url, f"GET {path}"):
            yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, GeoembzError):
            raise
        raise StoreError(
            f"{url}: {path} cannot be read at {selection} ({error}); a shard is cut or corrupt: "
            "fetch it again"
        ) from error


def _claim(out: NDArray[np.float32]) -> list[Future[None]]:
    """Begin to touch every page of a new array once, each thread its own rows.

    Decoding goes through all rows of one tile after the other: threads would meet in the same huge
    pages, and each would clear them.
    """
    parts = np.array_split(out.reshape(-1), 2 * worker_count())

    def touch(part: NDArray[np.float32]) -> None:
        part[::_PAGE_NUMBERS] = 0.0

    return [shared_pool().submit(touch, part) for part in parts]


def open_group(url: str) -> zarr.Group:
    """Open a store's root group, its attributes checked against the schema of the format.

    Raises
    ------
    StoreError
        If there is no store, an unfinished one, one of another kind, or a damaged one.
    StoreVersionError
        If its format version is not one that this geoembz reads.
    """
    try:
        with store_faults(url, "GET zarr.json"):
            zarr_store = open_zarr_store(url)
            group = zarr.open_group(zarr_store, mode="r", zarr_format=3)
    except (FileNotFoundError, NodeNotFoundError, NotADirectoryError) as error:
        raise _absent(url, error) from None
    except _MALFORMED as error:
        raise StoreError(f"{url}: not a readable Zarr group ({error})") from error
    _check_names(url, group)
    attributes = group.attrs.asdict()
    check_version(url, attributes)
    check_attributes(url, attributes)
    return group


def _check_names(url: str, group: zarr.Group) -> None:
    """Refuse consolidated metadata whose names lead out of the store."""
    consolidated = group.metadata.consolidated_metadata
    try:
        for name in () if consolidated is None else consolidated.flattened_metadata:
            check_key(name)
    except InvalidConfigError as error:
        raise StoreError(f"{url}: the metadata name a node that is none ({error})") from error


def is_table_store(group: zarr.Group) -> bool:
    """Whether a group is a store of a table of chips, not of a raster."""
    return bool(group.attrs.get("geoemb:type") == "chip")


class Described(Protocol):
    """What every kind of store says about its encoding."""

    @property
    def encoding(self) -> Mapping[str, Any]:
        """JSON part of the encoding."""
        ...

    @property
    def encoding_hash(self) -> str:
        """Hash that it must have."""
        ...

    @property
    def fit(self) -> Mapping[str, Any]:
        """What it was fitted on."""
        ...

    @property
    def band_names(self) -> tuple[str | None, ...]:
        """Names of the components of the original vectors."""
        ...


def read_encoding(url: str, group: zarr.Group, attributes: Described) -> Encoding:
    """Read and check the encoding of a store.

    Raises
    ------
    StoreError
        If it is missing or damaged, or its content has another hash than the metadata say.
    """
    try:
        checked_parts(attributes.encoding)
        report = FitReport.from_json(attributes.fit)
        members = _members(url, group)
        _check_sizes(url, members)
        arrays = _small_arrays(url, members)
        names = attributes.band_names
        encoding = Encoding.from_state(attributes.encoding, arrays, report, names)
        check_hash(url, encoding.hash, attributes.encoding_hash)
    except EncodingError as error:
        raise StoreError(f"{url}: {error}") from error
    return encoding


def _members(url: str, group: zarr.Group) -> list[tuple[str, zarr.Array[Any]]]:
    try:
        return list(group["encoding"].arrays())  # type: ignore[union-attr]
    except _MALFORMED as error:
        raise StoreError(f"{url}: group 'encoding' is missing; the store is damaged") from error


def _check_sizes(url: str, members: list[tuple[str, zarr.Array[Any]]]) -> None:
    """Refuse arrays too large to be believed, before anything is allocated for them."""
    total = sum(array.nbytes for _, array in members)
    longest = max((size for _, array in members for size in array.shape), default=0)
    if total <= MAX_ARRAY_BYTES and longest > MAX_DIMENSION:
        raise StoreError(
            f"{url}: an array of the encoding claims {longest} values along an axis; expected at "
            f"most {MAX_DIMENSION}; the store is damaged"
        )
    if total > MAX_ARRAY_BYTES:
        raise StoreError(
            f"{url}: the arrays of the encoding claim {total} bytes; expected at most "
            f"{MAX_ARRAY_BYTES}; the store is damaged"
        )


def _small_arrays(
    url: str, members: list[tuple[str, zarr.Array[Any]]]
) -> dict[str, NDArray[np.generic]]:
    """Read all arrays; from a server at once, since each waits for an answer."""
    if "://" not in url or not members:
        return {name: _small_array(url, array) for name, array in members}
    with ThreadPoolExecutor(len(members), thread_name_prefix="geoembz-open") as pool:
        values = pool.map(lambda member: _small_array(url, member[1]), members)
        return {name: value for (name, _), value in zip(members, values, strict=True)}


def _small_array(url: str, array: zarr.Array[Any]) -> NDArray[np.generic]:
    try:
        with store_faults(url, f"GET {array.path}"):
            return np.asarray(guarded(array)[...])
    except (ValueError, RuntimeError, OSError) as error:
        raise StoreError(f"{url}: {array.path} cannot be read ({error})") from error


def open_array(url: str, group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array that a store must have, guarded.

    Raises
    ------
    StoreError
        If it has not, or the array claims what cannot be believed.
    """
    return guarded(array_of(url, group, name))


def complete_array(
    url: str, group: zarr.Group, version: str, array: zarr.Array[Any]
) -> zarr.Array[Any]:
    """Return an array of which a lost object is an error, where the store says what it has.

    Parameters
    ----------
    url, group, version
        The store, and the version of its format.
    array
        One of its arrays.
    """
    if not records_digests(version):
        return array
    digests = open_array(url, group, f"{DIGESTS}/{array.path.removeprefix(f'{group.path}/')}")
    return loss_checked(url, array, digests)


def array_of(url: str, group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array that a store must have, to look at its metadata.

    Raises
    ------
    StoreError
        If it has not.
    """
    try:
        member = group.get(name)
    except _MALFORMED as error:
        raise StoreError(f"{url}: {name} is no readable array ({error})") from error
    if not isinstance(member, zarr.Array):
        raise StoreError(f"{url}: array {name!r} is missing; the store is damaged")
    return member


def _absent(url: str, error: Exception) -> StoreError:
    tree = ObjectTree(url)
    if tree.read("zarr.json") is not None:  # it names a node that cannot be
        return StoreError(f"{url}: not a readable Zarr group ({error}); the store is damaged")
    if Journal(tree).has_traces():
        return StoreError(
            f"{url}: an unfinished conversion; repeat its command to finish it, or pass --overwrite"
        )
    return StoreError(f"{url}: no Zarr store; expected one written by `geoembz convert`")
