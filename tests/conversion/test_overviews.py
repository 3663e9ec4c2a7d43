"""Overviews: what a level holds, and how levels come to a store (spec/format.md, "Overviews")."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import zarr
from numpy.typing import NDArray

import geoembz
from geoembz._convert import level_tasks
from geoembz._convert.level_tasks import LevelResult, LevelTask
from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz.encoding import Encoding
from geoembz.encoding._kernel import unpack_codes
from geoembz.errors import DestinationExistsError, InvalidConfigError, StoreError
from geoembz.store import StoreReader
from geoembz.store.journal import LOCK, Journal
from tests import products
from tests.conftest import MakeRaster
from tests.sources.serving import serving
from tests.trees import objects

RECIPES = (
    *("pca5-int8", "pca5-int4", "pca5-int2", "select5-ternary", "binary", "pca6-rot-pq3x8"),
    *("random5-power1x64", "float16", "l2-pca5-int8", "l2-float16", "l2-rot-binary"),
    *("pca5w1-rot-int8-quantile", "l2-pca5w1-rot-int8"),
)
CUT: dict[str, Any] = {"chunk": 8, "shard": 16}
LEVELS = 3

type Floats = NDArray[np.float32]


def convert(source: Path, store: Path, recipe: str = "pca5-int8", **options: Any) -> Path:
    """Convert in small shards."""
    geoembz.convert(source, store, recipe=recipe, **{**CUT, **options})
    return store


def read_level(store: Path, factor: int, date: int | None = None) -> tuple[NDArray[Any], Floats]:
    """Return the codes and the vectors of a level, read as plain Zarr and decoded by the root."""
    reader = StoreReader.open(str(store))
    path = "" if factor == 1 else f"overviews/{factor}"

    def read(name: str) -> NDArray[Any]:
        array = zarr.open_array(store, path=f"{path}/{name}", mode="r")
        return np.asarray(array[...] if date is None else array[date])

    codes = read("embedding")
    mask = read("valid") if (store / path / "valid").exists() else None
    shape = codes.shape[1:]
    flat = codes.reshape(len(codes), -1)
    vectors = reader.encoding.decode_block(flat, valid=None if mask is None else mask.reshape(-1))
    return codes, vectors.reshape(-1, *shape)


def means_of(vectors: Floats, factor: int, *, unit_length: bool) -> Floats:
    """Return the mean of the valid vectors below each pixel of a level, NaN where there is none."""
    height, width = (-(-side // factor) for side in vectors.shape[1:])
    whole = np.full((len(vectors), height * factor, width * factor), np.nan)
    whole[:, : vectors.shape[1], : vectors.shape[2]] = vectors
    squares = whole.reshape(-1, height, factor, width, factor)
    counts = (~np.isnan(squares)).sum(axis=(2, 4))
    sums = np.nansum(squares, axis=(2, 4))
    with np.errstate(invalid="ignore"):
        means = sums / counts
        scaled = means / np.linalg.norm(means, axis=0) if unit_length else means
    return np.asarray(scaled, np.float32)


def distances(encoding: Encoding, components: Floats, codes: NDArray[Any]) -> Floats:
    """Return how far each pixel's codes are from its components."""
    quantizer = encoding.quantizer
    found = quantizer.dequantize(unpack_codes(quantizer, codes, quantizer.n_codes))
    return np.asarray(np.linalg.norm(found - components, axis=0))


