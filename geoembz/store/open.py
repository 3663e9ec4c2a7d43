"""Open a store's groups, arrays and encoding; what they claim is checked before it is read."""

import threading
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.errors import NodeNotFoundError

from geoembz._objects.explain import stage
from geoembz._objects.names import check_key
from geoembz._objects.read_cache import read_cache
from geoembz._objects.tree import ObjectTree
from geoembz._util.threads import for_each
from geoembz.encoding import Encoding, FitReport
from geoembz.encoding._state import MAX_ARRAY_BYTES, MAX_DIMENSION, check_hash, check_parts
from geoembz.errors import EncodingError, GeoembzError, InvalidConfigError, SourceError, StoreError
from geoembz.store.attributes import Attributes
from geoembz.store.conventions import check_version, records_digests
from geoembz.store.digests import DIGESTS
from geoembz.store.guard import guard_array, guard_losses
from geoembz.store.journal import Journal
from geoembz.store.maps import MapDocument, is_tiff, map_object, unlike_store
from geoembz.store.schema import check_attributes
from geoembz.store.watch import Watch
from geoembz.store.writer import open_zarr_store, store_faults

MALFORMED = (
    *(ValueError, TypeError, KeyError, IndexError, AttributeError),
    *(RecursionError, OverflowError, NotImplementedError, AssertionError),
)
"""What zarr-python raises on metadata that are none."""

_KNOWN_ENCODINGS = 8

type _Arrays = dict[str, NDArray[np.generic]]


def open_group(url: str) -> zarr.Group:
    """Open a store's root group, its attributes checked against the schema of the format.

    Raises
    ------
    StoreError
        If there is no store, an unfinished one, one of another kind, or a damaged one.
    StoreVersionError
        If its format version is not one that this geoembz reads.
    """
    group = open_any_group(url)
    attributes = group.attrs.asdict()
    if (about := map_object(attributes)) is not None:
        raise unlike_store(url, about)
    check_version(url, attributes)
    check_attributes(url, attributes)
    return group


def open_any_group(url: str) -> zarr.Group:
    """Open a Zarr group: of a store, of a map, or of something else.

    Raises
    ------
    StoreError
        If there is none, or a conversion that is not finished.
    """
    try:
        with stage("open"), store_faults(url, "GET zarr.json"):
            zarr_store = open_zarr_store(url)
            group = zarr.open_group(zarr_store, mode="r", zarr_format=3)
    except (FileNotFoundError, NodeNotFoundError, NotADirectoryError) as error:
        raise _absent(url, error) from None
    except MALFORMED as error:
        raise StoreError(f"{url}: not a readable Zarr group ({error})") from error
    _check_names(url, group)
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


def read_encoding(url: str, group: zarr.Group, attributes: Attributes) -> Encoding:
    """Read and check the encoding of a store.

    Raises
    ------
    StoreError
        If it is missing or damaged, or its content has another hash than the metadata say.
    """
    try:
        check_parts(attributes.encoding)
        report = FitReport.from_json(attributes.fit)
        with stage("open"):
            members = _members(url, group)
        _check_sizes(url, members)
        digest = attributes.encoding_hash
        # Without digests of its objects `verify` would not see that a store's own are damaged.
        is_shared = "://" in url and records_digests(attributes.version)
        arrays = (_known.find(digest) if is_shared else None) or _small_arrays(url, members)
        encoding = Encoding.from_state(attributes.encoding, arrays, report, attributes.band_names)
        check_hash(url, encoding.hash, digest)
    except EncodingError as error:
        raise StoreError(f"{url}: {error}") from error
    if is_shared:
        _known.keep(digest, arrays)
    return encoding


