"""Read parts of objects on a server, many at once, and know whether the object is still the same.

What a server says of an object's version, its ETag, comes with every part. So a part that was read
before may be kept: what is read later belongs to it, or is seen not to.
"""

import asyncio
import os
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from geoembz._objects.faults import RetryPolicy, is_absence, will_pass
from geoembz.errors import GeoembzError, InvalidConfigError

IN_FLIGHT = 48
"""Requests that this process has under way at once, unless `IN_FLIGHT_SETTING` says otherwise."""

IN_FLIGHT_SETTING = "GEOEMBZ_REQUESTS"

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
    filesystem: Any, path: str, start: int | None = None, end: int | None = None
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
            return await read(filesystem, path, start, end)
        except Exception as error:
            if is_absence(error):
                return None
            raise


async def _read_web(filesystem: Any, path: str, start: int | None, end: int | None) -> Part:
    """Read; try again what may pass, as botocore does by itself for S3."""
    for attempt in range(1, _PATIENCE.attempts):
        try:
            return Part(*await filesystem.fetch(path, start, end))
        except Exception as error:
            if isinstance(error, GeoembzError) or is_absence(error) or not will_pass(error):
                raise
        await asyncio.sleep(_PATIENCE.pause_s(attempt, f"{path} {start}"))
    return Part(*await filesystem.fetch(path, start, end))


async def _read_s3(filesystem: Any, path: str, start: int | None, end: int | None) -> Part:
    from s3fs.core import _error_wrapper

    bucket, key, _ = filesystem.split_path(path)
    limits = None if start is None else await filesystem._process_limits(path, start, end)  # noqa: SLF001 - no public name
    wanted = {} if limits is None else {"Range": limits}

    async def read() -> Part:
        call = filesystem._call_s3  # noqa: SLF001 - what its own methods call; they keep no ETag
        answer = await call("get_object", Bucket=bucket, Key=key, **wanted)
        async with answer["Body"] as body:
            return Part(await body.read(), answer.get("ETag"))

    found: Part = await _error_wrapper(read, retries=filesystem.retries)
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
