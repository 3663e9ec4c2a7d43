"""Serve named pages, and the objects of a store and of maps, over HTTP on this machine.

Ranges of objects are answered as object stores do. Only requests that name this machine as their
host are answered: a page from elsewhere whose name was made to mean 127.0.0.1 gets nothing.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

from geoembz._objects.names import check_key
from geoembz.errors import GeoembzError, InvalidConfigError

LOOPBACK = "127.0.0.1"
STORE = "store"
"""First part of the path of every object of the store; a map has its own."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)")
_HEADERS = {
    "Cache-Control": "no-store",  # a store that is converted again keeps its name
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Accept-Ranges": "bytes",
}


@dataclass(frozen=True)
class Page:
    """One file of a page.

    Parameters
    ----------
    content
        Its bytes.
    media_type
        As in the header Content-Type.
    """

    content: bytes
    media_type: str


class Objects(Protocol):
    """Objects by their keys, as `geoembz._objects.tree.ObjectTree` has them."""

    def is_below(self, key: str) -> bool:
        """Whether an object lies where the others do, wherever links lead."""
        ...

    def size(self, key: str) -> int | None:
        """Return the size of an object, in bytes; None where there is none."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return an object; None where there is none."""
        ...

    def read_part(self, key: str, start: int, stop: int | None = None) -> bytes | None:
        """Return bytes ``[start, stop)``; a negative start counts from the end."""
        ...


@dataclass(frozen=True)
class Site:
    """What is served.

    Parameters
    ----------
    pages
        By path, without the slash at the front; "" is the first one.
    folders
        Objects by the first part of their path: those of the store, and of each map.
    """

    pages: Mapping[str, Page]
    folders: Mapping[str, Objects]

    def page(self, path: str) -> Page | None:
        """Return the page at a path."""
        return self.pages.get(path.removeprefix("/"))

    def place(self, path: str) -> tuple[Objects, str] | None:
        """Return where an object at a path lies, and its key; None where no object may be.

        What begins with a dot is no part of a store, and a local link may lead out of it.
        """
        first, _, key = path.removeprefix("/").partition("/")
        objects = self.folders.get(first)
        if objects is None or any(part.startswith(".") for part in key.split("/")):
            return None
        try:
            check_key(key)
        except InvalidConfigError:
            return None
        return (objects, key) if objects.is_below(key) else None


def open_server(site: Site, port: int) -> ThreadingHTTPServer:
    """Return a server that listens on loopback.

    Parameters
    ----------
    site
        What it serves.
    port
        0 for any that is free.

    Raises
    ------
    OSError
        If the port is taken.
    """
    return ThreadingHTTPServer((LOOPBACK, port), partial(_Handler, site))


class _Handler(BaseHTTPRequestHandler):
    """Answers one connection; the base calls ``do_GET`` and ``do_HEAD``."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and content are two writes
    server_version, sys_version = "geoembz", ""

    def __init__(self, site: Site, *arguments: Any) -> None:
        self._site = site
        super().__init__(*arguments)

    def do_GET(self) -> None:
        """Answer a request."""
        if not self._is_for_this_machine():
            self._say(HTTPStatus.MISDIRECTED_REQUEST, f"expected the host {LOOPBACK} or localhost")
            return
        path = unquote(urlsplit(self.path).path)
        page = self._site.page(path)
        if page is not None:
            self._send(HTTPStatus.OK, page.content, {"Content-Type": page.media_type})
            return
        try:
            self._answer_object(self._site.place(path))
        except GeoembzError as error:
            self._say(HTTPStatus.BAD_GATEWAY, str(error))

    do_HEAD = do_GET  # noqa: N815 - the base calls it so

    def _is_for_this_machine(self) -> bool:
        port = self.connection.getsockname()[1]
        return self.headers.get("Host") in {f"{LOOPBACK}:{port}", f"localhost:{port}"}

    def _answer_object(self, place: tuple[Objects, str] | None) -> None:
        wanted = _RANGE.fullmatch(self.headers.get("Range", ""))
        if place is None:
            self._say(HTTPStatus.NOT_FOUND, "no such page or object")
            return
        objects, key = place
        if self.command == "HEAD":
            size = objects.size(key)
            if size is None:
                self._say(HTTPStatus.NOT_FOUND, f"no object {key}")
            else:
                self._send(HTTPStatus.OK, b"", _BINARY, length=size)
        elif wanted is None or not (wanted[1] or wanted[2]):
            content = objects.read(key)
            if content is None:
                self._say(HTTPStatus.NOT_FOUND, f"no object {key}")
            else:
                self._send(HTTPStatus.OK, content, _BINARY)
        else:
            self._answer_part(objects, key, wanted[1], wanted[2])

    def _answer_part(self, objects: Objects, key: str, first: str, last: str) -> None:
        """Answer a range: from `first` to `last`, or the last so many bytes."""
        start = int(first) if first else -int(last)
        stop = int(last) + 1 if first and last else None
        size = (
            objects.size(key) if stop is None else None
        )  # a server would be asked: only if needed
        part = objects.read_part(key, start, stop)
        if part is None:
            self._say(HTTPStatus.NOT_FOUND, f"no object {key}")
        elif not part:
            self._say(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"{key} ends before byte {first}")
        else:
            start = start if first or size is None else size - len(part)
            where = f"bytes {start}-{start + len(part) - 1}/{'*' if size is None else size}"
            self._send(HTTPStatus.PARTIAL_CONTENT, part, _BINARY | {"Content-Range": where})

    def _say(self, status: HTTPStatus, text: str) -> None:
        """Answer that something is wrong; the page shows the text."""
        self._send(status, text.encode(), {"Content-Type": "text/plain; charset=utf-8"})

    def _send(
        self,
        status: HTTPStatus,
        content: bytes,
        headers: Mapping[str, str],
        *,
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {**_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Keep quiet: the terminal belongs to the command."""


_BINARY = {"Content-Type": "application/octet-stream"}