class _KnownArrays:
    """The arrays of the encodings that were read last of servers, by their hash.

    The grids of a mosaic, and what opens a store twice, have the same encoding: its arrays are most
    of the requests that opening takes.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._arrays: OrderedDict[str, _Arrays] = OrderedDict()

    def find(self, digest: str) -> _Arrays | None:
        """Return the arrays of an encoding; None where they have to be read."""
        with self._lock:
            found = self._arrays.get(digest)
        return self._find_cached(digest) if found is None else found

    def keep(self, digest: str, arrays: _Arrays) -> None:
        """Keep arrays whose hash was checked, in place of those that were used longest ago."""
        with self._lock:
            is_new = digest not in self._arrays
            self._arrays[digest] = arrays
            self._arrays.move_to_end(digest)
            if len(self._arrays) > _KNOWN_ENCODINGS:
                self._arrays.popitem(last=False)
        cache = read_cache()
        if is_new and cache is not None:
            content = BytesIO()
            np.savez(content, **arrays)  # type: ignore[arg-type]  # its stub takes them for allow_pickle
            cache.put(f"encoding {digest}", content.getvalue())

    @staticmethod
    def _find_cached(digest: str) -> _Arrays | None:
        cache = read_cache()
        content = None if cache is None else cache.get(f"encoding {digest}")
        if content is None:
            return None
        with np.load(BytesIO(content), allow_pickle=False) as found:
            return {name: found[name] for name in found.files}


_known = _KnownArrays()


def _members(url: str, group: zarr.Group) -> list[tuple[str, zarr.Array[Any]]]:
    try:
        return list(group["encoding"].arrays())  # type: ignore[union-attr]
    except MALFORMED as error:
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


def _small_arrays(url: str, members: list[tuple[str, zarr.Array[Any]]]) -> _Arrays:
    """Read all arrays; from a server at once, since each waits for an answer."""
    if "://" not in url or not members:
        return {name: _small_array(url, array) for name, array in members}
    values = for_each(members, lambda member: _small_array(url, member[1]), len(members))
    return {name: value for (name, _), value in zip(members, values, strict=True)}


def _small_array(url: str, array: zarr.Array[Any]) -> NDArray[np.generic]:
    try:
        with stage("open"), store_faults(url, f"GET {array.path}"), _ungrouped():
            return np.asarray(guard_array(array)[...])
    except (ValueError, RuntimeError, OSError) as error:
        raise StoreError(f"{url}: {array.path} cannot be read ({error})") from error


def open_array(url: str, group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array that a store must have, guarded.

    Raises
    ------
    StoreError
        If it has not, or the array claims what cannot be believed.
    """
    return guard_array(array_of(url, group, name))


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
    return guard_losses(url, array, digests)


def array_of(url: str, group: zarr.Group, name: str) -> zarr.Array[Any]:
    """Return an array that a store must have, to look at its metadata.

    Raises
    ------
    StoreError
        If it has not.
    """
    try:
        with stage("open"):
            member = group.get(name)
    except MALFORMED as error:
        raise StoreError(f"{url}: {name} is no readable array ({error})") from error
    if not isinstance(member, zarr.Array):
        raise StoreError(f"{url}: array {name!r} is missing; the store is damaged")
    return member


def _absent(url: str, error: Exception) -> StoreError:
    if is_tiff(url):
        with suppress(StoreError, SourceError):  # whatever it is, it is no store
            if (document := MapDocument.of_tiff(url)) is not None:
                return unlike_store(url, document.about)
    tree = ObjectTree(url)
    if tree.read("zarr.json") is not None:  # it names a node that cannot be
        return StoreError(f"{url}: not a readable Zarr group ({error}); the store is damaged")
    if Journal(tree).has_traces():
        return StoreError(
            f"{url}: an unfinished conversion; repeat its command to finish it, or pass --overwrite"
        )
    return StoreError(f"{url}: no Zarr store; expected one written by `geoembz convert`")


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
def _ungrouped() -> Iterator[None]:
    """Raise the first of several errors by itself: Zarr reads the chunks of a shard together."""
    try:
        yield
    except ExceptionGroup as group:
        error: Exception = group
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        raise error from group


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
        with store_faults(url, f"GET {path}"), _ungrouped():
            yield
    except (RuntimeError, ValueError) as error:
        if isinstance(error, GeoembzError):
            raise
        raise StoreError(
            f"{url}: {path} cannot be read at {selection} ({error}); a shard is cut or corrupt: "
            "fetch it again"
        ) from error
