"""Bad input gets one clear error and an exit code; what was there before is untouched."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz.encoding import Encoding
from geoembz.errors import GeoembzError
from tests.conftest import MakeRaster
from tests.trees import names, objects

DIMENSION = 8


@dataclass(frozen=True)
class Place:
    """A directory with a raster, a store, and whatever a case adds."""

    folder: Path
    make_raster: MakeRaster

    def raster(self, name: str, values: Any, **options: Any) -> Path:
        return self.make_raster(self.folder / name, values, **options)

    @property
    def values(self) -> Any:
        return np.random.default_rng(1).normal(size=(DIMENSION, 20, 20)).astype(np.float32)


@pytest.fixture
def place(tmp_path: Path, make_raster: MakeRaster) -> Place:
    made = Place(tmp_path, make_raster)
    made.raster("good.tif", made.values)
    return made


type Case = Callable[[Place], tuple[list[str], dict[str, Any]]]


def missing(place: Place) -> tuple[list[str], dict[str, Any]]:
    return ["missing.tif", "out"], {}


def no_raster(place: Place) -> tuple[list[str], dict[str, Any]]:
    (place.folder / "text.tif").write_text("not a raster")
    return ["text.tif", "out"], {}


def directory(place: Place) -> tuple[list[str], dict[str, Any]]:
    (place.folder / "folder").mkdir()
    return ["folder", "out"], {}


def empty(place: Place) -> tuple[list[str], dict[str, Any]]:
    (place.folder / "empty.tif").write_bytes(b"")
    return ["empty.tif", "out"], {}


def truncated(place: Place) -> tuple[list[str], dict[str, Any]]:
    path = place.raster("cut.tif", place.values)
    path.write_bytes(path.read_bytes()[:-500])
    return ["cut.tif", "out"], {}


def all_nodata(place: Place) -> tuple[list[str], dict[str, Any]]:
    place.raster("nodata.tif", place.values * 0 - 1, nodata=-1)
    return ["nodata.tif", "out"], {}


def complex_numbers(place: Place) -> tuple[list[str], dict[str, Any]]:
    place.raster("complex.tif", place.values.astype(np.complex64))
    return ["complex.tif", "out"], {}


def too_few_pixels(place: Place) -> tuple[list[str], dict[str, Any]]:
    values = np.full((DIMENSION, 20, 20), np.nan, np.float32)
    values[:, 0, :5] = place.values[:, 0, :5]
    place.raster("few.tif", values)
    return ["few.tif", "out", "--pca", "7"], {"pca": 7}


def other_dimension(place: Place) -> tuple[list[str], dict[str, Any]]:
    vectors = np.random.default_rng(2).normal(size=(50, 5)).astype(np.float32)
    Encoding.fit(vectors, "pca3-int8").save(place.folder / "basis.npz")
    basis = str(place.folder / "basis.npz")
    return ["good.tif", "out", "--basis", basis], {"basis": basis}


def missing_basis(place: Place) -> tuple[list[str], dict[str, Any]]:
    basis = str(place.folder / "basis.zarr")
    return ["good.tif", "out", "--basis", basis], {"basis": basis}


def flags(*words: str, **options: Any) -> Case:
    def case(place: Place) -> tuple[list[str], dict[str, Any]]:
        return ["good.tif", "out", *words], options

    return case


def inside_a_file(place: Place) -> tuple[list[str], dict[str, Any]]:
    return ["good.tif", "good.tif/out.zarr"], {}


def onto_a_file(place: Place) -> tuple[list[str], dict[str, Any]]:
    return ["good.tif", "good.tif", "--overwrite"], {"overwrite": True}


def onto_a_store(place: Place) -> tuple[list[str], dict[str, Any]]:
    geoembz.convert(place.folder / "good.tif", place.folder / "out", pca=2)
    return ["good.tif", "out"], {}


def onto_other_files(place: Place) -> tuple[list[str], dict[str, Any]]:
    (place.folder / "photos").mkdir()
    (place.folder / "photos" / "cat.jpg").write_bytes(b"meow")
    return ["good.tif", "photos", "--overwrite"], {"overwrite": True}


def onto_nothing(place: Place) -> tuple[list[str], dict[str, Any]]:
    (place.folder / "link").symlink_to(place.folder / "nowhere")
    return ["good.tif", "link"], {}


CASES: dict[str, tuple[Case, int, str]] = {
    "missing file": (missing, 1, r"missing\.tif.*no such file"),
    "no raster": (no_raster, 1, r"text\.tif.*not a raster"),
    "a directory": (directory, 1, r"folder.*not a raster"),
    "an empty file": (empty, 1, r"empty\.tif.*not a raster"),
    "truncated": (truncated, 1, r"cut\.tif.*truncated"),
    "all nodata": (all_nodata, 1, r"nodata\.tif.*no valid pixel"),
    "complex": (complex_numbers, 1, r"complex\.tif.*complex64.*real numbers"),
    "too few pixels": (too_few_pixels, 1, r"few\.tif.*7 components from \d valid pixels"),
    "basis of another dimension": (other_dimension, 1, r"8 components.*basis is for 5"),
    "missing basis": (missing_basis, 1, r"basis\.zarr.*no Zarr store"),
    "K above the dimension": (flags("--pca", "9", pca=9), 2, r"good\.tif.*9.*at most 8"),
    "K of nothing": (flags("--pca", "0", pca=0), 2, r"0 components.*1 or more"),
    "no samples": (flags("--fit-samples", "0", fit_samples=0), 2, r"fit_samples 0.*1 or more"),
    "a negative seed": (flags("--seed", "-1", seed=-1), 2, r"seed -1.*0 or more"),
    "no workers": (flags("--workers", "0", workers=0), 2, r"workers 0.*1 or more"),
    "a chunk of nothing": (flags("--chunk", "0", chunk=0), 2, r"chunk 0.*1 pixel"),
    "half a chunk": (flags("--chunk", "8", "--shard", "12", chunk=8, shard=12), 2, "multiple"),
    "nodata no number": (flags("--nodata", "sea", nodata="sea"), 2, r"'sea'.*a number"),
    "no CRS": (flags("--crs", "EPSG:999999", crs="EPSG:999999"), 2, r"EPSG:999999.*a CRS"),
    "a model no URI": (flags("--model", "my model", model="my model"), 2, r"my model.*a URI"),
    "inside a file": (inside_a_file, 2, r"lies inside .*good\.tif"),
    "onto a file": (onto_a_file, 2, r"is a file"),
    "onto a store": (onto_a_store, 2, r"holds a store already.*(--overwrite|overwrite=True)"),
    "onto other files": (onto_other_files, 2, r"no Zarr store"),
    "onto a link to nothing": (onto_nothing, 2, r"link to nothing"),
}


def untouched(before: dict[str, bytes], folder: Path) -> bool:
    """Whether everything is as it was, and nothing new is there."""
    return objects(folder) == before


@pytest.mark.parametrize("name", CASES)
def test_the_api_raises(name: str, place: Place) -> None:
    """One of our errors, of the right kind; nothing is written, nothing is lost."""
    case, code, message = CASES[name]
    (source, destination, *_), options = case(place)
    before = objects(place.folder)
    with pytest.raises(GeoembzError, match=message) as caught:
        geoembz.convert(place.folder / source, place.folder / destination, **options)
    assert caught.value.exit_code == code
    assert untouched(before, place.folder)


@pytest.mark.parametrize("name", CASES)
def test_the_command_exits(name: str, place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """One message on standard error, no traceback, nothing on standard output."""
    case, code, _ = CASES[name]
    (source, destination, *words), _ = case(place)
    before = objects(place.folder)
    capsys.readouterr()
    arguments = ["convert", str(place.folder / source), str(place.folder / destination), *words]
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    printed = capsys.readouterr()
    assert caught.value.code == code
    assert printed.out == ""
    lines = [line for line in printed.err.splitlines() if not line.startswith("ERROR 1: PROJ")]
    assert len(lines) == 1
    assert lines[0].startswith("geoembz: error: ")
    assert "Traceback" not in printed.err
    assert untouched(before, place.folder)


def test_debug_shows_where(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """With --debug the traceback is printed."""
    with pytest.raises(SystemExit) as caught:
        main(["--debug", "convert", str(place.folder / "missing.tif"), str(place.folder / "out")])
    assert caught.value.code == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback")
    assert said.splitlines()[-1].startswith("geoembz.errors.SourceError:")
    assert "no such file" in said


@pytest.mark.parametrize(
    "words",
    [[], ["convert"], ["convert", "a.tif"], ["nonsense"], ["convert", "a", "b", "--pca", "many"]],
)
def test_wrong_usage_exits_with_2(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code == 2
    assert "Traceback" not in capsys.readouterr().err


def test_two_quantizers_exclude_each_other(
    place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(place.folder / "good.tif")
    with pytest.raises(SystemExit) as caught:
        main(["convert", source, str(place.folder / "out"), "--int8", "--int4"])
    assert caught.value.code == 2
    assert "exclude each other" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["info"])
@pytest.mark.parametrize("what", ["missing", "file", "newer"])
def test_stores_that_cannot_be_read_exit_with_1(
    command: str, what: str, place: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    """A newer version, a file and nothing at all are data errors."""
    store = place.folder / what
    if what == "file":
        shutil.copy(place.folder / "good.tif", store)
    if what == "newer":
        geoembz.convert(place.folder / "good.tif", store)
        path = store / "zarr.json"
        path.write_text(
            path.read_text().replace('"geoembz:version": "0.2"', '"geoembz:version": "9"')
        )
    with pytest.raises(SystemExit) as caught:
        main([command, str(store)])
    assert caught.value.code == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert str(store) in error


def test_spaces_and_other_alphabets_are_paths(place: Place) -> None:
    """Names that shells, URLs and globs treat specially are names like any other."""
    folder = place.folder / "Änderung [1] *? #x %20"
    folder.mkdir()
    source = shutil.copy(place.folder / "good.tif", folder / "é a.tif")
    for overwrite in (False, True):
        geoembz.convert(source, folder / "dst ü [1].zarr", overwrite=overwrite)
    assert geoembz.open(folder / "dst ü [1].zarr").sizes["y"] == 20
    assert names(folder) == ["dst ü [1].zarr", "é a.tif"]


@pytest.mark.parametrize("shape", [(8, 1, 1), (1, 20, 20), (1, 1, 1), (8, 1, 30), (8, 30, 1)])
@pytest.mark.parametrize("kind", ["int8", "int4", "binary", "float32"])
def test_the_smallest_rasters_convert(shape: tuple[int, int, int], kind: str, place: Place) -> None:
    """One pixel, one band, one row, one column."""
    values = np.random.default_rng(3).normal(size=shape).astype(np.float32)
    place.raster("small.tif", values)
    geoembz.convert(place.folder / "small.tif", place.folder / "out", quantizer=kind)
    decoded = geoembz.open(place.folder / "out")["embedding"].values
    assert decoded.shape == shape
    assert np.isfinite(decoded).all()
    if kind == "float32" or shape[1:] == (1, 1):
        np.testing.assert_array_equal(decoded, values)


@pytest.mark.parametrize("value", [0.0, 3.0, -1e6])
def test_constant_rasters_come_back_exactly(value: float, place: Place) -> None:
    place.raster("flat.tif", np.full((DIMENSION, 20, 20), value, np.float32))
    summary = geoembz.convert(place.folder / "flat.tif", place.folder / "out")
    np.testing.assert_array_equal(geoembz.open(place.folder / "out")["embedding"].values, value)
    assert summary.rmse == 0


def test_a_destination_that_cannot_be_written_is_refused(place: Place) -> None:
    try:
        geoembz.convert(place.folder / "good.tif", "/proc/out.zarr")
    except GeoembzError:
        return
