"""Planted steps at tile borders are found, clean mosaics are clean, in stores and in tiles."""

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz._geo.grid import Window
from geoembz.errors import DestinationExistsError, InvalidConfigError, StoreError
from geoembz.store import StoreReader
from geoembz.store.digests import ROOT, root_content
from tests.seams.conftest import EDGES, Tile, cut, mosaic, offset, scene, write_tiles

AROUND = {("t01", "t11"), ("t10", "t11"), ("t11", "t12"), ("t11", "t21")}


@pytest.mark.parametrize("seed", range(4))
def test_clean_mosaics_have_no_seams(seed: int) -> None:
    report = geoembz.check_seams(mosaic(scene(seed)))
    assert report.checked == {"source": 12, "shard": 0}
    assert report.seams == ()
    assert report.tiles == ()
    assert report.windows == ()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("size", [1.0, 2.0])
def test_planted_seams_are_found_and_measured(seed: int, size: float) -> None:
    """All borders of a tile that is offset, no other; their size, and the tile."""
    values = scene(seed)
    planted = {(1, 1): offset(values, size, seed)}
    report = geoembz.check_seams(mosaic(values, offsets=planted))
    assert {seam.sides for seam in report.seams} == AROUND
    assert [seam.offset for seam in report.seams] == pytest.approx([size] * 4, rel=0.2)
    (tile,) = report.tiles
    assert tile.name == "t11"
    assert tile.offset == pytest.approx(size, rel=0.2)


def test_borders_whose_steps_have_no_common_direction_are_rough() -> None:
    """A tile whose last column is noise: the mean step is none, the steps are long."""
    values = scene(3)
    noise = np.random.default_rng(0).normal(size=(len(values), 70)).astype(np.float32)
    values[:, 60:130, 129] += 2 * noise
    report = geoembz.check_seams(mosaic(values))
    (seam,) = report.seams
    assert seam.sides == ("t11", "t12")
    assert seam.effect == seam.roughness > seam.offset


@pytest.mark.parametrize("edges", [(0, 62, 130, 192), (0, 60, 132, 192)])
def test_windows_of_a_model_are_told_and_hide_no_seam(edges: tuple[int, ...]) -> None:
    """Where tiles end inside a window or between two; borders are compared with like cuts."""
    values = scene(1)
    bias = np.random.default_rng(5).normal(size=(len(values), 1)).astype(np.float32)
    ramp = bias * np.linspace(-1, 1, 12, dtype=np.float32)
    values += ramp[:, np.newaxis, np.arange(192) % 12]
    clean = geoembz.check_seams(mosaic(values, edges, edges))
    assert [(one.axis, one.period) for one in clean.windows] == [("x", 12)]
    assert clean.windows[0].step > 1
    assert any("windows of 12 pixels along x" in note for note in clean.notes)
    assert clean.seams == ()
    planted = {(1, 1): offset(values, 2.0, 1, windows=12)}
    found = geoembz.check_seams(mosaic(values, edges, edges, planted))
    assert {seam.sides for seam in found.seams} == AROUND


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Return tiles of which the one in the middle is offset by two steps."""
    values = scene(5)
    folder = tmp_path_factory.mktemp("tiles")
    return write_tiles(folder, values, {(1, 1): offset(values, 2.0, 5)})


@pytest.fixture(scope="module")
def store(tiles: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a store made of them, of shards whose borders are others."""
    path = tmp_path_factory.mktemp("store") / "a.zarr"
    geoembz.convert(tiles, path, chunk=32, shard=64)
    return path


@pytest.mark.parametrize("recipe", ["int8", "pca4-int4", "rot-binary"])
def test_a_store_knows_its_tiles(recipe: str, tiles: list[Path], tmp_path: Path) -> None:
    """Steps are measured on codes, whatever the recipe; shards have none."""
    geoembz.convert(tiles, tmp_path / "a.zarr", recipe=recipe, chunk=32, shard=64)
    report = geoembz.check_seams(tmp_path / "a.zarr")
    named = {tuple(side.removesuffix(".tif") for side in seam.sides) for seam in report.seams}
    assert named == AROUND
    assert {seam.kind for seam in report.seams} == {"source"}
    assert report.checked["shard"] > 0


