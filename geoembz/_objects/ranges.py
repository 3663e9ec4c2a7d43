"""Read parts of objects on a server, many at once, and know whether the object is still the same.

What a server says of an object's version, its ETag, comes with every part. So a part that was read
before may be kept: what is read later belongs to it, or is seen not to.
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from geoembz._objects import obstore_parts
from geoembz._objects.faults import RetryPolicy, fault_code, is_absence, will_pass
from geoembz._objects.read_cache import ReadCache, read_cache
from geoembz._util.threads import shared_pool
from geoembz.errors import GeoembzError, InvalidConfigError

IN_FLIGHT = 48
"""Requests that this process has under way at once, unless `IN_FLIGHT_SETTING` says otherwise."""

IN_FLIGHT_SETTING = "GEOEMBZ_REQUESTS"

_NOT_MODIFIED = "304"
_END = b"\n"
"""Ends the version in an entry of the cache; no ETag has it."""

_PATIENCE = RetryPolicy(attempts=4)
"""With web servers, beside which a person may be waiting."""

_slots: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Semaphore] = WeakKeyDictionary()


@dataclass(frozen=True)
class Part:
    """Some bytes of an object.

    Parameters
    ----------
    content
        The bytes.
    version
        What stands for the object as it was then; None where the server does not say.
    """

    content: bytes
    version: str | None


def reads_parts(filesystem: Any) -> bool:
    """Whether `read_part` can read from a file system of fsspec."""
    return _is_ours(filesystem) or "s3" in _protocols(filesystem)


async def read_part(
    filesystem: Any,
    path: str,
    start: int | None = None,
    end: int | None = None,
    old: Part | None = None,
) -> Part | None:
    """Read the bytes `start` to `end` of an object; None where there is no such object.

    Parameters
    ----------
    filesystem
        Of fsspec, asynchronous, one that `reads_parts`.
    path
        Of the object, as the file system has it.
    start, end
        First and last-plus-one byte; a negative start counts from the end. None for all.
    old
        The same part as it was before: returned where the server says that it is unchanged.

    Raises
    ------
    StoreError
        If a web server sends all of it where a part was asked for.
    OSError
        If the server cannot be reached, or refuses.
    """
    read = _read_web if _is_ours(filesystem) else _read_s3
    async with _slot():
        try:
            content, version = await read(
                filesystem, path, start, end, None if old is None else old.version
            )
        except Exception as error:
            if is_absence(error):
                return None
            raise
    return old if content is None else Part(content, version)


async def read_current(
    filesystem: Any, path: str, start: int | None = None, end: int | None = None
) -> Part | None:
    """Read as `read_part`, or take from the cache what the server says is still so.

    One request is made in any case; its answer is short where the cache had the part.
    """
    cache = read_cache()
    if cache is None:
        return await read_part(filesystem, path, start, end)
    name = _name(filesystem, path, start, end)
    old = await _in_thread(_find, cache, name)
    part = await read_part(filesystem, path, start, end, old)
    if part is not None and part is not old:
        await keep_part(filesystem, path, start, end, part)
    return part


async def find_part(
    filesystem: Any, path: str, start: int, end: int, version: str | None
) -> Part | None:
    """Return a part from the cache, if it is of a version that is known to be the current one."""
    cache = read_cache()
    if cache is None or version is None:
        return None
    part = await _in_thread(_find, cache, _name(filesystem, path, start, end))
    return part if part is not None and part.version == version else None


async def keep_part(
    filesystem: Any, path: str, start: int | None, end: int | None, part: Part
) -> None:
    """Put a part into the cache, if there is one, and the server tells versions apart."""
    cache = read_cache()
    if cache is not None and part.version is not None:
        entry = part.version.encode() + _END + part.content
        await _in_thread(cache.put, _name(filesystem, path, start, end), entry)


def _find(cache: ReadCache, name: str) -> Part | None:
    entry = cache.get(name)
    if entry is None:
        return None
    version, _, content = entry.partition(_END)
    return Part(content, version.decode())


def _name(filesystem: Any, path: str, start: int | None, end: int | None) -> str:
    """Return what stands for a part, whatever its version: a newer one takes the entry over."""
    return f"{getattr(filesystem, 'endpoint_url', None) or ''} {path} {start} {end}"


async def _in_thread[T](action: Callable[..., T], *given: Any) -> T:
    """Do what waits for a disk, without holding up the requests."""
    return await asyncio.get_running_loop().run_in_executor(shared_pool(), action, *given)


type _Answer = tuple[bytes | None, str | None]
"""Bytes and version; no bytes where the version is the one that is known."""


async def _read_web(
    filesystem: Any, path: str, start: int | None, end: int | None, unless: str | None
) -> _Answer:
    """Read; try again what may pass, as botocore does by itself for S3."""
    for attempt in range(1, _PATIENCE.attempts):
        try:
            return await _fetch(filesystem, path, start, end, unless)
        except Exception as error:
            if isinstance(error, GeoembzError) or is_absence(error) or not will_pass(error):
                raise
        await asyncio.sleep(_PATIENCE.pause_s(attempt, f"{path} {start}"))
    return await _fetch(filesystem, path, start, end, unless)


async def _fetch(
    filesystem: Any, path: str, start: int | None, end: int | None, unless: str | None
) -> _Answer:
    answer: _Answer = await filesystem.fetch(path, start, end, unless)
    return answer


async def _read_s3(
    filesystem: Any, path: str, start: int | None, end: int | None, unless: str | None
) -> _Answer:
    if obstore_parts.is_chosen():
        answer = await obstore_parts.fetch(filesystem, path, start, end, unless)
        if answer is not None:
            return answer
    from s3fs.core import _error_wrapper

    bucket, key, _ = filesystem.split_path(path)
    limits = None if start is None else await filesystem._process_limits(path, start, end)  # noqa: SLF001 - no public name
    wanted = {} if limits is None else {"Range": limits}
    if unless is not None:
        wanted["IfNoneMatch"] = unless

    async def read() -> _Answer:
        call = filesystem._call_s3  # noqa: SLF001 - what its own methods call; they keep no ETag
        try:
            answer = await call("get_object", Bucket=bucket, Key=key, **wanted)
        except OSError as error:
            if fault_code(error) == _NOT_MODIFIED:
                return None, unless
            raise
        async with answer["Body"] as body:
            return await body.read(), answer.get("ETag")

    found: _Answer = await _error_wrapper(read, retries=filesystem.retries)
    return found


def _is_ours(filesystem: Any) -> bool:
    """Whether it is a web server's, which tells versions: without importing what that needs."""
    return "http" in _protocols(filesystem) and hasattr(filesystem, "fetch")


def _protocols(filesystem: Any) -> tuple[str, ...]:
    found = filesystem.protocol
    return (found,) if isinstance(found, str) else tuple(found)


def _slot() -> asyncio.Semaphore:
    """Return what limits the requests of the running loop."""
    loop = asyncio.get_running_loop()
    if loop not in _slots:
        _slots[loop] = asyncio.Semaphore(in_flight())
    return _slots[loop]


def in_flight() -> int:
    """Return how many requests may be under way at once: `IN_FLIGHT`, or what the user set.

    Raises
    ------
    InvalidConfigError
        If that is no whole number above 0.
    """
    text = os.environ.get(IN_FLIGHT_SETTING, "")
    if not text:
        return IN_FLIGHT
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise InvalidConfigError(f"{IN_FLIGHT_SETTING}={text}: expected a whole number, 1 or more")
    return int(text)
