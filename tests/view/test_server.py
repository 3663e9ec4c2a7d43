"""The server behind the page: objects and their ranges, for this machine alone."""

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from geoembz._objects.tree import ObjectTree
from geoembz._view.server import STORE, Page, Site, open_server
from tests.sources.serving import serving

CONTENT = bytes(range(200))
PAGE = Page(b"<!doctype html>", "text/html; charset=utf-8")


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a folder with an object, a hidden one, and a link that leads out."""
    folder = tmp_path / "a.zarr"
    (folder / "embedding" / "c").mkdir(parents=True)
    (folder / "embedding" / "c" / "0").write_bytes(CONTENT)
    (folder / ".geoembz").mkdir()
    (folder / ".geoembz" / "lock").write_bytes(b"token")
    (tmp_path / "secret").write_bytes(b"secret")
    (folder / "link").symlink_to(tmp_path / "secret")
    return folder


@contextmanager
def served(url: str) -> Iterator[int]:
    """Serve a store and a page; give the port."""
    server = open_server(Site({"": PAGE, "main.js": PAGE}, {STORE: ObjectTree(url)}), 0)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def asked(
    port: int, path: str, method: str = "GET", **headers: str
) -> tuple[int, bytes, http.client.HTTPMessage]:
    """Send one request and return status, content and headers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("wanted", "expected", "where"),
    [
        ("bytes=3-7", CONTENT[3:8], "bytes 3-7/*"),
        ("bytes=190-500", CONTENT[190:], "bytes 190-199/*"),
        ("bytes=150-", CONTENT[150:], "bytes 150-199/200"),
        ("bytes=-20", CONTENT[-20:], "bytes 180-199/200"),
        ("bytes=-500", CONTENT, "bytes 0-199/200"),
    ],
)
@pytest.mark.parametrize("is_remote", [False, True])
def test_a_part_of_an_object_is_that_part(
    store: Path, wanted: str, expected: bytes, where: str, *, is_remote: bool
) -> None:
    """First bytes, last bytes and those between come as object stores send them, from anywhere."""
    with serving(store.parent) as address:
        url = f"{address}/a.zarr" if is_remote else str(store)
        with served(url) as port:
            status, content, headers = asked(port, "/store/embedding/c/0", Range=wanted)
    assert (status, content, headers["Content-Range"]) == (206, expected, where)


def test_a_whole_object_its_size_and_what_is_not_there(store: Path) -> None:
    """GET without a range sends all, HEAD the size; an absent object is 404, no error."""
    with served(str(store)) as port:
        assert asked(port, "/store/embedding/c/0")[:2] == (200, CONTENT)
        status, content, headers = asked(port, "/store/embedding/c/0", "HEAD")
        assert (status, content, headers["Content-Length"]) == (200, b"", "200")
        assert asked(port, "/store/embedding/c/0", Range="bytes=200-300")[0] == 416
        for method in ("GET", "HEAD"):
            assert asked(port, "/store/embedding/c/1", method)[0] == 404
            assert asked(port, "/store/embedding/c", method)[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/store/../secret", "/store/%2e%2e/secret", "/store//etc/passwd", "/store/embedding/",
        "/store/.geoembz/lock", "/store/link", "/store", "/store/", "/secret",
        "/a.zarr/embedding/c/0",
        "/store/embedding/c/../../../secret", "/store/embedding%2fc%5c0",
    ],
)  # fmt: skip
def test_nothing_but_pages_and_objects_is_served(store: Path, path: str) -> None:
    """No way leads out of the store, to what is no part of it, or to a listing."""
    with served(str(store)) as port:
        assert asked(port, path)[0] == 404


@pytest.mark.parametrize("host", ["evil.example", "evil.example:{port}", "127.0.0.1:1", ""])
def test_other_hosts_are_refused(store: Path, host: str) -> None:
    """A page from elsewhere whose name means 127.0.0.1 sends its own name, and gets nothing."""
    with served(str(store)) as port:
        for path in ("/", "/store/embedding/c/0"):
            status, content, _ = asked(port, path, Host=host.format(port=port))
            assert status == 421
            assert CONTENT not in content
        assert asked(port, "/", Host=f"localhost:{port}")[0] == 200


def test_pages_say_what_they_are_and_may_not_be_read_by_others(store: Path) -> None:
    """The page comes with its type; no header lets pages of other origins read anything."""
    with served(str(store)) as port:
        status, content, headers = asked(port, "/?store=x")
        assert (status, content, headers["Content-Type"]) == (200, PAGE.content, PAGE.media_type)
        assert headers["Access-Control-Allow-Origin"] is None
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_a_server_that_does_not_answer_is_said_in_words() -> None:
    """What is wrong upstream reaches the page as a sentence, not as a broken connection."""
    with served("http://127.0.0.1:9/gone.zarr") as port:
        status, content, _ = asked(port, "/store/zarr.json")
    assert status == 502
    assert b"127.0.0.1:9/gone.zarr" in content