def test_the_number_of_workers_does_not_matter(store: Path) -> None:
    one, four = (geoembz.check_seams(store, workers=n).to_json() for n in (1, 4))
    assert one == four


def without_outlines(store: Path, target: Path) -> Path:
    """Copy a store as an earlier version wrote it."""
    import shutil

    shutil.copytree(store, target)
    document = json.loads((target / ROOT).read_text())
    for source in document["attributes"]["geoembz:sources"]:
        del source["bbox"]
    digests = document["attributes"]["geoembz:digests"]["objects"]
    content = root_content(document, digests)
    (target / ROOT).write_bytes(content if isinstance(content, bytes) else content.to_bytes())
    return target


def test_stores_without_outlines_need_their_sources(
    store: Path, tiles: list[Path], tmp_path: Path
) -> None:
    """Without, only shards are checked, and it says so; with files, or a store that knows them."""
    old = without_outlines(store, tmp_path / "old.zarr")
    alone = geoembz.check_seams(old)
    assert alone.checked["source"] == 0
    assert alone.checked["shard"] > 0
    assert "--sources" in alone.notes[0]
    expected = [seam.bbox for seam in geoembz.check_seams(store).seams]
    for sources in (tiles, str(store)):
        found = geoembz.check_seams(old, sources=sources)
        assert [seam.bbox for seam in found.seams] == expected


def test_verify_looks_for_seams_on_request(store: Path) -> None:
    assert geoembz.verify(store).problems == ()
    problems = geoembz.verify(store, seams=True).problems
    assert len(problems) == 4
    assert all(problem.key == "embedding" and "t11.tif" in problem.what for problem in problems)


