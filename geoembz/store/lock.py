"""A lock that keeps two writers off one destination: converters, publishers.

There is one for a destination, whatever is done there: in ``.geoembz/``, where every reader of the
destination sees it and no Zarr reader looks. A lock is stale when its process has died on this
host, or when nobody has renewed it for ten minutes. Whoever writes on behalf of the owner, here or
on another machine, asks the fence first: once the lock is another's, or gone, nothing more is
written.
"""

import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from geoembz._objects.files import PARTIAL
from geoembz._objects.tree import ObjectTree
from geoembz._util.bounded_json import parse_object
from geoembz._util.output import is_alive
from geoembz._util.threads import PARTING_SECONDS, within
from geoembz.errors import DestinationExistsError, SourceError, StoreError
from geoembz.store.journal import FOLDER, LOCK

STALE_SECONDS = 600.0
"""Age of the last heartbeat beyond which a lock counts no more."""

_HEARTBEAT_SECONDS = 60.0
"""Ten beats make a lock stale: a server may be away for some of them, clocks may differ."""

_ATTEMPTS = 5
"""Each lost to another that breaks the lock, too: then somebody else has it."""

_MOST_BYTES = 4_096
"""Ours have some 120; what is longer is no lock, and is not read."""


_held: set[str] = set()
"""Tokens of the locks that this process holds."""


@dataclass(frozen=True)
class Fence:
    """What a task asks before it writes. It can be pickled.

    Parameters
    ----------
    url
        The destination.
    token
        Names the conversion that the task belongs to.
    """

    url: str
    token: str

    def check(self) -> None:
        """Return if the conversion still holds its destination.

        Raises
        ------
        StoreError
            If it does not, or if this process cannot see the destination.
        """
        owner = _owner(ObjectTree(self.url))
        if not owner:
            raise StoreError(
                f"{self.url}: no lock is there, as seen from {socket.gethostname()}; expected a "
                "place that every worker reaches (a shared file system, or s3://…) and a "
                "conversion that still runs; run the same command again to go on"
            )
        if owner.get("token") != self.token:
            raise StoreError(
                f"{self.url}: {_describe(owner)} has taken the destination over; this conversion "
                "ends here"
            )


class DestinationLock:
    """Holds a destination for the length of a block.

    Parameters
    ----------
    tree
        The destination.
    breaks
        Take it from whoever holds it.
    """

    def __init__(self, tree: ObjectTree, *, breaks: bool = False) -> None:
        self._tree, self._breaks = tree, breaks
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="geoembz-lock", daemon=True)

    @property
    def url(self) -> str:
        """The destination."""
        return self._tree.url

    @property
    def token(self) -> str:
        """Names this conversion, and no other one ever."""
        return self._token

    @property
    def fence(self) -> Fence:
        """What tasks ask before they write."""
        return Fence(self._tree.url, self._token)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises
        ------
        DestinationExistsError
            If another command holds it.
        StoreError
            If the destination cannot be written.
        """
        self.take()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Give the lock back; after Ctrl-C, without waiting for a server."""
        if error is None or isinstance(error, Exception):
            self.release()
        else:
            within(PARTING_SECONDS, self.release)

    def take(self) -> None:
        """Make the lock; one that is stale gives way."""
        _held.add(self._token)  # first: without it, other threads take a new lock for a stale one
        try:
            self._make()
        except BaseException:
            _held.discard(self._token)
            raise

    def _make(self) -> None:
        for _ in range(_ATTEMPTS):
            # Of several who create it one succeeds. A server that knows no conditional writes keeps
            # the last, and one that answered too late may refuse its own: reading back tells.
            self._tree.create(LOCK, self._content())
            owner = _owner(self._tree)
            if owner.get("token") == self._token:
                return
            if owner and not self._breaks and not is_stale(owner):
                raise DestinationExistsError(
                    f"{self._tree.url}: another command writes there ({_describe(owner)}); "
                    "expected one at a time; wait for it, or end it and repeat; if its machine is "
                    f"gone, wait {STALE_SECONDS / 60:.0f} minutes or pass --break-lock"
                )
            self._tree.delete(LOCK)
        raise StoreError(f"{self._tree.url}/{LOCK}: cannot be made; expected one writer there")

    def release(self) -> None:
        """Stop the heartbeat and remove the lock, if it is there and ours.

        Where the server does not answer, the lock stays: it is stale once this process has ended.
        """
        if self._ended.is_set():
            return
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        _held.discard(self._token)
        with suppress(StoreError):
            if self.is_ours():
                self._tree.delete(LOCK)
                self._tree.remove_empty(FOLDER)

    def carry(self, tree: ObjectTree) -> None:
        """Write the lock to what is about to take the destination's place."""
        tree.write(LOCK, self._content())

    def is_ours(self) -> bool:
        """Whether this conversion still holds the destination."""
        return _owner(self._tree).get("token") == self._token

    def _content(self) -> bytes:
        document = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
            "token": self._token,
        }
        return json.dumps(document, sort_keys=True).encode()

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_SECONDS):
            try:
                if not self.is_ours():
                    return  # lost: the fence ends the conversion
                self._tree.write(LOCK, self._content())
            except StoreError:
                continue  # the conversion itself meets the same error, and reports it


def is_stale(owner: dict[str, Any]) -> bool:
    """Whether a lock counts no more.

    It does not if it was not renewed for long, if its process is dead on this host, or if it is
    this very process, which let go of it while the server did not answer.
    """
    try:
        age, pid = time.time() - float(owner["time"]), int(owner["pid"])
    except (KeyError, TypeError, ValueError):
        return True  # written by no converter
    if age > STALE_SECONDS:
        return True
    if owner.get("host") != socket.gethostname():
        return False
    return owner.get("token") not in _held if pid == os.getpid() else not is_alive(pid)


def _describe(owner: dict[str, Any]) -> str:
    return f"process {owner.get('pid')} on {owner.get('host')}"


def _owner(tree: ObjectTree) -> dict[str, Any]:
    """Return what the lock says; empty where there is none or it is torn."""
    return parse_owner(tree.read(LOCK, _MOST_BYTES))


def is_lock(key: str) -> bool:
    """Whether a key is a lock, or a draft of one: of whoever asks for the place, or renews it.

    Examples
    --------
    >>> is_lock(".geoembz/lock.json"), is_lock(".geoembz/lock.json.0f1e.partial")
    (True, True)
    >>> is_lock(".geoembz/plan.json")
    False
    """
    return key == LOCK or (key.startswith(f"{LOCK}.") and key.endswith(PARTIAL))


def parse_owner(content: bytes | None) -> dict[str, Any]:
    """Return what a lock says; empty where there is none or it is torn."""
    try:
        return parse_object(content or b"{}", LOCK, most_bytes=_MOST_BYTES)
    except SourceError:
        return {}
