"""Archives: smaller, read by everybody, and back to what they were, byte for byte."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import zarr
from numpy.typing import NDArray
from pyarrow import parquet

import geoembz
from geoembz._convert.placing import builds_beside
from geoembz.errors import DestinationExistsError, InvalidConfigError, StoreError
from geoembz.store import StoreReader
from geoembz.store.packing import ARCHIVE_LEVEL, DELTA, is_archive
from geoembz.store.recoding import recode
from tests.conftest import MakeRaster
from tests.rows import rows
from tests.trees import build_of, files, objects

CUT: dict[str, Any] = {"chunk": 8, "shard": 16}
STORES: dict[str, dict[str, Any]] = {
    "int8": {"recipe": "pca5-int8"},
    "int4": {"recipe": "pca5-int4"},
    "bits": {"recipe": "itq-binary"},
    "ternary": {"recipe": "pca5-ternary"},
    "pq": {"recipe": "pca6-pq3x8"},
    "power": {"recipe": "power2x60"},
    "floats": {"recipe": "float16"},
    "unsharded": {"recipe": "pca5-int8", "shard": "none"},
    "prefix": {"recipe": "pca6-int8", "prefix_chunks": 2},
    "dates and levels": {"recipe": "pca5-int4", "time": "2024", "overviews": True},
}


def smooth() -> NDArray[np.float32]:
    """Return vectors ``(9, 40, 37)`` that change slowly from place to place, with a hole."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(9, 40, 37)).cumsum(axis=1).cumsum(axis=2) / 50
    steps[:, 3:20, 2:19] = np.nan
    return np.asarray(steps, np.float32)


@pytest.fixture
def source(make_raster: MakeRaster, tmp_path: Path) -> Path:
    return make_raster(tmp_path / "smooth.tif", smooth())


def codes(store: Path, path: str = "embedding") -> NDArray[Any]:
    """Read codes as any Zarr reader does."""
    return np.asarray(zarr.open_array(store, path=path, mode="r")[...])


def codecs(store: Path, path: str = "embedding") -> list[str]:
    """Return the names of an array's codecs on a chunk."""
    members = json.loads((store / path / "zarr.json").read_text())["codecs"]
    if members[0]["name"] == "sharding_indexed":
        members = members[0]["configuration"]["codecs"]
    return [member["name"] for member in members]


@pytest.mark.parametrize(
    "name", rows(STORES, ["int8", "bits", "unsharded", "prefix", "dates and levels"])
)
def test_an_archive_comes_back_bit_for_bit(name: str, source: Path, tmp_path: Path) -> None:
    """Packed later or by `convert`, it is one store; unpacked it is the one that was packed."""
    plain, packed, made, back = (tmp_path / part for part in ("plain", "packed", "made", "back"))
    geoembz.convert(source, plain, **{**CUT, **STORES[name]})
    geoembz.convert(source, made, archive=True, **{**CUT, **STORES[name]})
    summary = geoembz.repack(plain, packed)
    assert objects(packed) == objects(made)
    geoembz.repack(packed, back, archive=False)
    assert objects(back) == objects(plain)
    assert summary.bytes_after == sum(map(len, objects(packed).values()))
    np.testing.assert_array_equal(codes(packed), codes(plain))
    assert not geoembz.verify(packed).problems


def test_it_is_smaller_and_says_the_same(source: Path, tmp_path: Path) -> None:
    """Differences of neighbours are short where neighbours are alike; our reader adds them up."""
    geoembz.convert(source, tmp_path / "plain", recipe="pca9-int8")
    summary = geoembz.repack(tmp_path / "plain", tmp_path / "packed")
    sizes = [(tmp_path / name / "embedding/c/0/0/0").stat().st_size for name in ("plain", "packed")]
    assert sizes[1] < 0.95 * sizes[0]
    assert summary.n_shards == 1
    assert "as an archive" in summary.to_table()
    opened = [geoembz.open(tmp_path / name).embedding.values for name in ("plain", "packed")]
    np.testing.assert_array_equal(opened[1], opened[0])
    found = [
        geoembz.search(tmp_path / name, smooth()[:, 30, 30], 5).scores.tolist()
        for name in ("plain", "packed")
    ]
    assert found[0] == found[1]