@pytest.fixture(scope="module")
def store(raster_with_holes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Convert a raster with holes, of odd sides, without levels."""
    return convert(raster_with_holes, tmp_path_factory.mktemp("plain") / "a.zarr")


@pytest.fixture
def copy(store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store, tmp_path / "copy.zarr"))


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_level_holds_the_means_of_the_valid_vectors_encoded(
    recipe: str, raster_with_holes: Path, tmp_path: Path
) -> None:
    store = convert(raster_with_holes, tmp_path / "a.zarr", recipe)
    geoembz.overviews(store, levels=LEVELS)
    reader = StoreReader.open(str(store))
    assert reader.attributes.unit_length == recipe.startswith("l2-")
    base = reader.read(Window(0, 0, *reader.shape), "original")
    for level in reader.attributes.levels:
        means = means_of(base, level.factor, unit_length=reader.attributes.unit_length)
        codes, vectors = read_level(store, level.factor)
        assert vectors.shape == means.shape
        np.testing.assert_array_equal(np.isnan(vectors), np.isnan(means))
        known = ~np.isnan(means[0])
        assert level.pixels == {"total": known.size, "valid": known.sum()}
        np.testing.assert_array_equal(codes[:, ~known], reader.encoding.fill_value)
        expected, _ = reader.encoding.encode_block(means[:, known])
        wanted = reader.encoding.projection.transform(means[:, known])
        ours = distances(reader.encoding, wanted, codes[:, known])
        best = distances(reader.encoding, wanted, expected)
        np.testing.assert_allclose(ours, best, rtol=1e-3, atol=1e-5)  # a tie may go either way


def test_vectors_of_a_unit_product_stay_of_length_one(tmp_path: Path) -> None:
    source = products.write_aef(tmp_path / "aef.tif", products.aef_codes(40, 36))
    store = convert(source, tmp_path / "a.zarr", "aef")
    geoembz.overviews(store, levels=2)
    for factor in (2, 4):
        lengths = np.linalg.norm(read_level(store, factor)[1], axis=0)
        assert np.abs(lengths - 1).max() < 0.02
    assert StoreReader.open(str(store)).attributes.unit_length


def test_a_level_is_no_further_from_its_floats_than_the_store(
    raster: Path, scene: Floats, tmp_path: Path
) -> None:
    store = convert(raster, tmp_path / "a.zarr")
    geoembz.overviews(store, levels=LEVELS)
    lost = []
    for factor in (1, 2, 4, 8):
        wanted = means_of(scene, factor, unit_length=False)
        found = read_level(store, factor)[1]
        products_ = (wanted * found).sum(axis=0)
        cosines = products_ / np.linalg.norm(wanted, axis=0) / np.linalg.norm(found, axis=0)
        lost.append(1 - cosines.mean())
    assert max(lost[1:]) <= lost[0]


OPTIONS: list[dict[str, Any]] = [
    {},
    {"recipe": "pca6-rot-pq3x8"},
    {"time": "2020"},
    {"shard": "none"},
    {"prefix_chunks": 2},
    {"recipe": "pca5-int8", "layout": "codec"},
]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_levels_added_later_are_those_written_with_the_store(
    options: dict[str, Any], raster_with_holes: Path, tmp_path: Path
) -> None:
    with_levels = convert(raster_with_holes, tmp_path / "a.zarr", overviews=True, **options)
    later = convert(raster_with_holes, tmp_path / "b.zarr", **options)
    before = objects(later)
    geoembz.overviews(later, workers=3)
    assert objects(later) == objects(with_levels)
    changed = {key for key, content in objects(later).items() if before.get(key) != content}
    assert {key.split("/")[0] for key in changed} == {"overviews", "digests", "zarr.json"}
    assert not geoembz.verify(later).problems


def test_the_codec_layout_reads_a_level_as_vectors(raster_with_holes: Path, tmp_path: Path) -> None:
    store = convert(raster_with_holes, tmp_path / "a.zarr", overviews=True)
    codec = convert(raster_with_holes, tmp_path / "b.zarr", layout="codec", overviews=True)
    with xr.open_zarr(codec, group="overviews/2") as opened:
        np.testing.assert_array_equal(opened["embedding"].values, read_level(store, 2)[1])


def test_plain_xarray_opens_a_level_where_it_lies(copy: Path) -> None:
    geoembz.overviews(copy, levels=2)
    with xr.open_zarr(copy) as full, xr.open_zarr(copy, group="overviews/4") as level:
        assert level["embedding"].dims == ("component", "y", "x")
        assert level.sizes["y"], level.sizes["x"] == (13, 12)
        step = float(full["x"][1] - full["x"][0])
        assert float(level["x"][0]) == float(full["x"][0]) + 1.5 * step
        assert float(level["x"][1] - level["x"][0]) == 4 * step
        assert level["embedding"].attrs["grid_mapping"] == "spatial_ref"
        assert level["spatial_ref"].attrs["crs_wkt"] == full["spatial_ref"].attrs["crs_wkt"]


def test_the_number_of_workers_and_of_shards_changes_no_vector(
    raster_with_holes: Path, copy: Path, tmp_path: Path
) -> None:
    again = Path(shutil.copytree(copy, tmp_path / "again.zarr"))
    geoembz.overviews(copy, levels=4, workers=1)
    geoembz.overviews(again, levels=4, workers=4)
    assert objects(copy) == objects(again)
    wide = convert(raster_with_holes, tmp_path / "wide.zarr", chunk=64, shard=64)
    geoembz.overviews(wide, levels=4)
    for factor in (2, 4, 8, 16):
        np.testing.assert_array_equal(read_level(wide, factor)[0], read_level(copy, factor)[0])


@pytest.mark.parametrize(
    ("recipe", "chunk"), [("pca5-int8", 8), ("pca5-int4", 8), ("pca5-int8", 32), ("float16", 24)]
)
def test_how_much_is_added_up_at_once_changes_no_byte(
    recipe: str,
    chunk: int,
    raster_with_holes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Several chunks, one, or a part of one; a chunk that is no power of two is read in blocks."""
    options = {"chunk": chunk, "shard": 2 * chunk}
    whole = convert(raster_with_holes, tmp_path / "a.zarr", recipe, **options)
    parts = Path(shutil.copytree(whole, tmp_path / "b.zarr"))
    geoembz.overviews(whole, levels=3)
    monkeypatch.setattr(level_tasks, "_SQUARE_BYTES", 1)
    monkeypatch.setattr(level_tasks, "_READ_BYTES", 1)
    geoembz.overviews(parts, levels=3)
    assert objects(parts) == objects(whole)


def test_a_store_is_opened_once_and_its_document_read_twice(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before anything is asked of it, and again under the lock: it may have changed meanwhile."""
    asked: list[str] = []
    read, opened = ObjectTree.read, StoreReader.open

    def count_reads(tree: ObjectTree, key: str, most: int | None = None) -> bytes | None:
        asked.append(key)
        return read(tree, key, most)

    def count_opened(*args: Any) -> StoreReader:
        asked.append("opened")
        return opened(*args)

    monkeypatch.setattr(ObjectTree, "read", count_reads)
    monkeypatch.setattr(StoreReader, "open", count_opened)
    geoembz.overviews(copy)
    assert asked.count("zarr.json") == 2
    assert asked.count("opened") == 1


def test_a_date_comes_to_every_level(raster: Path, raster_with_holes: Path, tmp_path: Path) -> None:
    store = convert(raster, tmp_path / "a.zarr", time="2020", overviews=True)
    geoembz.append(store, raster_with_holes, time="2021")
    later = convert(raster, tmp_path / "b.zarr", time="2020")
    geoembz.append(later, raster_with_holes, time="2021")
    geoembz.overviews(later)
    assert objects(store) == objects(later)
    assert np.isnan(read_level(store, 2, 1)[1]).any()
    assert not np.isnan(read_level(store, 2, 0)[1]).any()
    geoembz.append(store, raster, time="2021", replace_date=True)
    np.testing.assert_array_equal(read_level(store, 2, 1)[0], read_level(store, 2, 0)[0])
    assert not geoembz.verify(store).problems
    geoembz.append(store, raster_with_holes, time="2021", replace_date=True)
    assert objects(store) == objects(later)


def test_every_grid_of_several_gets_levels(
    scene: Floats, make_raster: MakeRaster, tmp_path: Path
) -> None:
    for zone in (31, 32):
        make_raster(tmp_path / f"{zone}.tif", scene, crs=f"EPSG:326{zone}", blocksize=16)
    both = [tmp_path / f"{zone}.tif" for zone in (31, 32)]
    geoembz.convert(both, tmp_path / "a.zarr", pca=5, overviews=True, **CUT)
    geoembz.convert(both, tmp_path / "b.zarr", pca=5, **CUT)
    summary = geoembz.overviews(tmp_path / "b.zarr")
    assert [(level.grid, level.factor) for level in summary.levels] == [
        ("utm31n", 2),
        ("utm32n", 2),
    ]
    assert objects(tmp_path / "a.zarr") == objects(tmp_path / "b.zarr")
    assert not geoembz.verify(tmp_path / "b.zarr").problems


def test_levels_are_made_once_unless_they_are_to_be_replaced(copy: Path, store: Path) -> None:
    geoembz.overviews(copy, levels=1)
    with pytest.raises(
        DestinationExistsError, match=r"at 2 times the pixel size; pass overwrite=True"
    ):
        geoembz.overviews(copy, levels=2)
    geoembz.overviews(copy, levels=2, overwrite=True)
    assert not geoembz.verify(copy).problems
    summary = geoembz.overviews(copy, levels=1, overwrite=True)
    assert [level.factor for level in summary.levels] == [2]
    assert not geoembz.verify(copy).problems
    attributes = StoreReader.open(str(copy)).attributes
    assert len(attributes.levels) == 1
    assert not (copy / "overviews/4").exists()
    assert StoreReader.open(str(store)).attributes.levels == ()


def test_what_can_have_no_levels_is_refused_in_words(
    copy: Path, tmp_path: Path, repository: Path
) -> None:
    with pytest.raises(InvalidConfigError, match="levels 9; expected 1 to 4 for 50 x 45 pixels"):
        geoembz.overviews(copy, levels=9)
    with pytest.raises(InvalidConfigError, match="overviews: workers=0; expected 1 to 256"):
        geoembz.overviews(copy, workers=0)
    vectors = repository / "spec/vectors"
    table = shutil.copytree(vectors / "0.2/tables/int8.zarr", tmp_path / "table.zarr")
    with pytest.raises(StoreError, match="a store of a table; expected one of a raster"):
        geoembz.overviews(table)
    bare = shutil.copytree(copy, tmp_path / "bare.zarr")
    document = json.loads((bare / "zarr.json").read_text())
    del document["consolidated_metadata"]
    (bare / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match=r"bare\.zarr: zarr\.json has no consolidated metadata"):
        geoembz.overviews(bare)
    old = shutil.copytree(vectors / "0.1/stores/int8-plain.zarr", tmp_path / "old.zarr")
    with pytest.raises(StoreError, match=r"format version 0\.1, which has no overviews"):
        geoembz.overviews(old)
    with pytest.raises(InvalidConfigError, match="overviews: for rasters only"):
        geoembz.convert(
            repository / "spec/vectors/0.2/tables/int8.zarr/table.parquet",
            tmp_path / "t.zarr",
            overviews=True,
        )


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@pytest.mark.parametrize("after", [1, 4, 5, 6])
def test_an_interrupted_call_is_finished_by_the_same_call(
    after: int, copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Path(shutil.copytree(copy, tmp_path / "whole.zarr"))
    geoembz.overviews(whole, levels=LEVELS)
    before, made = objects(copy), list[Window]()

    def progress(done: int, _total: int) -> None:
        if done >= after:
            raise Killed

    with pytest.raises(Killed):
        geoembz.overviews(copy, levels=LEVELS, workers=1, progress=progress)
    left = objects(copy)
    assert {k: v for k, v in left.items() if not k.startswith(".geoembz/")} == before
    assert not StoreReader.open(str(copy)).attributes.levels

    write = LevelTask._write

    def counted(task: LevelTask, shard: Window) -> LevelResult:
        made.append(shard)
        return write(task, shard)

    monkeypatch.setattr(LevelTask, "_write", counted)
    with pytest.raises(InvalidConfigError, match="unfinished conversion with overviews = 3"):
        geoembz.overviews(copy, levels=1)
    geoembz.overviews(copy, levels=LEVELS, workers=1)
    assert len(made) == 4 + 1 + 1 - after
    assert objects(copy) == objects(whole)


@pytest.mark.parametrize("killed", ["utm31n", "utm32n", "root"])
def test_several_grids_interrupted_are_finished_by_the_same_call(
    killed: str,
    scene: Floats,
    make_raster: MakeRaster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    zones = [
        make_raster(tmp_path / f"{zone}.tif", scene, crs=f"EPSG:326{zone}") for zone in (31, 32)
    ]
    store = tmp_path / "a.zarr"
    geoembz.convert(zones, store, pca=5, **CUT)
    whole = Path(shutil.copytree(store, tmp_path / "whole.zarr"))
    geoembz.overviews(whole)
    real = ObjectTree.write

    def write(tree: ObjectTree, key: str, content: bytes) -> None:
        name = tree.url.partition("a.zarr/")[2].partition("/")[0] or "root"
        if key == "zarr.json" and name == killed:
            raise Killed
        real(tree, key, content)

    with monkeypatch.context() as patched:
        patched.setattr(ObjectTree, "write", write)
        with pytest.raises(Killed):
            geoembz.overviews(store)
    geoembz.overviews(store)
    assert objects(store) == objects(whole)
    with pytest.raises(DestinationExistsError, match="has overviews already"):
        geoembz.overviews(store)


@pytest.mark.parametrize("former", [None, 1])
def test_an_object_store_that_has_the_root_already_is_finished_by_the_same_call(
    former: int | None, raster_with_holes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"memory://{tmp_path.name}/a.zarr"
    geoembz.convert(raster_with_holes, url, recipe="pca5-int8", **CUT)
    if former is not None:
        geoembz.overviews(url, levels=former)

    def complete(*_: Any) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Journal, "complete", complete)
        with pytest.raises(Killed):
            geoembz.overviews(url, levels=LEVELS, overwrite=True)
    assert len(StoreReader.open(url).attributes.levels) == LEVELS
    geoembz.overviews(url, levels=LEVELS, overwrite=True)
    tree, local = ObjectTree(url), convert(raster_with_holes, tmp_path / "a.zarr")
    geoembz.overviews(local, levels=LEVELS)
    assert {key: tree.read(key) for key in tree.sizes()} == objects(local)


def test_what_was_kept_and_is_lost_is_made_again(copy: Path, tmp_path: Path) -> None:
    whole = Path(shutil.copytree(copy, tmp_path / "whole.zarr"))
    geoembz.overviews(whole, levels=LEVELS)

    def progress(done: int, _total: int) -> None:
        if done >= 3:
            raise Killed

    with pytest.raises(Killed):
        geoembz.overviews(copy, levels=LEVELS, workers=1, progress=progress)
    (kept, *_) = sorted((copy / ".geoembz").glob("*/.geoembz/levels/0/2/c/*/*"))
    kept.unlink()
    geoembz.overviews(copy, levels=LEVELS)
    assert objects(copy) == objects(whole)


def test_a_full_disk_leaves_the_store_as_it_was(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = objects(copy)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("geoembz.store.writer.write_file", full)
        with pytest.raises(StoreError, match=r"copy\.zarr.*No space left on device"):
            geoembz.overviews(copy)
    assert objects(copy) == before
    geoembz.overviews(copy)
    assert not geoembz.verify(copy).problems


def test_who_loses_the_lock_writes_no_more(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = objects(copy)
    record = Journal.record

    def overtaken(journal: Journal, *args: Any) -> None:
        record(journal, *args)
        other = {"token": "0" * 32, "host": "elsewhere", "pid": 1, "time": 4e9}
        ObjectTree(copy).write(LOCK, json.dumps(other).encode())

    monkeypatch.setattr(Journal, "record", overtaken)
    with pytest.raises(StoreError, match="has taken the destination over"):
        geoembz.overviews(copy, levels=2, workers=1)
    now = objects(copy)
    assert {k: v for k, v in now.items() if not k.startswith(".geoembz/")} == before


def test_a_recorded_evaluation_keeps_the_levels_and_they_keep_it(
    copy: Path, raster_with_holes: Path
) -> None:
    geoembz.overviews(copy)
    evaluation = geoembz.evaluate(copy, source=raster_with_holes)
    geoembz.record_in_store(evaluation, str(copy))
    assert not geoembz.verify(copy).problems
    assert StoreReader.open(str(copy)).attributes.levels
    geoembz.overviews(copy, levels=2, overwrite=True)
    attributes = json.loads((copy / "zarr.json").read_text())["attributes"]
    assert attributes["geoembz:report"]["recipe"] == "pca5-int8"
    assert not geoembz.verify(copy).problems


@pytest.mark.parametrize("recipe", ["pca5-int8", "binary"])
def test_verify_finds_what_is_wrong_with_a_level(
    recipe: str, raster_with_holes: Path, tmp_path: Path
) -> None:
    store = convert(raster_with_holes, tmp_path / "a.zarr", recipe, overviews=True)
    whole = geoembz.verify(store)
    assert not whole.problems
    assert whole.shards == 4 * 3 + 2 * 2
    array = store / "overviews/2" / ("valid" if recipe == "binary" else "embedding")
    shards = sorted(path for path in (array / "c").rglob("*") if path.is_file())
    first, second = (path.read_bytes() for path in shards[:2])
    shards[0].write_bytes(second)
    shards[1].write_bytes(first)
    shards[2].unlink()
    (store / "overviews/2/x/c/0").write_bytes(b"")
    keys = [path.relative_to(store).as_posix() for path in shards[:3]]
    found = {problem.key: problem.what for problem in geoembz.verify(store).problems}
    assert "it is the object of overviews/2/" in found[keys[0]]
    assert "missing" in found[keys[2]]
    assert {*keys, "overviews/2/x/c/0"} <= found.keys()


def test_publish_copies_the_levels(copy: Path, tmp_path: Path) -> None:
    geoembz.overviews(copy, levels=2)
    geoembz.publish(copy, str(tmp_path / "published.zarr"), stac=False)
    assert objects(tmp_path / "published.zarr").keys() >= objects(copy).keys()
    assert not geoembz.verify(tmp_path / "published.zarr").problems
    assert not geoembz.verify(copy, against=tmp_path / "published.zarr").problems


def test_a_server_without_writes_is_refused(copy: Path) -> None:
    before = objects(copy)
    with serving(copy.parent) as url, pytest.raises(StoreError, match=r"copy\.zarr"):
        geoembz.overviews(f"{url}/copy.zarr")
    assert objects(copy) == before
