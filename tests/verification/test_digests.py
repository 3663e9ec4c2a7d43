"""A store says which object belongs where, keeps that up, and readers tell lost from empty.

References: spec/format.md, "Digests", "Chunks and shards".
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zarr

import geoembz
from geoembz._convert.append import append
from geoembz._evaluate import evaluation as record
from geoembz._export import export_cog
from geoembz._publish import copy_store
from geoembz._verify import verify
from geoembz.errors import BasisWarning, GeoembzError, StoreError
from geoembz.store import StoreReader, TableReader
from geoembz.store.digests import is_sealed
from geoembz.store.writer import StoreWriter
from tests import products
from tests.conversion.test_grids import write_zones
from tests.conversion.test_times import write_year
from tests.sources.serving import serving
from tests.spec import independent
from tests.trees import objects

GOLDEN = Path(__file__).parents[2] / "spec" / "vectors" / "0.1"


def keys_of(store: Path) -> set[str]:
    """Return the keys that `verify` has something to say about."""
    return {problem.key for problem in verify(str(store)).problems}


def swap(one: Path, two: Path) -> None:
    """Exchange two files."""
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content)


def relu_raster(folder: Path) -> Path:
    """Write a raster of which the left half are vectors of zeros, as water is to such a model."""
    lengths = np.random.default_rng(0).uniform(1, 3, (32, 32)).astype(np.float32)
    values = np.abs(products.unit_vectors(32, 32, 8, seed=3)) * lengths
    values[:, :, :16] = 0
    return products.write_raster(folder / "relu.tif", values)


CUTS: dict[str, dict[str, Any]] = {
    "shards": {"chunk": 8, "shard": 16},
    "chunks": {"chunk": 8, "shard": "none"},
    "prefix chunks": {"chunk": 8, "shard": 16, "prefix_chunks": 4},
    "parts": {"chunk": 8, "shard": "none", "prefix_chunks": 4},
}


@pytest.mark.parametrize("cut", CUTS)
@pytest.mark.parametrize("recipe", ["int4", "binary", "int8"])
def test_valid_pixels_are_stored_whatever_their_codes(
    recipe: str, cut: str, tmp_path: Path
) -> None:
    """Vectors of zeros may have the codes of the fill value: they are stored, and lost is lost."""
    store = tmp_path / "out.zarr"
    geoembz.convert(relu_raster(tmp_path), store, recipe=f"pca8-{recipe}", **CUTS[cut])
    assert verify(str(store)).problems == ()
    assert independent.wrong_objects(store) == set()
    array = zarr.open_group(str(store), mode="r")["embedding"]
    assert isinstance(array, zarr.Array)
    counts = [-(-n // c) for n, c in zip(array.shape, array.shards or array.chunks, strict=True)]
    assert len([k for k in objects(store) if k.startswith("embedding/c/")]) == np.prod(counts)
    (store / "embedding/c/0/0/0").unlink()
    with pytest.raises(StoreError, match="missing shard embedding/c/0/0/0"):
        geoembz.open(store)["embedding"].load()
    assert "embedding/c/0/0/0" in keys_of(store)


@pytest.fixture(scope="module", params=["int8", "int4", "float32"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store with an empty corner."""
    folder = tmp_path_factory.mktemp("whole")
    values = products.unit_vectors(40, 40, 8, seed=1)
    values[:, 32:, 32:] = np.nan
    path = products.write_raster(folder / "a.tif", values)
    geoembz.convert(path, folder / "out.zarr", recipe=request.param, chunk=8, shard=16)
    return folder / "out.zarr"


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Path:
    """Return a copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "copy.zarr"))


DOORS: dict[str, Callable[[str], object]] = {
    "open": lambda url: geoembz.open(url)["embedding"].load(),
    "codes": lambda url: geoembz.open(url, space="codes").load(),
    "search": lambda url: geoembz.search(url, np.ones((1, 8), np.float32), k=3),
    "export": lambda url: export_cog(url, f"{url}.tif"),
    "source": lambda url: geoembz.convert(url, f"{url}.again.zarr", recipe="int8"),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_lost_shard_is_an_error_and_an_empty_one_is_not(
    door: str, store: Path, tmp_path: Path
) -> None:
    """Never a plausible vector, and never nodata where there were vectors."""
    assert not (store / "embedding/c/0/2/2").exists()
    DOORS[door](str(store))
    other = Path(shutil.copytree(store, tmp_path / "other.zarr"))
    (other / "embedding/c/0/1/1").unlink()
    with pytest.raises(GeoembzError, match="missing shard embedding/c/0/1/1"):
        DOORS[door](str(other))


@pytest.mark.parametrize("space", ["codes", "original"])
def test_a_lost_shard_is_an_error_over_http(space: Any, store: Path) -> None:
    """One look at the digests tells lost from empty."""
    (store / "embedding/c/0/1/0").unlink()
    with serving(store.parent) as url:
        dataset = geoembz.open(f"{url}/{store.name}", space=space)["embedding"]
        assert dataset[:, 32:, 32:].load().size
        with pytest.raises(StoreError, match="missing shard embedding/c/0/1/0"):
            dataset[:, 16:32, :16].load()


def test_verify_over_http_goes_by_the_digests(store: Path) -> None:
    """Nothing can be listed there: lost, exchanged and extra shards are found all the same."""
    with serving(store.parent) as url:
        assert verify(f"{url}/{store.name}").problems == ()
        swap(store / "embedding/c/0/0/0", store / "embedding/c/0/0/1")
        (store / "embedding/c/0/1/0").unlink()
        shutil.copy(store / "embedding/c/0/1/1", store / "embedding/c/0/2/2")
        found = {problem.key for problem in verify(f"{url}/{store.name}").problems}
    places = ("0/0", "0/1", "1/0", "2/2")
    assert found == {f"embedding/c/0/{place}" for place in places}


def test_without_digests_nobody_can_tell_and_says_so(store: Path) -> None:
    """Shards without their digests are not taken for nodata."""
    shutil.rmtree(store / "digests" / "embedding" / "c")
    with pytest.raises(StoreError, match="digests/embedding/c/0/0/0/0 cannot be read"):
        geoembz.open(store)["embedding"].load()
    assert "digests/embedding/c/0/0/0/0" in keys_of(store)


def test_exchanged_shards_are_named_with_their_origin(store: Path) -> None:
    """Whoever mended a broken copy by hand learns what is where."""
    swap(store / "embedding/c/0/0/0", store / "embedding/c/0/1/1")
    problems = verify(str(store)).problems
    assert {problem.key for problem in problems} == {"embedding/c/0/0/0", "embedding/c/0/1/1"}
    assert "the object of embedding/c/0/1/1" in problems[0].what


def dated(folder: Path, quantizer: str = "int4") -> Path:
    """Write a store of two dates."""
    store = folder / "t.zarr"
    first = write_year(folder, 2024)
    geoembz.convert(first, store, recipe=quantizer, time="2024", chunk=8, shard=16)
    append(store, write_year(folder, 2025, holes=True), time="2025")
    return store


def test_append_hashes_its_own_date_only(tmp_path: Path) -> None:
    """Digests of former dates are as they were, and the whole is in order after each step."""
    store = dated(tmp_path)
    before = objects(store)
    assert verify(str(store)).problems == ()
    append(store, write_year(tmp_path, 2023), time="2023")
    after = objects(store)
    assert verify(str(store)).problems == ()
    assert independent.wrong_objects(store) == set()
    former = [key for key in before if "/c/0/" in key or "/c/1/" in key]
    assert any(key.startswith("digests/valid/c/0/") for key in former)
    assert all(before[key] == after[key] for key in former)


def test_a_replaced_date_has_its_own_digests(tmp_path: Path) -> None:
    """What was written over is not taken for what should be there."""
    store = dated(tmp_path)
    old = (store / "embedding/c/1/0/0/0").read_bytes()
    append(store, write_year(tmp_path, 2026), time="2025", replace_date=True)
    assert verify(str(store)).problems == ()
    (store / "embedding/c/1/0/0/0").write_bytes(old)
    assert keys_of(store) == {"embedding/c/1/0/0/0"}


def test_shards_of_another_date_are_named(tmp_path: Path) -> None:
    store = dated(tmp_path, "int8")
    swap(store / "embedding/c/0/0/0/0", store / "embedding/c/1/0/0/0")
    assert keys_of(store) == {"embedding/c/0/0/0/0", "embedding/c/1/0/0/0"}


def test_exchanged_grids_are_named(tmp_path: Path) -> None:
    """A grid of another conversion is whole in itself; the root knows that it is another."""
    zones = write_zones(tmp_path)
    for name, seed in (("one", 0), ("two", 1)):
        geoembz.convert(zones, tmp_path / f"{name}.zarr", recipe="pca4-int8", chunk=8, seed=seed)
    one, two = tmp_path / "one.zarr", tmp_path / "two.zarr"
    assert verify(str(one)).problems == ()
    shutil.rmtree(one / "utm32n")
    shutil.copytree(two / "utm32n", one / "utm32n")
    assert "utm32n/zarr.json" in keys_of(one)


@pytest.mark.parametrize("kind", ["store", "grid"])
def test_an_evaluation_renews_the_digests(
    kind: str, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The report stands in the root; of a grid, also in the copy that the root above it keeps."""
    root = evaluated = store
    if kind == "grid":
        root = tmp_path / "zones.zarr"
        geoembz.convert(write_zones(tmp_path), root, chunk=8)
        evaluated = root / "utm32n"
    report = {"recipe": "int8", "software": "geoembz", "seed": 0, "n_rows": 9}
    report |= {"split": {}, "tasks": {}, "fidelity": {}}
    monkeypatch.setattr(record, "summarise", lambda _: report)
    evaluation: Any = None
    record.record_in_store(evaluation, str(evaluated))
    attributes = json.loads((evaluated / "zarr.json").read_text())["attributes"]
    assert attributes["geoembz:report"] == report
    assert is_sealed((evaluated / "zarr.json").read_bytes())
    assert verify(str(root)).problems == ()