def test_the_command_writes_a_map_and_exits_with_1(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Lines in longitudes and latitudes, on the edges of the tile that is offset."""
    out = tmp_path / "seams.geojson"
    words = ["check", "seams", str(store), "--out", str(out), "--json"]
    with pytest.raises(SystemExit) as left:
        main(words)
    assert left.value.code == 1
    printed = json.loads(capsys.readouterr().out)
    assert printed["n_seams"] == 4
    assert [tile["name"] for tile in printed["tiles"]] == ["t11.tif"]
    features = json.loads(out.read_text())["features"]
    seams = [feature for feature in features if feature["properties"].get("is_seam")]
    assert len(seams) == 4
    assert {feature["geometry"]["type"] for feature in seams} == {"LineString"}
    (tile,) = (feature for feature in features if feature["properties"]["kind"] == "tile")
    lon, lat = np.array(tile["geometry"]["coordinates"][0]).T
    for feature in seams:
        x, y = np.array(feature["geometry"]["coordinates"]).T
        slack = 1e-6
        assert lon.min() - slack <= x.min() <= x.max() <= lon.max() + slack
        assert lat.min() - slack <= y.min() <= y.max() <= lat.max() + slack
    with pytest.raises(DestinationExistsError):
        geoembz.check_seams(store, out=out)
    with pytest.raises(SystemExit) as left:
        main(["check", "seams", str(store), "--limit", "9"])  # no step is as large
    assert left.value.code == 0


def test_dates_are_checked_one_by_one(tmp_path: Path) -> None:
    """Each by the outlines of its own sources; or one that is named."""
    values = scene(6)
    planted = {(1, 1): offset(values, 2.0, 6)}
    store = tmp_path / "a.zarr"
    geoembz.convert(write_tiles(tmp_path / "b", values), store, time="2023", chunk=32, shard=64)
    geoembz.append(store, write_tiles(tmp_path / "c", values, planted), time="2024")
    every = geoembz.check_seams(store)
    assert {seam.time for seam in every.seams} == {"2024-01-01"}
    assert geoembz.check_seams(store, time="2023").seams == ()
    with pytest.raises(InvalidConfigError, match="name one of its dates"):
        geoembz.check_seams(store, time="1999")


def test_grids_are_checked_one_by_one(tmp_path: Path) -> None:
    """And the report says that what lies between them was not."""
    values = scene(7)
    planted = {(1, 1): offset(values, 2.0, 7)}
    west = write_tiles(tmp_path / "w", values)
    east = write_tiles(tmp_path / "e", values, planted, crs="EPSG:32633")
    geoembz.convert([*west, *east], tmp_path / "a.zarr", chunk=32, shard=64)
    report = geoembz.check_seams(tmp_path / "a.zarr")
    assert {seam.grid for seam in report.seams} == {"utm33n"}
    assert len(report.seams) == 4
    assert report.notes[-1].startswith("borders between the grids utm32n, utm33n are not measured")


def test_overlaps_are_checked_at_every_edge(tmp_path: Path) -> None:
    """A small tile on a large one: the step is where the rule changes, all around it."""
    values = scene(8)
    small = cut(values, EDGES, EDGES, {(1, 1): offset(values, 2.0, 8)})[1, 1]
    ((_, whole),) = cut(values, (0, 192), (0, 192)).values()
    window, part = small
    sources = mosaic(whole, (0, 192), (0, 192))
    tile = sources.tiles[0]
    inner = Tile("inner", part, tile.grid.part(window))
    report = geoembz.check_seams(type(sources)([inner, tile], overlap="first"))
    assert len(report.seams) == 4
    assert all(
        {"t00", "inner"} <= set(" + ".join(seam.sides).split(" + ")) for seam in report.seams
    )
    assert any("overlap" in note for note in report.notes)


def test_missing_pixels_and_lone_tiles_are_said() -> None:
    """A border along nodata cannot be judged; one tile has none."""
    values = scene(9)
    values[:, 60:130, 120:140] = np.nan
    report = geoembz.check_seams(mosaic(values))
    assert report.checked["source"] == 11
    assert any(note.startswith("1 borders not judged: fewer than 8") for note in report.notes)
    lone = geoembz.check_seams(mosaic(scene(9), (0, 192), (0, 192)))
    assert lone.checked == {"source": 0, "shard": 0}
    assert lone.notes == ("one tile: it has no border with another",)
    empty = geoembz.check_seams(mosaic(np.full_like(values, np.nan)))
    assert empty.borders == ()


def test_tables_and_wrong_options_are_refused(store: Path, tiles: list[Path]) -> None:
    for limit in (0.0, float("nan")):
        with pytest.raises(InvalidConfigError, match="limit"):
            geoembz.check_seams(store, limit=limit)
    with pytest.raises(InvalidConfigError, match="are for a store"):
        geoembz.check_seams(tiles, time="2024")
    with pytest.raises(InvalidConfigError, match=r"ends in \.geojson"):
        geoembz.check_seams(store, out=store.parent / "a.shp")


def test_tables_have_no_borders(tmp_path: Path) -> None:
    from tests.tables import clay_v1_5

    clay_v1_5(tmp_path / "a.parquet", np.random.default_rng(0))
    geoembz.convert(tmp_path / "a.parquet", tmp_path / "a.zarr")
    with pytest.raises(StoreError, match="store of a table"):
        geoembz.check_seams(tmp_path / "a.zarr")
    assert geoembz.verify(tmp_path / "a.zarr", seams=True).notes == (
        "seams: a table has no borders",
    )


def test_memory_is_that_of_strips(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No window read is a larger part of a tile than a strip beside its border."""
    seen: list[Window] = []
    original = StoreReader.read

    def read(self: StoreReader, window: Window, *rest: Any, **named: Any) -> np.ndarray:
        seen.append(window)
        return original(self, window, *rest, **named)

    monkeypatch.setattr(StoreReader, "read", read)
    geoembz.check_seams(store, workers=1)  # imports what it needs
    tracemalloc.start()
    geoembz.check_seams(store, workers=1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(window.size for window in seen) * 8 <= 2**21
    assert peak < (64 + 8) * 2**20  # 64: the buffer that a root document is read into
