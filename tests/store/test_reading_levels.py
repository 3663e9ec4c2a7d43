"""Levels of a store are opened, sampled, searched, shown and written as the store itself is."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr
from numpy.typing import NDArray
from typer.testing import CliRunner

import geoembz
from benchmarks.serving import serving
from geoembz._cli.app import app
from geoembz._search import vectors_at
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.store import StoreInfo, StoreReader
from tests.closeness import assert_same_vectors
from tests.conversion.test_grids import write_zones
from tests.products import UTM_TRANSFORM, unit_vectors, write_raster

HEIGHT, WIDTH, DIMENSION = 52, 44, 12
RECIPES: dict[str, dict[str, Any]] = {
    "int8": {"pca": 6},
    "int4": {"pca": 6, "quantizer": "int4"},
    "codec": {"pca": 6, "layout": "codec"},
    "prefix": {"pca": 6, "prefix_chunks": 2},
    "dates": {"pca": 6, "quantizer": "int4", "time": "2023"},
}
HAS_LEVELS = (
    r"has 0 \(full resolution, 10 m\), 1 \(2x, 20 m\), 2 \(4x, 40 m\); choose one of these numbers"
)


def means(values: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Return the means of the valid vectors in squares of pixels; NaN where there are none."""
    dimension, height, width = values.shape
    rows, cols = -(-height // factor), -(-width // factor)
    padded = np.full((dimension, rows * factor, cols * factor), np.nan)
    padded[:, :height, :width] = values
    cells = padded.reshape(dimension, rows, factor, cols, factor)
    counts = np.isfinite(cells[:1]).sum(axis=(2, 4))
    with np.errstate(invalid="ignore"):
        found: NDArray[np.float32] = (np.nansum(cells, axis=(2, 4)) / counts).astype(np.float32)
    return found


def scene(seed: int = 0) -> NDArray[np.float32]:
    values = unit_vectors(HEIGHT, WIDTH, DIMENSION, seed)
    values[:, 8:20, 4:13] = np.nan
    return values


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Convert one scene with each recipe, with levels 1 and 2."""
    folder = tmp_path_factory.mktemp("levels")
    raster = write_raster(folder / "a.tif", scene())
    later = write_raster(folder / "b.tif", scene(1))
    for name, options in RECIPES.items():
        geoembz.convert(raster, folder / name, chunk=8, shard=16, **options)
        if "time" in options:
            geoembz.append(folder / name, later, time="2022")
        geoembz.overviews(folder / name, levels=2)
    return {name: folder / name for name in RECIPES}


@pytest.fixture
def store(stores: dict[str, Path]) -> Path:
    return stores["int8"]


@pytest.mark.parametrize("chunks", [None, {}])
@pytest.mark.parametrize("level", [1, 2])
@pytest.mark.parametrize("name", RECIPES)
def test_a_level_opens_lazily_where_it_lies(
    stores: dict[str, Path], name: str, level: int, chunks: Any
) -> None:
    """Vectors are the means that were encoded; coordinates and attributes are the level's own."""
    factor = 2**level
    opened = geoembz.open(stores[name], level=level, chunks=chunks)
    shape = (-(-HEIGHT // factor), -(-WIDTH // factor))
    assert opened["embedding"].shape[-2:] == shape
    assert (opened["embedding"].chunks is None) == (chunks is None)
    assert opened.attrs["spatial:shape"] == list(shape)
    assert opened.attrs["geoembz:pixels"]["total"] == np.prod(shape) * opened.sizes.get("time", 1)
    np.testing.assert_allclose(
        opened["x"][:2], UTM_TRANSFORM[2] + 10 * factor * np.array([0.5, 1.5])
    )
    np.testing.assert_allclose(
        opened["y"][:2], UTM_TRANSFORM[5] - 10 * factor * np.array([0.5, 1.5])
    )
    assert opened.rio.transform()[:6] == (10 * factor, 0, 500_000, 0, -10 * factor, 5_300_000)
    full = geoembz.open(stores[name])
    for date in full["time"].values if "time" in full.dims else [None]:
        at = {} if date is None else {"time": date}
        expected = means(full["embedding"].sel(at).values, factor)
        found = opened["embedding"].sel(at).values
        np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
        valid = ~np.isnan(expected[0])
        a, b = found[:, valid], expected[:, valid]
        cosine = (a * b).sum(0) / np.linalg.norm(a, axis=0) / np.linalg.norm(b, axis=0)
        assert cosine.min() > 0.9


@pytest.mark.parametrize("name", ["int8", "int4", "codec", "dates"])
def test_codes_of_a_level_are_the_stored_ones(stores: dict[str, Path], name: str) -> None:
    """And validity comes with them, where it is an array of its own."""
    codes = geoembz.open(stores[name], space="codes", level=1)
    reader = StoreReader.open(str(stores[name]), level=1)
    date = reader.chronological[0] if reader.dates else 0
    first = codes.isel(time=0) if "time" in codes.dims else codes
    window = reader.attributes.grid.window
    np.testing.assert_array_equal(first["embedding"], reader.read_codes(window, date))
    if name in {"int4", "dates"}:
        np.testing.assert_array_equal(first["valid"], reader.read_mask(window, date))
    assert ("valid" in codes) == (name in {"int4", "dates"})


@pytest.mark.parametrize(
    ("resolution", "side"),
    [(5.0, 10), (10, 10), (19.9, 10), (20, 20), (39, 20), (40, 40), (1e4, 40)],
)
def test_resolution_takes_the_coarsest_that_is_as_fine(
    store: Path, resolution: float, side: int
) -> None:
    opened = geoembz.open(store, resolution=resolution)
    assert float(opened["x"][1] - opened["x"][0]) == side
    assert (
        float(xr.open_dataset(store, engine="geoembz", resolution=resolution)["x"].diff("x")[0])
        == side
    )


def test_level_0_is_the_store(store: Path) -> None:
    assert geoembz.open(store, level=0).identical(geoembz.open(store))
    reader = StoreReader.open(str(store))
    assert reader.at_level(2).at_level(0) is reader
    assert reader.at_level(2).at_level(1).shape == reader.at_level(1).shape == (26, 22)


DOORS: dict[str, Callable[[Path, int, Path], object]] = {
    "open": lambda store, level, _: geoembz.open(store, level=level),
    "sample": lambda store, level, _: geoembz.sample(store, [(5e5, 5.3e6)], level=level),
    "vectors_at": lambda store, level, _: vectors_at(store, [(5e5, 5.3e6)], level=level),
    "search": lambda store, level, _: geoembz.search(store, np.ones(DIMENSION), level=level),
    "preview": lambda store, level, out: geoembz.preview(store, out / "a.png", level=level),
    "export": lambda store, level, out: geoembz.export(store, out / "a.tif", level=level),
    "accessor": lambda store, level, out: geoembz.open(store).geoembz.export(
        out / "a.tif", level=level
    ),
}


@pytest.mark.parametrize("level", [3, -1])
@pytest.mark.parametrize("door", DOORS)
def test_every_door_says_which_levels_there_are(
    store: Path, door: str, level: int, tmp_path: Path
) -> None:
    with pytest.raises(InvalidConfigError, match=rf"level {level}: .*int8 {HAS_LEVELS}"):
        DOORS[door](store, level, tmp_path)


def test_a_store_without_levels_says_how_to_add_them(tmp_path: Path) -> None:
    store = tmp_path / "a.zarr"
    geoembz.convert(write_raster(tmp_path / "a.tif", scene()), store, pca=4)
    with pytest.raises(InvalidConfigError, match=r"full resolution only; leave .* overviews"):
        geoembz.open(store, level=1)
    assert geoembz.open(store, resolution=1000.0).sizes["y"] == HEIGHT
    for options, says in (
        ({"level": 1, "resolution": 20.0}, "expected one of them"),
        ({"resolution": 0.0}, "above 0"),
        ({"resolution": np.nan}, "above 0"),
    ):
        with pytest.raises(InvalidConfigError, match=says):
            geoembz.open(store, **options)  # type: ignore[arg-type]


def test_points_take_the_vectors_of_the_level(store: Path) -> None:
    opened = geoembz.open(store, level=1)
    places = [(float(opened["x"][col]), float(opened["y"][row])) for row, col in ((0, 3), (20, 21))]
    sampled = geoembz.sample(store, places, crs="EPSG:32632", level=1)
    expected = opened["embedding"].values[:, [0, 20], [3, 21]].T
    assert_same_vectors(sampled.vectors, expected)
    assert_same_vectors(vectors_at(store, places, crs="EPSG:32632", level=1), expected)
    assert_same_vectors(opened.geoembz.sample(places, crs="EPSG:32632").vectors, expected)


def test_search_finds_pixels_of_the_level(store: Path) -> None:
    opened = geoembz.open(store, level=2)
    found = geoembz.search(store, opened["embedding"].values[:, 7, 5], k=3, level=2)
    assert (found.rows[0, 0], found.cols[0, 0]) == (7, 5)
    assert (found.x[0, 0], found.y[0, 0]) == (float(opened["x"][5]), float(opened["y"][7]))
    assert found.pixels_searched == 13 * 11


def test_a_level_is_written_where_it_lies(store: Path, tmp_path: Path) -> None:
    """By name, and from a dataset that was opened at the level, lazy or loaded."""
    opened = geoembz.open(store, level=1, space="reduced")
    geoembz.export(store, tmp_path / "a.tif", level=1, space="reduced")
    opened.geoembz.export(tmp_path / "b.tif")
    opened.load().geoembz.export(tmp_path / "c.tif")
    for name in ("a.tif", "b.tif", "c.tif"):
        with rasterio.open(tmp_path / name) as raster:
            assert raster.transform[:6] == (20, 0, 500_000, 0, -20, 5_300_000)
            assert_same_vectors(raster.read(), opened["embedding"].values)


def picture(path: Path) -> tuple[NDArray[Any], list[float]]:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read()), list(raster.transform[:6])


def test_a_picture_takes_the_coarsest_level_that_suffices(store: Path, tmp_path: Path) -> None:
    """It has the size and the place of one without levels, and the means of what it shows."""
    summary = geoembz.preview(store, tmp_path / "a.tif", size=10)
    assert (summary.step, summary.shape) == (6, (9, 8))
    shown, transform = picture(tmp_path / "a.tif")
    assert transform == [60, 0, 500_000, 0, -60, 5_300_000]
    level = geoembz.open(store, level=2, space="reduced")["embedding"].values[:3]
    rows, cols = (np.arange(0, side, 6) // 4 for side in (HEIGHT, WIDTH))
    expected = level[:, rows[:, np.newaxis], cols]
    np.testing.assert_array_equal(shown[3] > 0, ~np.isnan(expected[0]))
    for band, component in zip(shown[:3], expected, strict=True):
        order = np.argsort(component[shown[3] > 0])
        assert (np.diff(band[shown[3] > 0][order].astype(int)) >= 0).all()
    geoembz.preview(store, tmp_path / "b.tif", size=10, level=0)
    assert (picture(tmp_path / "b.tif")[0] != shown).any()
    assert geoembz.preview(store, tmp_path / "c.tif", size=30, level=1).shape == (26, 22)
    assert picture(tmp_path / "c.tif")[1] == [20, 0, 500_000, 0, -20, 5_300_000]


def test_a_picture_of_a_part_stays_in_its_place(store: Path, tmp_path: Path) -> None:
    """A box that does not begin at a pixel of the level."""
    box = (500_050.0, 5_299_510.0, 500_430.0, 5_299_970.0)
    geoembz.preview(store, tmp_path / "a.tif", size=12, bbox=box)
    shown, transform = picture(tmp_path / "a.tif")
    assert transform == [40, 0, 500_050, 0, -40, 5_299_970]
    level = geoembz.open(store, level=2)["embedding"].values[0]
    valid = ~np.isnan(level[np.arange(3, 49, 4)[:, np.newaxis] // 4, np.arange(5, 43, 4) // 4])
    np.testing.assert_array_equal(shown[3] > 0, valid)


def test_a_picture_reads_one_level_only(stores: dict[str, Path], tmp_path: Path) -> None:
    """And of prefix chunks only those of the components that it shows."""
    sent = {}
    with serving(stores["int8"].parent) as served:
        for name in ("int8", "prefix"):
            before = len(served.log)
            geoembz.preview(f"{served.url}/{name}", tmp_path / f"{name}.png", size=12)
            read = [entry for entry in served.log[before:] if "/embedding/c/" in entry[0]]
            assert all(f"/{name}/overviews/4/" in path for path, _, _ in read)
            sent[name] = sum(size for _, _, size in read)
    assert sent["prefix"] < 0.9 * sent["int8"]


def test_a_lost_shard_of_a_level_is_an_error(stores: dict[str, Path], tmp_path: Path) -> None:
    import shutil

    store = shutil.copytree(stores["int4"], tmp_path / "a.zarr")
    (store / "overviews/2/embedding/c/0/1/1").unlink()
    with pytest.raises(StoreError, match="missing shard overviews/2/embedding/c/0/1/1"):
        geoembz.open(store, level=1)["embedding"].values  # noqa: B018 - reads it
    assert geoembz.open(store, level=2)["embedding"].values.size


def test_grids_have_levels_of_their_own(tmp_path: Path) -> None:
    """A level is opened of one grid or of all; one that lacks it is named."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store, quantizer="float32")
    geoembz.overviews(store / "utm32n", levels=1)
    assert geoembz.open(store, grid="utm32n", level=1).sizes["y"] == 12
    found = geoembz.search(
        store / "utm32n", np.ones(geoembz.open(store, grid="utm32n").sizes["dimension"]), level=1
    )
    assert found.pixels_searched == 12 * 24
    with pytest.raises(InvalidConfigError, match=r"level 1: .*utm33n has the full resolution only"):
        xr.open_datatree(store, engine="geoembz", level=1)


def test_tables_have_no_levels(tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    columns = {"lon": np.arange(40.0), "lat": np.arange(40.0), "embedding": list(vectors)}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    store = tmp_path / "t.zarr"
    geoembz.convert(tmp_path / "t.parquet", store, quantizer="int8")
    for read in (
        lambda: geoembz.open(store, level=1),
        lambda: geoembz.search(store, vectors[0], level=1),
        lambda: geoembz.export(store, tmp_path / "o.parquet", level=1),
    ):
        with pytest.raises(InvalidConfigError, match=r"level.*table"):
            read()


def test_info_lists_levels(store: Path) -> None:
    info = geoembz.info(store)
    assert isinstance(info, StoreInfo)
    assert [(level.level, level.factor, level.shape) for level in info.levels] == [
        (1, 2, (26, 22)),
        (2, 4, (13, 11)),
    ]
    assert info.levels[0].cosine is not None
    printed = CliRunner().invoke(app, ["info", str(store)]).output
    assert "level 2 (4x, 40 m)" in printed
    assert "11 x 13 pixels" in printed
    document = json.loads(CliRunner().invoke(app, ["info", str(store), "--json"]).output)
    assert document["levels"][1]["name"] == "2 (4x, 40 m)"


def test_commands_take_a_level(store: Path, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("x,y\n500300,5299700\n")
    out = str(tmp_path / "out")
    commands = {
        "sample": [str(tmp_path / "p.csv"), "--crs", "EPSG:32632", "--out", f"{out}.csv"],
        "search": ["--point", "500300,5299700", "--crs", "EPSG:32632", "--k", "2"],
        "preview": [f"{out}.png"],
        "export": [f"{out}.tif"],
    }
    for command, arguments in commands.items():
        run = [command, str(store), *arguments, "--level"]
        done = CliRunner().invoke(app, [*run, "1", "--json"])
        assert done.exit_code == 0, (done.output, done.exception)
        failed = CliRunner().invoke(app, [*run, "7"])
        assert failed.exit_code != 0
        assert isinstance(failed.exception, InvalidConfigError)
    with rasterio.open(f"{out}.tif") as raster:
        assert raster.shape == (26, 22)
