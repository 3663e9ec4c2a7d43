"""Web servers as a file system: they may send everything where a part is asked for."""

from typing import Any

from fsspec.implementations.http import HTTPFileSystem
from fsspec.spec import AbstractBufferedFile

from geoembz.errors import StoreError, redact

_PARTIAL_CONTENT = 206


class RangedHttp(HTTPFileSystem):  # type: ignore[misc]
    """fsspec's HTTP file system, whose partial reads are partial, or an error."""

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
        return content

    async def fetch(
        self, url: str, start: int | None = None, end: int | None = None, **options: Any
    ) -> tuple[bytes, str | None]:
        """Return an object, or the bytes `start` to `end` of one, and its ETag if there is one.

        Raises
        ------
        StoreError
            If the server sends all of it where a part was asked for.
        """
        is_whole = start is None and end is None
        settings = {**self.kwargs, **options}
        wanted = {} if is_whole else {"Range": await self._process_limits(url, start, end)}
        settings["headers"] = {**settings.get("headers", {}), **wanted}
        session = await self.set_session()
        async with session.get(self.encode_url(url), **settings) as response:
            self._raise_not_found_for_status(response, url)
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


def without_ranges(url: str) -> str:
    """Return what to say of a server that sends whole objects only."""
    return (
        f"{redact(url)}: the server does not answer Range requests (it sent the whole object): "
        "sharded stores need them; serve it with one that does (Python's http.server does not; "
        "nginx, Caddy and object stores do), copy the store here, or write it with --shard none"
    )
