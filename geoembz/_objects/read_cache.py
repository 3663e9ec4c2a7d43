"""A cache on this disk of what was read from servers, limited in size; off unless it is set.

`diskcache-community` keeps the entries: SQLite tells which there are, each has a file, several
processes may share a folder, and what was used longest ago goes first. What it can do beyond bytes
is not used: it would unpickle what it finds, so here only bytes are stored and believed. Each entry
has its checksum, and what is damaged was never there. The cache failing is no reason to fail.
"""

import logging
import os
import re
import sqlite3
from functools import cache, lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

from geoembz._objects.explain import count, stage
from geoembz._util.optional import import_extra
from geoembz.errors import InvalidConfigError

CACHE_SETTING, SIZE_SETTING = "GEOEMBZ_CACHE", "GEOEMBZ_CACHE_SIZE"
DEFAULT_BYTES = 10 * 10**9

_LEAST_BYTES = 10**6
_LARGEST_PART = 8
"""No entry takes more of the cache than one of so many parts: it would push out all others."""

_LEAVE_FOR_ONE = 2
"""Entries that leave a full cache for a new one, which may be larger."""

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kMGT]?)B?")
_UNITS = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_FILE_BYTES = 4096
"""Smaller entries stand in SQLite itself."""

_CHECKSUM_BYTES = 4
_LOCK_SECONDS = 5.0
_log = logging.getLogger("geoembz.cache")


class ReadCache:
    """Entries of bytes by their name, in a folder that others may use, too.

    Parameters
    ----------
    folder
        Made where it is missing, for this user alone.
    size_bytes
        What it may take on the disk.

    Raises
    ------
    InvalidConfigError
        If there can be no such folder.
    MissingPackageError
        If the package is not installed.
    """

    def __init__(self, folder: str, size_bytes: int) -> None:
        self._largest = size_bytes // _LARGEST_PART
        try:
            self._entries = _library().Cache(
                folder,
                timeout=_LOCK_SECONDS,
                disk=_bytes_only(),
                disk_min_file_size=_FILE_BYTES,
                size_limit=size_bytes,
                eviction_policy="least-recently-used",
                cull_limit=_LEAVE_FOR_ONE,
            )
        except (OSError, sqlite3.Error) as error:
            raise InvalidConfigError(
                f"{CACHE_SETTING}={folder}: cannot be used ({error}); expected a folder to write to"
            ) from error

    def get(self, name: str) -> bytes | None:
        """Return an entry; None where there is none, or it is damaged."""
        with stage("cache"):
            try:
                entry = self._entries.get(_key(name))
            except self._faults as error:
                _tell("read", error)
                return None
            if not isinstance(entry, bytes):
                return None
            content = entry[_CHECKSUM_BYTES:]
            if entry[:_CHECKSUM_BYTES] != _checksum(content):
                _log.warning("an entry is damaged, and is read anew")
                return None
            count(len(content))
            return content

    def put(self, name: str, content: bytes) -> None:
        """Keep an entry, in place of a former one and of what was used longest ago."""
        if len(content) > self._largest:
            return
        try:
            self._entries.set(_key(name), _checksum(content) + content)
        except self._faults as error:
            _tell("written", error)

    @property
    def _faults(self) -> tuple[type[Exception], ...]:
        return OSError, ValueError, sqlite3.Error, _library().Timeout


def read_cache() -> ReadCache | None:
    """Return the cache that the environment names; None where it names none.

    Raises
    ------
    InvalidConfigError
        If it cannot be used, or its size is none.
    MissingPackageError
        If the package is not installed.
    """
    folder = os.environ.get(CACHE_SETTING)
    return _open(folder, cache_bytes()) if folder else None


def cache_bytes() -> int:
    """Return how large the cache may become: `DEFAULT_BYTES`, or what the user set.

    Raises
    ------
    InvalidConfigError
        If that is no size, or too small to hold anything.

    Examples
    --------
    >>> cache_bytes()
    10000000000
    """
    text = os.environ.get(SIZE_SETTING, "").strip()
    if not text:
        return DEFAULT_BYTES
    found = _SIZE.fullmatch(text)
    size = int(float(found[1]) * _UNITS[found[2]]) if found else 0
    if size < _LEAST_BYTES:
        raise InvalidConfigError(
            f"{SIZE_SETTING}={text}: expected a size such as 500MB or 20GB, at least 1MB"
        )
    return size


@lru_cache(maxsize=4)
def _open(folder: str, size_bytes: int) -> ReadCache:
    return ReadCache(str(Path(folder).expanduser()), size_bytes)


def _library() -> Any:
    purpose = f"{CACHE_SETTING}: a cache needs diskcache-community"
    return import_extra("diskcache_community", "cache", purpose, f", or unset {CACHE_SETTING}")


@cache
def _bytes_only() -> type[Any]:
    """Return how entries are read: as bytes, whatever somebody put there."""
    raw, binary = 1, 2  # its modes: in SQLite, and in a file

    class BytesOnly(_library().Disk):  # type: ignore[misc]
        def fetch(self, mode: int, filename: str | None, value: Any, read: bool) -> Any:
            if mode not in {raw, binary} or (filename is not None and ".." in filename):
                raise ValueError("an entry that is not ours")
            return super().fetch(mode, filename, value, read)

    return BytesOnly


def _key(name: str) -> str:
    """Return the key of an entry: names may hold what is nobody's business, such as a password."""
    return sha256(name.encode()).hexdigest()


def _checksum(content: bytes) -> bytes:
    from google_crc32c import value

    return int(value(content)).to_bytes(_CHECKSUM_BYTES, "little")


def _tell(what: str, error: Exception) -> None:
    _log.warning("an entry cannot be %s (%s)", what, error)
