"""Verify finds every damage, names the object, and finds nothing in what is whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import geoembz
from geoembz.cli import main
from geoembz.publish import publish
from geoembz.verification import verify
from tests.conversion.conftest import holes, raster_with_holes, scene

__all__ = ["holes", "raster_with_holes", "scene"]


@pytest.fixture(scope="module", params=["int8", "int4", "float32"])
def whole(
    request: pytest.FixtureRequest,
    raster_with_holes: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """Return a store with holes: with nodata in its codes, with a mask, with NaN."""
    path = tmp_path_factory.mktemp("whole") / "out.zarr"
    geoembz.convert(raster_with_holes, path, pca=5, quantizer=request.param, chunk=8, shard=16)
    return path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """Return a copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy.zarr"))


def flip(path: Path, at: float) -> None:
    """Change one byte."""
    content = bytearray(path.read_bytes())
    content[int(at * (len(content) - 1))] ^= 0x40
    path.write_bytes(content)


def move_origin(root: Path) -> None:
    """Shift the grid in the attributes."""
    path = root / "zarr.json"
    document = json.loads(path.read_text())
    document["attributes"]["spatial:transform"][2] += 10
    path.write_text(json.dumps(document))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "a byte of data": (lambda p: flip(p / "embedding/c/0/1/0", 0.3), "embedding/c/0/1/0"),
    "a byte of the index": (lambda p: flip(p / "embedding/c/0/2/1", 0.999), "embedding/c/0/2/1"),
    "a lost shard": (lambda p: (p / "embedding/c/0/0/0").unlink(), "embedding"),
    "a lost encoding": (lambda p: shutil.rmtree(p / "encoding/mean"), "encoding/mean"),
    "a byte of the basis": (lambda p: flip(p / "encoding/projection/c/0/0", 0.5), "zarr.json"),
    "a lost document": (lambda p: (p / "embedding/zarr.json").unlink(), "embedding/zarr.json"),
    "another grid": (move_origin, ""),
    "no store": (lambda p: (p / "zarr.json").unlink(), "zarr.json"),
}


def test_a_whole_store_has_no_problem(whole: Path) -> None:
    """Every kind of code, holes included; also against itself."""
    assert verify(str(whole)).problems == ()
    assert verify(str(whole), against=str(whole)).problems == ()


@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damage_is_named(damage: str, store: Path, whole: Path) -> None:
    """The object that is damaged is in the list, with and without another copy at hand."""
    act, key = DAMAGES[damage]
    act(store)
    found = verify(str(store)).problems
    assert found
    assert any(problem.key.startswith(key) for problem in found)
    assert verify(str(store), against=str(whole)).problems


def test_the_command_exits_with_1(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest tells what changed since it was published; the command fails then."""
    published = tmp_path / "public" / "out.zarr"
    publish(str(store), f"file://{published}")
    main_exits(["verify", str(published), "--manifest"], 0)
    flip(published / "embedding/c/0/1/0", 0.3)
    main_exits(["verify", str(published), "--manifest"], 1)
    assert "embedding/c/0/1/0: has sha256" in capsys.readouterr().out
    main_exits(["verify", str(published), "--manifest", "--against", "x"], 2)


def main_exits(words: list[str], code: int) -> None:
    """Run the command line and check its exit code."""
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert (caught.value.code or 0) == code
