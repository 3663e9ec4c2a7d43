"""The demonstration writes where nothing is, and over its own files only."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._demo import run_demo
from geoembz.errors import DestinationExistsError
from tests.conftest import MakeRaster

SIZE = 64


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "demo"
    run_demo(folder, size=SIZE, pca=4)
    return folder


def test_again_in_its_own_directory(made: Path, tmp_path: Path) -> None:
    """The second run replaces the first, which may have been used meanwhile."""
    folder = tmp_path / "demo"
    shutil.copytree(made, folder)
    geoembz.convert(folder / "embedding.tif", folder / "mine.zarr", pca=2)
    (folder / "notes.txt").write_text("mine")
    mine = contents(folder / "mine.zarr")
    run_demo(folder, size=SIZE, seed=1, pca=4)
    after = contents(folder)
    assert after["embedding.tif"] != contents(made)["embedding.tif"]
    assert after["notes.txt"] == b"mine"
    assert contents(folder / "mine.zarr") == mine


def test_a_year_later_goes_with_its_scene(tmp_path: Path) -> None:
    """Asked for, it is there; a run without it leaves none of another seed."""
    result = run_demo(tmp_path / "demo", size=SIZE, pca=4, later=True)
    assert result.files.later == tmp_path / "demo" / "later.tif"
    assert result.to_json()["changed"] == str(tmp_path / "demo" / "changed.tif")
    result = run_demo(tmp_path / "demo", size=SIZE, pca=4, seed=1)
    assert result.to_json()["later"] is None
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "demo.zarr",
        "embedding.tif",
        "labels.tif",
    ]


def _interrupt(done: int, total: int) -> None:
    raise KeyboardInterrupt


def test_again_after_an_interruption(made: Path, tmp_path: Path) -> None:
    """A scene without a store, or with one that is not finished, is gone on with."""
    folder = tmp_path / "demo"
    shutil.copytree(made, folder)
    shutil.rmtree(folder / "demo.zarr")
    with pytest.raises(KeyboardInterrupt):
        geoembz.convert(folder / "embedding.tif", folder / "demo.zarr", pca=4, progress=_interrupt)
    assert not (folder / "demo.zarr" / "zarr.json").exists()
    (folder / ".embedding.0.partial.tif").write_bytes(b"")
    run_demo(folder, size=SIZE, pca=4)
    assert (folder / "demo.zarr" / "zarr.json").exists()


def _text(path: Path) -> None:
    path.write_text("mine")


def _raster(path: Path, make_raster: MakeRaster) -> None:
    make_raster(path, np.random.default_rng(0).normal(size=(4, 16, 16)).astype("float32"))


def _store(made: Path, folder: Path, make_raster: MakeRaster) -> None:
    del made
    _raster(folder / "x.tif", make_raster)
    geoembz.convert(folder / "x.tif", folder / "demo.zarr", pca=2)


def _replaced(made: Path, folder: Path) -> None:
    shutil.copytree(made, folder, dirs_exist_ok=True)
    geoembz.convert(made / "embedding.tif", folder / "demo.zarr", pca=2, overwrite=True)


def _labels(made: Path, folder: Path, make_raster: MakeRaster) -> None:
    shutil.copytree(made, folder, dirs_exist_ok=True)
    _raster(folder / "labels.tif", make_raster)


def _later(made: Path, folder: Path, make_raster: MakeRaster) -> None:
    shutil.copytree(made, folder, dirs_exist_ok=True)
    _raster(folder / "later.tif", make_raster)


FOREIGN: dict[str, Callable[[Path, Path, MakeRaster], None]] = {
    "embedding.tif": lambda _, folder, raster: _raster(folder / "embedding.tif", raster),
    "labels.tif": lambda _, folder, raster: _raster(folder / "labels.tif", raster),
    "no raster": lambda *a: _text(a[1] / "embedding.tif"),
    "a folder of that name": lambda *a: (a[1] / "labels.tif").mkdir(),
    "demo.zarr": _store,
    "demo.zarr beside a demonstration": lambda *a: _replaced(a[0], a[1]),
    "labels beside a demonstration": _labels,
    "another date beside a demonstration": _later,
    "a file called demo.zarr": lambda *a: _text(a[1] / "demo.zarr"),
    "other files": lambda *a: _text(a[1] / "thesis.tex"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_files_of_others_are_left_alone(
    made: Path, tmp_path: Path, make_raster: MakeRaster, name: str
) -> None:
    """Whatever stands where the demonstration would write, and is not from one, is refused."""
    FOREIGN[name](made, tmp_path, make_raster)
    before = contents(tmp_path)
    with pytest.raises(DestinationExistsError, match=r"demonstration"):
        run_demo(tmp_path, size=SIZE, pca=4)
    assert contents(tmp_path) == before


def test_the_command_ends_by_naming_what_shows_the_store(tmp_path: Path) -> None:
    """The last line can be pasted; with --json there is none."""
    words = ["demo", str(tmp_path / "my demo"), "--size", "64"]
    printed = CliRunner().invoke(app, words).output
    store = tmp_path / "my demo" / "demo.zarr"
    assert printed.splitlines()[-1] == f"see it on a map: geoembz view '{store}'"
    assert "geoembz view" not in CliRunner().invoke(app, [*words, "--json"]).output