def test_a_published_store_keeps_its_digests(store: Path, tmp_path: Path) -> None:
    copy_store(str(store), f"file://{tmp_path}/public/out.zarr")
    assert objects(tmp_path / "public/out.zarr") == objects(store)
    assert verify(f"{tmp_path}/public/out.zarr").problems == ()


def read_rows(reader: TableReader) -> None:
    """Read everything that a row has."""
    rows = np.arange(reader.n_rows)
    reader.read(rows, "original")
    reader.values(reader.column("x"), rows)
    reader.values(reader.column("count", of_table=True), rows)


def test_lost_rows_of_a_table_are_errors(tmp_path: Path) -> None:
    """Vectors, places and columns: even a column of zeros is stored."""
    rng = np.random.default_rng(0)
    vectors = pa.FixedSizeListArray.from_arrays(rng.normal(size=200 * 8).astype("f4"), 8)
    columns = {"lon": rng.random(200), "lat": rng.random(200), "count": np.zeros(200, np.int64)}
    pq.write_table(pa.table({"embedding": vectors, **columns}), tmp_path / "a.parquet")
    store = tmp_path / "out.zarr"
    geoembz.convert(tmp_path / "a.parquet", store, recipe="int4", chunk=32, shard=64)
    assert verify(str(store)).problems == ()
    for name in ("columns/count/c/1", "x/c/2", "valid/c/0", "embedding/c/3/0"):
        content = (store / name).read_bytes()
        (store / name).unlink()
        reader = TableReader.open(str(store))
        with pytest.raises(StoreError, match=f"missing shard {name}"):
            read_rows(reader)
        assert keys_of(store) == {name}
        (store / name).write_bytes(content)


