"""A lock that keeps two converters off one destination.

It lies in the journal's folder and goes with it. A lock is stale when its process has died on this
host, or when nobody has renewed it for ten minutes.
"""

import json
import os
import socket
import threading
import time
import uuid
from types import TracebackType
from typing import Any, Self

from geoembz.errors import DestinationExistsError, StoreError
from geoembz.store.journal import FOLDER
from geoembz.store.objects import ObjectTree

LOCK = f"{FOLDER}/lock.json"

STALE_SECONDS = 600.0
"""Age of the last heartbeat beyond which a lock counts no more."""

_HEARTBEAT_SECONDS = 60.0


class DestinationLock:
    """Holds a destination for the length of a block.

    Parameters
    ----------
    tree
        The destination.
    """

    def __init__(self, tree: ObjectTree) -> None:
        self._tree = tree
        self._token = uuid.uuid4().hex
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="geoembz-lock", daemon=True)

    def __enter__(self) -> Self:
        """Take the lock.

        Raises
        ------
        DestinationExistsError
            If another conversion holds it.
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
        """Give the lock back."""
        self.release()

    def take(self) -> None:
        """Write the lock after checking that nobody else's is alive."""
        self._refuse_others()
        self._write()
        self._refuse_others()  # of two who wrote at once, the last stays

    def release(self) -> None:
        """Stop the heartbeat and remove the lock, if it is there and ours."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        if _owner(self._tree).get("token") == self._token:
            self._tree.remove(LOCK)

    def _refuse_others(self) -> None:
        owner = _owner(self._tree)
        if owner.get("token", self._token) != self._token and not is_stale(owner):
            raise DestinationExistsError(
                f"{self._tree.url}: another conversion writes there (process {owner.get('pid')} on "
                f"{owner.get('host')}); expected one at a time; wait for it, or end it and repeat"
            )

    def _write(self) -> None:
        document = {
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "time": time.time(),
            "token": self._token,
        }
        self._tree.write_json(LOCK, document)

    def _beat(self) -> None:
        while not self._ended.wait(_HEARTBEAT_SECONDS):
            try:
                self._write()
            except StoreError:
                continue  # the conversion itself meets the same error, and reports it


def is_stale(owner: dict[str, Any]) -> bool:
    """Whether a lock counts no more: its process is dead here, or it was not renewed for long."""
    try:
        age, pid = time.time() - float(owner["time"]), int(owner["pid"])
    except (KeyError, TypeError, ValueError):
        return True  # written by no converter
    if age > STALE_SECONDS:
        return True
    return owner.get("host") == socket.gethostname() and not _is_alive(pid)


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def _owner(tree: ObjectTree) -> dict[str, Any]:
    """Return what the lock says; empty where there is none or it is torn."""
    content = tree.read(LOCK)
    try:
        document = json.loads(content or b"{}")
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
