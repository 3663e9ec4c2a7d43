"""Verify finds every damage, names the object, and finds nothing in what is whole."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz._convert.append import append
from geoembz._publish import copy_store
from geoembz._verify import verify
from tests import products, tables
from tests.conversion.conftest import holes, raster_with_holes, scene
from tests.conversion.test_grids import write_zones
from tests.conversion.test_times import write_year

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


def write_root(folder: Path) -> Path:
    geoembz.convert(write_zones(folder), folder / "kind.zarr", chunk=8, shard=16)
    return folder / "kind.zarr"


def write_dates(folder: Path) -> Path:
    years = {year: write_year(folder, year, holes=year == 2025) for year in (2024, 2025)}
    geoembz.convert(
        years[2024], folder / "kind.zarr", pca=4, quantizer="int4", time="2024", chunk=8, shard=16
    )
    append(folder / "kind.zarr", years[2025], time="2025")
    return folder / "kind.zarr"


def write_table(folder: Path) -> Path:
    path = tables.plain(folder / "a.parquet", np.random.default_rng(0)).path
    geoembz.convert(path, folder / "kind.zarr", recipe="pca8-int8", chunk=64, shard=128)
    return folder / "kind.zarr"


def write_prefixes(folder: Path) -> Path:
    path = products.write_raster(folder / "a.tif", products.unit_vectors(20, 24, 8, seed=1))
    geoembz.convert(path, folder / "kind.zarr", pca=8, prefix_chunks=4, chunk=8, shard=16)
    return folder / "kind.zarr"


KINDS: dict[str, Callable[[Path], Path]] = {
    "root": write_root,
    "dates": write_dates,
    "table": write_table,
    "prefix chunks": write_prefixes,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_store_is_verified(kind: str, tmp_path: Path) -> None:
    """Whole, no problem; with any object lost, changed or added, one that names it."""
    store = KINDS[kind](tmp_path)
    whole = verify(str(store))
    assert whole.problems == ()
    assert whole.shards > 1
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        key, content = path.relative_to(store).as_posix(), path.read_bytes()
        path.unlink()
        may_be_empty = key.startswith("columns/") and "/c/" in key  # zeros, as far as one can tell
        lost = verify(str(store)).problems
        named = any(related(problem.key, key) for problem in lost)
        assert named or may_be_empty, f"{key} lost: {lost}"
        if not key.endswith("zarr.json"):
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            changed = verify(str(store)).problems
            assert any(related(problem.key, key) for problem in changed), f"{key} changed"
        path.write_bytes(content)
    extra = store / "embedding" / "c" / "99" / "0" / "0"
    extra.parent.mkdir(parents=True, exist_ok=True)
    extra.write_bytes(b"?")
    assert [(problem.key, problem.what[:10]) for problem in verify(str(store)).problems] == [
        ("embedding/c/99/0/0", "unexpected")
    ]


def related(named: str, key: str) -> bool:
    """Whether a problem names an object or its array; of encodings and metadata, their group."""
    node = key.partition("/c/")[0].removesuffix("/zarr.json").removesuffix("/c")
    if named == key or named.startswith(node):
        return True
    if node.endswith("valid"):  # lost validity reads as nodata
        return named.startswith("embedding")
    is_small = "encoding" in key or key.endswith("zarr.json")
    groups = [f"{parent}/zarr.json".removeprefix("./") for parent in map(str, Path(key).parents)]
    return is_small and named in groups


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("geoemb:dimensions", 7),
        ("geoemb:type", "pixels"),
        ("geoemb:data_type", "float64"),
        ("spatial:bbox", [0, 0, 1, 1]),
        ("spatial:shape", [1, 1]),
        ("proj:code", "EPSG:4326"),
        ("zarr_conventions", []),
        ("geoembz:encoding_hash", "0" * 64),
        ("geoembz:version", "99.0"),
        ("geoembz:grids", -1),
        ("geoembz:grids", [3]),
    ],
)
def test_attributes_that_contradict_the_store_are_named(
    name: str, value: object, store: Path
) -> None:
    """What conventions promise readers follows from grid and encoding, or is a problem."""
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"][name] = value
    (store / "zarr.json").write_text(json.dumps(document))
    problems = verify(str(store)).problems
    assert any(problem.key == "zarr.json" for problem in problems)


def test_the_command_exits_with_1(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The manifest tells what changed since it was published; the command fails then."""
    published = tmp_path / "public" / "out.zarr"
    copy_store(str(store), f"file://{published}")
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