def test_it_is_published_and_read_from_a_server(source: Path, tmp_path: Path) -> None:
    """There Zarr's own pipeline reads it, within the format's bounds."""
    geoembz.convert(source, tmp_path / "packed", recipe="pca5-int4", archive=True, **CUT)
    url = f"memory://{tmp_path.name}/packed.zarr"
    geoembz.publish(tmp_path / "packed", url, stac=False)
    here, there = (geoembz.open(place).embedding.values for place in (tmp_path / "packed", url))
    np.testing.assert_array_equal(there, here)


@pytest.mark.parametrize(
    ("recipe", "has_differences"),
    [
        *(("pca5-int8", True), ("pca5-int4", True), ("binary", True), ("aef", True)),
        *(("pca6-pq3x8", False), ("pca5-ternary", False), ("float16", False)),
    ],
)
def test_only_numbers_that_have_an_order_become_differences(
    recipe: str, has_differences: bool, source: Path, tmp_path: Path
) -> None:
    geoembz.convert(source, tmp_path / "out", recipe=recipe, archive=True, chunk=8, shard=16)
    assert codecs(tmp_path / "out") == [DELTA] * has_differences + ["bytes", "zstd"]
    assert json.loads((tmp_path / "out/embedding/zarr.json").read_text())["codecs"][0][
        "configuration"
    ]["codecs"][-1]["configuration"] == {"level": ARCHIVE_LEVEL, "checksum": True}


def test_an_archive_grows_as_one(make_raster: MakeRaster, source: Path, tmp_path: Path) -> None:
    """A date and levels that are added have its codecs: the store is what `repack` would make."""
    later = make_raster(tmp_path / "later.tif", smooth()[:, ::-1])
    for name, archive in (("plain", False), ("packed", True)):
        place = tmp_path / name
        geoembz.convert(source, place, recipe="pca5-int8", time="2023", archive=archive, **CUT)
        geoembz.append(place, later, time="2024")
        geoembz.overviews(place, levels=1)
    assert StoreReader.open(str(tmp_path / "packed")).is_archive
    assert DELTA in codecs(tmp_path / "packed", "overviews/2/embedding")
    geoembz.repack(tmp_path / "plain", tmp_path / "later packed")
    assert objects(tmp_path / "later packed") == objects(tmp_path / "packed")


def test_several_grids_and_tables_are_packed(make_raster: MakeRaster, tmp_path: Path) -> None:
    """Every array of every store below the root; the other columns of a table stay a file."""
    tiles = [
        make_raster(tmp_path / f"{crs}.tif", smooth(), crs=f"EPSG:{crs}") for crs in (32632, 32633)
    ]
    geoembz.convert(tiles, tmp_path / "grids", recipe="pca5-int8", **CUT)
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "embedding": list(rng.normal(size=(300, 8)).astype("f4")),
            "lon": rng.random(300),
            "lat": rng.random(300),
            "name": [f"chip {n}" for n in range(300)],
        }
    )
    parquet.write_table(table, tmp_path / "chips.parquet")
    geoembz.convert(tmp_path / "chips.parquet", tmp_path / "table", recipe="pca5-int8")
    for name in ("grids", "table"):
        geoembz.repack(tmp_path / name, tmp_path / f"{name} packed")
        assert objects(tmp_path / f"{name} packed") != objects(tmp_path / name)
        assert not geoembz.verify(tmp_path / f"{name} packed").problems
        geoembz.repack(tmp_path / f"{name} packed", tmp_path / f"{name} back", archive=False)
        assert objects(tmp_path / f"{name} back") == objects(tmp_path / name)
    document = json.loads((tmp_path / "table packed/embedding/zarr.json").read_text())
    assert is_archive(document)
    assert codecs(tmp_path / "table packed") == ["bytes", "zstd"]


