"""`geoembz.view`, its command, and the page's files: what is said where one cannot be had."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._view import bundle
from tests.conftest import MakeRaster
from tests.sources.serving import serving

PAGE = b"".join(
    b'<meta name="geoembz-%s" content="" />' % name
    for name in (b"store", b"name", b"at-once", b"maps")
)


@pytest.fixture
def store(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """Return a small store."""
    values = np.random.default_rng(0).normal(size=(6, 16, 16)).astype("float32")
    raster = make_raster(tmp_path / "a.tif", values)
    geoembz.convert(raster, tmp_path / "a.zarr", pca=4, fit_samples=100)
    return tmp_path / "a.zarr"


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a page that is built, put in the place of ours."""
    folder = tmp_path / "view"
    (folder / "dist").mkdir(parents=True)
    (folder / "dist" / "index.html").write_bytes(PAGE)
    (folder / "dist" / "main.js").write_bytes(b"// code")
    monkeypatch.setattr(bundle, "_FOLDER", folder)
    return folder


def content(url: str) -> bytes:
    """Return what is at an address."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - ours
        return bytes(answer.read())


def test_view_serves_the_page_told_of_the_store(store: Path, built: Path) -> None:
    """The page knows where the store is and what it is called; its files and objects come along."""
    with geoembz.view(store, browser=False) as viewer:
        page = content(viewer.url).decode()
        assert 'name="geoembz-store" content="store"' in page
        assert f'name="geoembz-name" content="{store}"' in page
        assert content(f"{viewer.url}main.js") == b"// code"
        document = json.loads(content(f"{viewer.url}store/zarr.json"))
        assert document == json.loads((store / "zarr.json").read_text())
    with pytest.raises(OSError, match="refused"):
        content(viewer.url)


def test_view_opens_the_browser_unless_told_not_to(
    store: Path, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's browser gets the page's address."""
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    with geoembz.view(store) as viewer:
        assert opened == [viewer.url]
    with geoembz.view(store, browser=False):
        assert len(opened) == 1


def test_view_refuses_what_it_cannot_show(store: Path, built: Path, tmp_path: Path) -> None:
    """A port that is none or taken, a folder without a store, a table."""
    with pytest.raises(geoembz.GeoembzError, match="port 70000; expected 1 to 65535"):
        geoembz.view(store, port=70_000, browser=False)
    with geoembz.view(store, browser=False) as viewer:
        taken = int(viewer.url.rstrip("/").rpartition(":")[2])
        with pytest.raises(geoembz.GeoembzError, match=f"port {taken} cannot be listened on"):
            geoembz.view(store, port=taken, browser=False)
    with pytest.raises(geoembz.GeoembzError, match="no Zarr store"):
        geoembz.view(tmp_path / "nothing.zarr", browser=False)


def test_view_refuses_tables(tmp_path: Path, built: Path) -> None:
    """A table has no pixels."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = np.random.default_rng(0).normal(size=(50, 4)).astype("float32")
    pq.write_table(
        pa.table({"lon": np.arange(50.0), "lat": np.zeros(50), "embedding": list(vectors)}),
        tmp_path / "t.parquet",
    )
    geoembz.convert(tmp_path / "t.parquet", tmp_path / "t.zarr", fit_samples=50)
    with pytest.raises(geoembz.GeoembzError, match="a table has no pixels to draw"):
        geoembz.view(tmp_path / "t.zarr", browser=False)


def test_the_page_may_read_more_at_once_of_a_store_on_this_machine(
    store: Path, built: Path
) -> None:
    """A slow line may lie before any other."""
    with geoembz.view(store, browser=False) as viewer:
        assert b'"geoembz-at-once" content="256000000"' in content(viewer.url)
    with (
        serving(store.parent) as url,
        geoembz.view(f"{url}/{store.name}", browser=False) as viewer,
    ):
        assert b'"geoembz-at-once" content=""' in content(viewer.url)


def test_names_cannot_break_out_of_the_page(built: Path) -> None:
    """A store's name is text, whatever is in it."""
    page = bundle.built_page("store", '"><script>alert(1)</script>')["index.html"].decode()
    assert "<script>" not in page
    assert "&quot;&gt;&lt;script&gt;" in page


def test_without_npm_and_page_it_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a clone without npm nothing is tried; a released package has the page, or says so."""
    monkeypatch.setattr(bundle, "_FOLDER", tmp_path)
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(geoembz.errors.MissingPackageError, match="packed without its page"):
        bundle.built_page("store", "a.zarr")
    (tmp_path / "package.json").touch()
    with pytest.raises(geoembz.errors.MissingPackageError, match=r"install Node\.js 20 or later"):
        bundle.built_page("store", "a.zarr")


def write_npm(folder: Path, script: str) -> Path:
    """Write a program that stands in for npm."""
    program = folder / "npm"
    program.write_text(f"#!{sys.executable}\n{script}")
    program.chmod(0o755)
    return program


def test_the_page_is_built_once_and_again_when_its_sources_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first use builds, the next does not; who changes a source gets the new page."""
    folder = tmp_path / "view"
    for name in ("src", "static", "node_modules"):
        (folder / name).mkdir(parents=True)
    for name in ("package.json", "build.mjs"):
        (folder / name).touch()
    npm = write_npm(
        tmp_path,
        "import pathlib, sys\n"
        "if sys.argv[1:] == ['run', 'build']:\n"
        "    pathlib.Path('dist').mkdir(exist_ok=True)\n"
        f"    pathlib.Path('dist/index.html').write_bytes({PAGE!r})\n"
        "    open('built', 'a').write('x')\n",
    )
    monkeypatch.setattr(bundle, "_FOLDER", folder)
    monkeypatch.setattr("shutil.which", lambda _: str(npm))
    said: list[str] = []
    for _ in range(2):
        assert bundle.built_page("store", "a.zarr", said.append).keys() == {"index.html"}
    assert (folder / "built").read_text() == "x"
    assert said == ["building the page once with npm …"]
    later = time.time() + 10
    (folder / "src" / "main.ts").touch()
    os.utime(folder / "src" / "main.ts", (later, later))
    bundle.built_page("store", "a.zarr")
    assert (folder / "built").read_text() == "xx"


def test_what_npm_says_is_told_where_it_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build that fails is an error with npm's last words."""
    npm = write_npm(tmp_path, "import sys\nsys.exit('npm error: no registry')\n")
    (tmp_path / "package.json").touch()
    monkeypatch.setattr(bundle, "_FOLDER", tmp_path)
    monkeypatch.setattr("shutil.which", lambda _: str(npm))
    with pytest.raises(geoembz.errors.OutputError, match=r"cannot be built.*\n.*no registry"):
        bundle.built_page("store", "a.zarr")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_serves_until_it_is_interrupted(
    store: Path, built: Path, number: signal.Signals
) -> None:
    """Ctrl-C is how it ends: no error, no advice to go on, exit code 0."""
    program = (
        "import pathlib, sys; from geoembz._view import bundle; from geoembz._cli import main; "
        "bundle._FOLDER = pathlib.Path(sys.argv[1]); main(sys.argv[2:])"
    )
    words = [str(built), "view", str(store), "--no-browser", "--json"]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", program, *words], **pipes) as process:
        said = ""
        while not said.endswith("}\n"):
            said += process.stdout.readline()  # type: ignore[union-attr]
        assert PAGE[:20] in content(json.loads(said)["url"])
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert (process.returncode, errors) == (0, "")
