"""The page beside a published store, and what is said of where it lies."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._objects.names import parse_store_url
from geoembz._publish.page import Reach, public_address
from geoembz._view import bundle
from tests.conftest import MakeRaster
from tests.publish.conftest import Server

INDEX = b"".join(
    b'<meta name="geoembz-%s" content="" />' % name for name in (b"store", b"name", b"maps")
)


@pytest.fixture(autouse=True)
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a page that is built in the place of ours."""
    (tmp_path / "view" / "dist").mkdir(parents=True)
    (tmp_path / "view" / "dist" / "index.html").write_bytes(INDEX)
    (tmp_path / "view" / "dist" / "main.js").write_bytes(b"// code")
    monkeypatch.setattr(bundle, "_FOLDER", tmp_path / "view")


def test_the_page_lies_beside_the_store(store: Path, tmp_path: Path) -> None:
    """It names the store relative to itself; store, manifest and verify know nothing of it."""
    target = tmp_path / "there" / "copy.zarr"
    geoembz.publish(store, str(target), stac=False)
    before = geoembz.verify(target, manifest=True).problems
    for overwrite in (False, True):  # and again
        report = geoembz.publish(store, str(target), stac=False, viewer=True, overwrite=overwrite)
    page = target.with_name("copy.zarr.view") / "index.html"
    assert report.page_url == f"file://{page}"
    assert f"page file://{page}" in report.to_table()
    assert 'name="geoembz-store" content="../copy.zarr"' in page.read_text()
    assert page.with_name("main.js").read_bytes() == b"// code"
    assert report.n_uploaded == 0
    assert geoembz.verify(target, manifest=True).problems == before
    assert "view" not in target.with_name("copy.zarr.manifest.json").read_text()
    assert report.notes == ()  # nobody knows the address of a folder


def test_the_page_of_a_map_names_the_map(make_raster: MakeRaster, tmp_path: Path) -> None:
    """A map is published as any Zarr group is; its page shows it alone."""
    values = np.random.default_rng(0).normal(size=(4, 20, 20)).astype(np.float32)
    geoembz.convert(make_raster(tmp_path / "a.tif", values), tmp_path / "a.zarr")
    geoembz.map_cluster(tmp_path / "a.zarr", tmp_path / "k.zarr", k=2)
    target = tmp_path / "there" / "k.zarr"
    geoembz.publish(tmp_path / "k.zarr", str(target), stac=False, viewer=True)
    page = (target.with_name("k.zarr.view") / "index.html").read_text().replace("&quot;", '"')
    assert 'name="geoembz-store" content=""' in page
    assert f'name="geoembz-maps" content="[{{"url": "../k.zarr", "name": "{target}"}}]"' in page
    assert (target / "zarr.json").read_bytes() == (tmp_path / "k.zarr" / "zarr.json").read_bytes()


def test_the_page_in_a_bucket_has_its_types(
    store: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser must be told what HTML is; what the bucket lacks is said."""
    url = f"s3://{server.bucket}/here/copy.zarr"
    report = geoembz.publish(store, url, endpoint_url=server.endpoint, stac=False, viewer=True)
    assert report.page_url == f"s3://{server.bucket}/here/copy.zarr.view/index.html"
    head = server.head("here/copy.zarr.view/index.html")
    assert head["ContentType"] == "text/html; charset=utf-8"
    assert len(report.notes) == 1
    assert f"{server.endpoint}/{server.bucket}/here/copy.zarr" in report.notes[0]


@contextmanager
def answering(status: int, **headers: str) -> Iterator[str]:
    """Serve one answer to every request; give the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Keep quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/a.zarr"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


CORS = {"Access_Control_Allow_Origin": "*"}


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (206, {**CORS, "Access_Control_Expose_Headers": "etag, Content-Range"}, []),
        (206, {**CORS, "Access_Control_Expose_Headers": "*"}, []),
        (206, {}, ["pages elsewhere cannot read .*no CORS headers"]),
        (206, {**CORS, "Access_Control_Expose_Headers": "ETag"}, ["Content-Range hidden"]),
        (200, {**CORS, "Access_Control_Expose_Headers": "*"}, ["sends whole objects"]),
        (200, {}, ["sends whole objects", "no CORS headers"]),
        (403, {}, ["answers 403 to requests without credentials"]),
    ],
)
def test_what_a_destination_lacks_is_said(
    status: int, headers: dict[str, str], said: list[str]
) -> None:
    """Each of ranges, CORS and public reading by itself; silence where all is there."""
    import re

    with answering(status, **headers) as address:
        lines = Reach.of(address).in_words(address)
    assert len(lines) == len(said)
    assert all(re.search(pattern, line) for pattern, line in zip(said, lines, strict=True))


def test_an_address_that_does_not_answer_is_said() -> None:
    (line,) = Reach.of("http://127.0.0.1:9/a.zarr").in_words("http://127.0.0.1:9/a.zarr")
    assert "does not answer" in line


def test_public_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of Amazon's buckets by region; of folders there is none."""
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    found = public_address(parse_store_url("s3://b/p/a.zarr"), None)
    assert found == "https://b.s3.eu-central-1.amazonaws.com/p/a.zarr"
    assert public_address(parse_store_url("/data/a.zarr"), None) is None