def test_what_cannot_be_packed_is_refused(source: Path, tmp_path: Path) -> None:
    """Nothing is written then."""
    geoembz.convert(source, tmp_path / "plain", recipe="pca5-int8")
    with pytest.raises(InvalidConfigError, match="is the store itself"):
        geoembz.repack(tmp_path / "plain", tmp_path / "plain" / ".." / "plain", overwrite=True)
    with pytest.raises(InvalidConfigError, match="a path on this machine"):
        geoembz.repack(tmp_path / "plain", "memory://packed.zarr")
    with pytest.raises(InvalidConfigError, match="layout codec as an archive"):
        geoembz.convert(source, tmp_path / "codec", pca=5, layout="codec", archive=True)
    geoembz.convert(source, tmp_path / "codec", pca=5, layout="codec")
    with pytest.raises(InvalidConfigError, match="no archives"):
        geoembz.repack(tmp_path / "codec", tmp_path / "out")
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").touch()
    with pytest.raises(DestinationExistsError, match="no Zarr store"):
        geoembz.repack(tmp_path / "plain", tmp_path / "there")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_store_is_refused(damage: str, source: Path, tmp_path: Path) -> None:
    """By its digests, before anything of it is believed; the destination stays free."""
    geoembz.convert(source, tmp_path / "plain", recipe="pca5-int8", **CUT)
    shard = tmp_path / "plain/embedding/c/0/0/1"
    content = shard.read_bytes()
    shard.unlink()
    if damage != "gone":
        changed = bytes([content[0] ^ 1]) + content[1:]
        shard.write_bytes(content[:-9] if damage == "cut" else changed)
    with pytest.raises(StoreError, match="embedding/c/0/0/1 is"):
        geoembz.repack(tmp_path / "plain", tmp_path / "packed")
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize("overwrite", [False, True])
def test_it_goes_on_where_it_was_interrupted(
    overwrite: bool, source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finished shards are not packed again, but those that are not what was written."""
    geoembz.convert(source, tmp_path / "plain", recipe="pca5-int8", **CUT)
    geoembz.repack(tmp_path / "plain", tmp_path / "whole")
    place = tmp_path / "packed"
    if overwrite:
        geoembz.convert(source, place, recipe="pca3-int8")
    packed: list[bytes] = []

    def count(content: bytes, *args: Any, **options: Any) -> bytes:
        packed.append(content)
        return recode(content, *args, **options)

    def stop(done: int, total: int) -> None:
        if done == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(sys.modules["geoembz._convert.repack"], "recode", count)
    options: dict[str, Any] = {"overwrite": overwrite, "workers": 1}
    with pytest.raises(KeyboardInterrupt):
        geoembz.repack(tmp_path / "plain", place, progress=stop, **options)
    found = builds_beside(place) if overwrite else [build_of(place)]
    torn = next(path for path in files(found[0]) if "embedding/c/" in path.as_posix())
    torn.write_bytes(torn.read_bytes()[:-5])
    first = len(packed)
    summary = geoembz.repack(tmp_path / "plain", place, **options)
    assert len(packed) == summary.n_shards + 1 > first
    assert objects(place) == objects(tmp_path / "whole")


def test_an_edited_root_is_refused(source: Path, tmp_path: Path) -> None:
    """Sealed anew, nobody would see that it was edited."""
    geoembz.convert(source, tmp_path / "plain", recipe="pca5-int8", **CUT)
    root = tmp_path / "plain" / "zarr.json"
    root.write_text(root.read_text().replace('"geoemb:type"', '"geoemb:typo"'))
    with pytest.raises(StoreError):
        geoembz.repack(tmp_path / "plain", tmp_path / "packed")
    root.write_text(root.read_text().replace('"geoemb:typo"', '"geoemb:type"') + " ")
    with pytest.raises(StoreError, match="is not what was written"):
        geoembz.repack(tmp_path / "plain", tmp_path / "packed")


def test_differences_elsewhere_are_refused(source: Path, tmp_path: Path) -> None:
    """The format has them in archives only, of an array's own type: others cost more memory."""
    geoembz.convert(source, tmp_path / "out", recipe="pca5-int8", archive=True)
    for path in (tmp_path / "out").rglob("zarr.json"):
        path.write_text(path.read_text().replace('"|i1"', '"<i8"'))
    with pytest.raises(StoreError, match="is not allowed by the geoembz format"):
        StoreReader.open(str(tmp_path / "out"))
