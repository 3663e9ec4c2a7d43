"""Tell a reader that the store it has open was replaced by another one.

A conversion or publication with ``--overwrite`` uses the same names again: codes of the new store
would be decoded with the encoding of the old one. So after each read one looks whether the root's
document is still the one that was opened. Appending a date changes that document, and nothing that
was read of it before; an update changes shards, one by one, each to what any reader may have. These
are told apart by what the two documents say.
"""

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from zarr.storage import LocalStore

from geoembz._objects.explain import counted
from geoembz._objects.names import is_icechunk
from geoembz.errors import StoreError
from geoembz.store.conventions import LAYERS, UPDATES
from geoembz.store.digests import DIGESTS, ROOT, SEAL, read_seal
from geoembz.store.documents import EMBEDDING, VALID

if TYPE_CHECKING:
    from zarr.abc.store import ByteRequest
    from zarr.core.buffer import Buffer, BufferPrototype

REMOTE_SECONDS = 10.0
"""The root of a store on a server is looked at again after so long: each look is a request."""

_SAME = (
    *("geoemb:type", "geoembz:encoding_hash", "geoembz:layout", "geoembz:grids"),
    *(
        "geoembz:layers",
        "spatial:transform",
        "spatial:shape",
        "proj:code",
        "proj:wkt2",
        "proj:projjson",
    ),
)
"""Attributes that stay as they are while a store is appended to or evaluated."""

type Mark = tuple[int, ...] | None
"""What identifies a local file: inode, time of change and size; None where it is not there."""


class ReadStore(LocalStore):
    """A directory that is read, with the mark that its root had before."""

    def __init__(self, root: Path | str, *, read_only: bool = True) -> None:
        super().__init__(root, read_only=read_only)
        self.mark = _mark(f"{self.root}/{ROOT}")

    async def get(
        self,
        key: str,
        prototype: "BufferPrototype | None" = None,
        byte_range: "ByteRequest | None" = None,
    ) -> "Buffer | None":
        """Return a file's bytes, and count them."""
        return counted(await super().get(key, prototype, byte_range))

    def get_sync(
        self,
        key: str,
        *,
        prototype: "BufferPrototype | None" = None,
        byte_range: "ByteRequest | None" = None,
    ) -> "Buffer | None":
        """Return a file's bytes, and count them."""
        return counted(super().get_sync(key, prototype=prototype, byte_range=byte_range))


@dataclass
class Watch:
    """Looks whether an open store is still there.

    Parameters
    ----------
    url
        The store.
    group
        Its root group, as it was opened.
    reopen
        Opens the root group anew.
    looked
        When a root on a server was last looked at, in seconds.
    """

    url: str
    group: zarr.Group
    reopen: Callable[[str], zarr.Group]
    looked: float = field(default_factory=time.time)

    def __post_init__(self) -> None:
        """Take over the mark that the root had before it was opened."""
        store = self.group.store
        self._path = f"{store.root}/{ROOT}" if isinstance(store, LocalStore) else None
        self._mark = store.mark if isinstance(store, ReadStore) else None

    def check(self) -> None:
        """Return if what was just read is of the store that was opened.

        Raises
        ------
        StoreError
            If another one is there now, or none.
        """
        if is_icechunk(self.url):
            return  # a snapshot never changes
        if self._path is None:
            now = time.time()
            if now - self.looked >= REMOTE_SECONDS:
                self._compare()
                self.looked = now
            return
        mark = _mark(self._path)
        if mark is None or mark != self._mark:
            self._compare()
            self._mark = mark

    def _compare(self) -> None:
        advice = "what was read may be of both; open it again"
        try:
            there = self.reopen(self.url)
        except StoreError as error:
            raise StoreError(
                f"{self.url}: was open, and is being replaced, or cannot be reached ({error}); "
                f"{advice}"
            ) from error
        if not continues(self.group, there):
            raise StoreError(f"{self.url}: was replaced by another store while open; {advice}")


def _mark(path: str) -> Mark:
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path costs more than the call
    except (FileNotFoundError, NotADirectoryError):
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def continues(old: zarr.Group, new: zarr.Group) -> bool:
    """Whether all that could be read of a store can be read of what is there now, unchanged."""
    before, after = old.attrs.asdict(), new.attrs.asdict()
    if any(before.get(name) != after.get(name) for name in _SAME):
        return False
    dates = _dates(before)
    if _dates(after)[: len(dates)] != dates:
        return False
    digests = _shard_digests(after)
    is_updated = _updates(after) > _updates(before)
    is_same = all(digests.get(key) == value for key, value in _shard_digests(before).items())
    if not (is_same or is_updated):
        return False
    names = (EMBEDDING, VALID, *_layers(before))
    return all(_form(old, name) == _form(new, name) for name in names)


def _dates(attributes: Mapping[str, Any]) -> list[Any]:
    entries = attributes.get("geoembz:times")
    return [entry.get("time") for entry in entries] if isinstance(entries, list) else []


def _updates(attributes: Mapping[str, Any]) -> int:
    """Return how often a store was updated; the schema says that it is a whole number."""
    return int(attributes.get(UPDATES, 0))


def _layers(attributes: Mapping[str, Any]) -> list[str]:
    entries = attributes.get(LAYERS)
    return [str(entry["name"]) for entry in entries] if isinstance(entries, list) else []


def _shard_digests(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return the digests of the chunks that hold those of shards; each is of one date."""
    objects = read_seal({"attributes": attributes}) if SEAL in attributes else None
    start = f"{DIGESTS}/"
    return {k: v for k, v in (objects or {}).items() if k.startswith(start) and "/c/" in k}


def _form(group: zarr.Group, name: str) -> object:
    """Return how an array is stored, whatever the length of its time axis."""
    array = group.get(name)
    if not isinstance(array, zarr.Array):
        return None
    metadata: Any = array.metadata
    return metadata.chunk_grid, metadata.codecs, array.dtype, repr(array.fill_value)