def test_a_conversion_that_lost_shards_does_not_end_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the journal says is compared with what is there; the same command writes it anew."""
    path = products.write_raster(tmp_path / "a.tif", products.unit_vectors(40, 40, 8, seed=1))
    options: dict[str, Any] = {"recipe": "int8", "chunk": 8, "shard": 16, "workers": 1}
    whole, store = tmp_path / "whole.zarr", tmp_path / "out.zarr"
    geoembz.convert(path, whole, **options)
    finish = StoreWriter.finish

    def lose(writer: StoreWriter, *arguments: Any, **named: Any) -> None:
        found = sorted(tmp_path.glob("out.zarr/**/embedding/c/0/*/*"))
        found[0].unlink()
        found[1].write_bytes(b"")
        finish(writer, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(StoreWriter, "finish", lose)
        with pytest.raises(StoreError, match="2 of 9 objects that were written are gone or cut"):
            geoembz.convert(path, store, **options)
    geoembz.convert(path, store, **options)
    assert objects(store) == objects(whole)


@pytest.mark.parametrize(("version", "width"), [("0.1", 10.0), ("0.2", 5.01)])
def test_sizes_of_pixels_are_those_of_the_version(version: str, width: float) -> None:
    """0.1 went by the CRS's unit: such stores must not be blamed for what 0.2 knows better."""
    url = str(GOLDEN.parent / "0.2" / "stores" / "float16-plain.zarr")  # Web Mercator at 60° N
    attributes = replace(StoreReader.open(url).attributes, version=version)
    assert attributes.to_json()["geoemb:gsd"] == width


def test_stores_of_0_1_stay_what_they_are(tmp_path: Path) -> None:
    """They read and verify as before, and keep their version when a date is added."""
    store = Path(shutil.copytree(GOLDEN / "times" / "two-dates.zarr", tmp_path / "t.zarr"))
    assert verify(str(store)).problems == ()
    grid = StoreReader.open(str(store)).attributes.grid
    values = products.unit_vectors(*grid.shape, 8, seed=5)
    path = products.write_raster(
        tmp_path / "a.tif", values, crs="EPSG:32633", transform=grid.transform
    )
    with pytest.warns(BasisWarning):
        append(store, path, time="2030")
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    assert attributes["geoembz:version"] == "0.1"
    assert not (store / "digests").exists()
    assert verify(str(store)).problems == ()


@pytest.mark.parametrize("shape", [[1, 3, 2, 16], [1, 3, 3, 8], [10**6, 3, 3, 16]])
def test_digests_of_another_shape_are_refused(shape: list[int], store: Path) -> None:
    """Before anything is read or allocated for them."""
    for path in (store / "zarr.json", store / "digests/embedding/zarr.json"):
        document = json.loads(path.read_text())
        nodes = document.get("consolidated_metadata", {}).get("metadata", {})
        nodes.get("digests/embedding", document)["shape"] = shape
        path.write_text(json.dumps(document))
    with pytest.raises(StoreError, match="digests/embedding is uint8"):
        geoembz.open(store)
    assert "digests/embedding/zarr.json" in keys_of(store)
