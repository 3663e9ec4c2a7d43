"""Web servers as a file system: they may send everything where a part is asked for."""

import asyncio
import weakref
from typing import Any

from aiohttp import TraceConfig
from fsspec.implementations.http import HTTPFileSystem
from fsspec.spec import AbstractBufferedFile

from geoembz._objects.explain import count
from geoembz.errors import StoreError, redact

_PARTIAL_CONTENT, _NOT_MODIFIED = 206, 304


class RangedHttp(HTTPFileSystem):  # type: ignore[misc]
    """fsspec's HTTP file system, whose partial reads are partial, or an error."""

    async def set_session(self) -> Any:
        """Return the session, whose requests are counted."""
        is_new = self._session is None
        self.client_kwargs.setdefault("trace_configs", [_counted()])
        session = await super().set_session()
        if is_new and self.asynchronous:  # fsspec leaves it open, and aiohttp complains at the end
            weakref.finalize(self, self.close_session, asyncio.get_running_loop(), session)
        return session

    async def _cat_file(
        self, url: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> bytes:
        """Return an object, or the bytes `start` to `end` of one.

        Raises
        ------
        StoreError
            If the server sends all of it where a part was asked for.
        """
        if start == end:
            return b"" if start is not None else bytes(await super()._cat_file(url, **options))
        content, _ = await self.fetch(url, start, end, **options)
        return content or b""

    async def fetch(
        self,
        url: str,
        start: int | None = None,
        end: int | None = None,
        unless: str | None = None,
        **options: Any,
    ) -> tuple[bytes | None, str | None]:
        """Return an object, or the bytes `start` to `end` of one, and its ETag if there is one.

        No bytes are returned, but None, where its ETag is the one in `unless`, and the server knows
        conditional requests.

        Raises
        ------
        StoreError
            If the server sends all of it where a part was asked for.
        """
        is_whole = start is None and end is None
        settings = {**self.kwargs, **options}
        wanted = {} if is_whole else {"Range": await self._process_limits(url, start, end)}
        if unless is not None:
            wanted["If-None-Match"] = unless
        settings["headers"] = {**settings.get("headers", {}), **wanted}
        session = await self.set_session()
        async with session.get(self.encode_url(url), **settings) as response:
            self._raise_not_found_for_status(response, url)
            if response.status == _NOT_MODIFIED:
                return None, unless
            length = response.content_length
            is_all_wanted = is_whole or (
                start == 0 and end is not None and length is not None and length <= end
            )
            if response.status != _PARTIAL_CONTENT and not is_all_wanted:
                raise StoreError(without_ranges(url))
            return bytes(await response.read()), response.headers.get("ETag")

    def _open(self, path: str, mode: str = "rb", size: int | None = None, **_: Any) -> Any:
        return _RangedFile(self, path, mode, size=size)


class _RangedFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file that is read part by part."""

    def _fetch_range(self, start: int, end: int) -> bytes:
        return bytes(self.fs.cat_file(self.path, start=start, end=end))


def _counted() -> TraceConfig:
    """Return what tells `explain` of every request, those that are sent again, too."""

    async def sent(*_: object) -> None:
        count(0)

    async def received(_: object, __: object, part: Any) -> None:
        count(len(part.chunk), requests=0)

    trace = TraceConfig()
    trace.on_request_headers_sent.append(sent)
    trace.on_response_chunk_received.append(received)
    return trace


def without_ranges(url: str) -> str:
    """Return what to say of a server that sends whole objects only."""
    return (
        f"{redact(url)}: the server does not answer Range requests (it sent the whole object): "
        "sharded stores need them; serve it with one that does (Python's http.server does not; "
        "nginx, Caddy and object stores do), copy the store here, or write it with --shard none"
    )
