"""Open a store, and maps made of it, in the browser, for as long as somebody looks at them."""

import threading
import webbrowser
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from html import escape
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Self

from geoembz._objects.names import text_type
from geoembz._objects.tree import ObjectTree
from geoembz._view.bundle import INDEX, built_page
from geoembz._view.server import LOOPBACK, STORE, Objects, Page, Site, open_server
from geoembz._view.tiff_objects import TiffObjects
from geoembz.errors import InvalidConfigError, StoreError, redact
from geoembz.store.maps import is_tiff, map_object
from geoembz.store.open import is_table_store, open_any_group, open_group

_MOST_PORT = 65_535
_AT_ONCE_FROM_DISK = 256_000_000
"""Bytes of codes that the page reads at once where no network is between: what it keeps."""


@dataclass(frozen=True, eq=False)
class Viewer:
    """A page that shows a store or maps, served on this machine until it is closed.

    Parameters
    ----------
    store
        What it shows; of maps alone, the first.
    url
        Where the page is.
    """

    store: str
    url: str
    _server: ThreadingHTTPServer = field(repr=False)
    _closed: threading.Event = field(repr=False, default_factory=threading.Event)

    def wait(self) -> None:
        """Return when somebody else closes it."""
        self._closed.wait()

    def close(self) -> None:
        """Serve it no longer; a second time does nothing."""
        if not self._closed.is_set():
            self._closed.set()
            self._server.shutdown()
            self._server.server_close()

    def __enter__(self) -> Self:
        """Return the viewer itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _repr_html_(self) -> str:
        """Show the link in a notebook."""
        return f'<a href="{self.url}" target="_blank">{escape(redact(self.store))}</a>'


def view(
    store: str | Path,
    maps: str | Path | Sequence[str | Path] = (),
    *,
    port: int | None = None,
    browser: bool = True,
    say: Callable[[str], None] | None = None,
) -> Viewer:
    """Serve a page that shows a store or maps, on this machine alone, and open it in the browser.

    The page reads the store through the same server, which answers nobody from elsewhere: so it
    shows whatever this process can read, with credentials or without, and the page sees none.

    Parameters
    ----------
    store
        Path or URL of a store of rasters; or of a map.
    maps
        Paths or URLs of maps that `geoembz map` wrote, to lie over the store: ``.zarr`` or
        ``.tif``. The first lies on top.
    port
        Of the server; None for one that is free.
    browser
        Open the page in the browser.
    say
        Told in words when the page has to be built first (in a clone, with npm).

    Returns
    -------
    viewer
        Its `url`; `close` it, or use it as a context manager.

    Raises
    ------
    InvalidConfigError
        If the store is one of a table, or the port is taken or none.
    StoreError
        If there is no store, a map is none, or one cannot be read.
    MissingPackageError
        If the page is not built and npm is not there to do it.

    References
    ----------
    docs/howto/view.md.
    """
    url = str(store)
    if port is not None and not 0 < port <= _MOST_PORT:
        raise InvalidConfigError(f"view: port {port}; expected 1 to {_MOST_PORT}")
    others = [maps] if isinstance(maps, str | Path) else maps
    site = _gather(url, [str(place) for place in others], say)
    try:
        server = open_server(site, port or 0)
    except OSError as error:
        raise InvalidConfigError(
            f"view: port {port} cannot be listened on ({error.strerror}); choose another --port, "
            "or none"
        ) from error
    threading.Thread(target=server.serve_forever, name="geoembz-view", daemon=True).start()
    viewer = Viewer(url, f"http://{LOOPBACK}:{server.server_port}/", server)
    if browser:
        webbrowser.open(viewer.url)
    return viewer


def _gather(url: str, maps: Sequence[str], say: Callable[[str], None] | None) -> Site:
    """Return the page and all objects, after a look at each place: before the page is built."""
    shown = _open_map(url)
    folders: dict[str, Objects] = {}
    if shown is None:
        folders[STORE] = _open_store(url)
    else:
        maps = [url, *maps]
    names = {f"map{number}": place for number, place in enumerate(maps)}
    for name, place in names.items():
        folders[name] = _require_map(place)
    files = built_page(
        STORE if STORE in folders else None,
        redact(url),
        say,
        at_once=_AT_ONCE_FROM_DISK if ObjectTree(url).is_local else None,
        maps={name: redact(place) for name, place in names.items()},
    )
    pages = {
        name: Page(content, text_type(name) or "application/octet-stream")
        for name, content in files.items()
    }
    return Site({"": pages[INDEX], **pages}, folders)


def _open_store(url: str) -> ObjectTree:
    """Return the objects of a store that has pixels."""
    if is_table_store(open_group(url)):
        raise InvalidConfigError(
            f"{url}: a table has no pixels to draw; expected a store of rasters; convert it with "
            "--grid where its rows lie on a grid"
        )
    return ObjectTree(url)


def _open_map(url: str) -> Objects | None:
    """Return the objects of a map; None where a Zarr group is none."""
    if is_tiff(url):
        return TiffObjects.open(url)
    is_map = map_object(open_any_group(url).attrs.asdict()) is not None
    return ObjectTree(url) if is_map else None


def _require_map(url: str) -> Objects:
    found = _open_map(url)
    if found is None:
        raise StoreError(
            f"{url}: no map that `geoembz map` made; expected one store at most, the first, and "
            "maps behind it"
        )
    return found
