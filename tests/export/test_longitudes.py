"""What is asked in one range of longitudes is found in stores of the other."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._evaluate.labels import read_labels
from geoembz._export import preview, sample
from geoembz._export.cog import export_cog
from geoembz._export.region import open_regions
from geoembz._search import search, vectors_at
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster

type Stores = dict[str, Path]

TRANSFORMS = {
    "fiji": (0.001, 0.0, 179.98, 0.0, -0.001, -16.0),
    "globe": (9.0, 0.0, 0.0, 0.0, -9.0, 90.0),
    "world": (9.0, 0.0, -180.0, 0.0, -9.0, 90.0),
    "utm1": (100.0, 0.0, 160_000.0, 0.0, -100.0, 8_150_000.0),
    "mercator": (100.0, 0.0, 20_035_508.0, 0.0, -100.0, -1_800_000.0),
}
CRSS = {"utm1": "EPSG:32701", "mercator": "EPSG:3857"}
SHAPE = (20, 40)


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(4, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def stores(
    tmp_path_factory: pytest.TempPathFactory, values: np.ndarray, make_raster: MakeRaster
) -> Stores:
    """Convert rasters that lie across 180°, or hold the globe from 0 or from −180."""
    folder = tmp_path_factory.mktemp("longitudes")
    for name, transform in TRANSFORMS.items():
        crs = CRSS.get(name, "EPSG:4326")
        path = make_raster(folder / f"{name}.tif", values, crs=crs, transform=transform)
        geoembz.convert(path, folder / f"{name}.zarr", recipe="float32")
    return {name: folder / f"{name}.zarr" for name in TRANSFORMS}


def degrees(store: Path) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes of all pixel centres, as PROJ says, shape ``SHAPE``."""
    from pyproj import Transformer

    grid = StoreReader.open(str(store)).attributes.grid
    move = Transformer.from_crs(grid.crs_wkt, "OGC:CRS84", always_xy=True).transform
    x, y = np.meshgrid(grid.x, grid.y)
    lon, lat = move(x, y)
    return np.asarray(lon), np.asarray(lat)


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("start", [-180.0, 0.0])
def test_every_pixel_is_found_by_either_longitude(
    stores: Stores, values: np.ndarray, name: str, start: float
) -> None:
    """Each centre, written from −180 or from 0, gives its own vector."""
    lon, lat = degrees(stores[name])
    lon = (lon - start) % 360 + start
    points = np.column_stack([lon.ravel(), lat.ravel()])
    found = sample(stores[name], points)
    np.testing.assert_array_equal(found.vectors, values.reshape(4, -1).T)


def test_the_antimeridian_is_no_edge_of_a_search(stores: Stores) -> None:
    """A query is taken from beyond 180, a box lies across it, and answers are in ±180."""
    query = vectors_at(stores["globe"], [(-170.5, 47.25)])
    found = search(stores["globe"], query, k=1, bbox=(170, 40, -160, 60))
    assert (found.rows[0, 0], found.cols[0, 0]) == (4, 21)
    assert found.lon[0, 0] == pytest.approx(-166.5)
    split = search(stores["world"], query, k=1, bbox=(170, -90, -170, 90))
    assert split.pixels_searched == 2 * 2 * SHAPE[0]


@pytest.mark.parametrize("name", ["globe", "world"])
@pytest.mark.parametrize("box", [(-180, -90, 180, 90), (0, -90, 360, 90), (-90, -90, 270, 90)])
@pytest.mark.parametrize("crs", [None, "EPSG:4326", "OGC:CRS84"])
def test_the_whole_globe_is_the_whole_globe(
    stores: Stores, name: str, box: tuple[float, float, float, float], crs: str | None
) -> None:
    (region,) = open_regions(stores[name], box, crs)
    assert region.window.shape == SHAPE


@pytest.mark.parametrize("name", ["fiji", "utm1", "mercator"])
@pytest.mark.parametrize("box", [(179, -20, -179, -10), (179, -20, 181, -10)])
def test_a_box_across_it_holds_what_lies_there(
    stores: Stores, name: str, box: tuple[float, float, float, float]
) -> None:
    """STAC's own box, west larger than east, in stores of any CRS."""
    (region,) = open_regions(stores[name], box, "EPSG:4326")
    assert region.window.shape == SHAPE
    with pytest.raises(InvalidConfigError, match="outside"):
        open_regions(stores[name], (-170, -20, 170, -10), "EPSG:4326")


def test_files_across_a_seam_are_refused_in_words(stores: Stores, tmp_path: Path) -> None:
    """No raster holds both ends of a globe without a gap; each part can be had."""
    out = tmp_path / "out.tif"
    with pytest.raises(InvalidConfigError, match=r"both sides.*0, .* 9, .* and 351, .* 360"):
        export_cog(stores["globe"], out, bbox=(-9, 0, 9, 45))
    with pytest.raises(InvalidConfigError, match="both sides"):
        preview(stores["world"], tmp_path / "out.png", bbox=(170, 0, -170, 45))
    export_cog(stores["globe"], out, bbox=(170, 0, -170, 45), bbox_crs="EPSG:4326")
    with rasterio.open(out) as raster:
        assert raster.bounds[::2] == (162.0, 198.0)


def test_polygons_on_both_sides_count_all_pixels(stores: Stores, values: np.ndarray) -> None:
    """Cut as RFC 7946 says, a polygon has its mean from both ends of a globe."""
    box = [
        [[w, -9.0], [e, -9.0], [e, 9.0], [w, 9.0], [w, -9.0]] for w, e in ((162, 180), (-180, -171))
    ]
    polygon = {"type": "MultiPolygon", "coordinates": [[ring] for ring in box]}
    for name, cols in (("world", [38, 39, 0]), ("globe", [18, 19, 20])):
        found = sample(stores[name], polygon)
        assert found.pixels.tolist() == [6]
        expected = values[:, 9:11][:, :, cols].reshape(4, -1).mean(axis=1)
        np.testing.assert_allclose(found.vectors[0], expected, atol=1e-6)


def test_elsewhere_is_told_in_the_words_of_the_question(
    stores: Stores, tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """Bounds come in the CRS of the points first, and of several grids the root is named."""
    for zone in (32, 33):
        make_raster(tmp_path / f"z{zone}.tif", values, crs=f"EPSG:326{zone}")
    root = tmp_path / "multi.zarr"
    geoembz.convert([tmp_path / "z32.tif", tmp_path / "z33.tif"], root, recipe="float32")
    with pytest.raises(SourceError) as caught:
        sample(root, [(0.0, 0.0)])
    message = str(caught.value)
    assert f"inside {root}, which covers 9, 47.85" in message
    assert "in OGC:CRS84 (500000, 5299800, 500400, 5300000 in EPSG:32632) and 15, " in message
    result = CliRunner().invoke(app, ["search", str(stores["utm1"]), "--point", "0,0"])
    assert "OGC:CRS84 (160000, " in str(result.exception)


@pytest.mark.parametrize("kind", ["points", "shapes", "raster"])
def test_labels_of_either_range_meet_a_grid(
    stores: Stores, kind: str, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """Labels from −180 are those of the same places in a grid from 0, whatever holds them."""
    grid = StoreReader.open(str(stores["globe"])).attributes.grid
    classes = np.arange(800).reshape(SHAPE) + 1
    turned = np.roll(classes, -20, axis=1)  # from 180 on
    lon, lat = np.meshgrid(-180 + 9 * (np.arange(40) + 0.5), 90 - 9 * (np.arange(20) + 0.5))
    if kind == "points":
        path = tmp_path / "labels.csv"
        rows = zip(lon.ravel(), lat.ravel(), turned.ravel(), strict=True)
        path.write_text("lon,lat,class\n" + "".join(f"{x},{y},{z}\n" for x, y, z in rows))
    elif kind == "raster":
        path = make_raster(
            tmp_path / "labels.tif",
            turned[np.newaxis].astype(np.int16),
            crs="EPSG:4326",
            transform=TRANSFORMS["world"],
        )
    else:
        import json

        path = tmp_path / "labels.geojson"
        features = [
            {
                "type": "Feature",
                "properties": {"class": int(z)},
                "geometry": {"type": "Point", "coordinates": [x, y]},
            }
            for x, y, z in zip(lon.ravel(), lat.ravel(), turned.ravel(), strict=True)
        ]
        path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = read_labels(path, grid)
    assert len(found.labels) == 800
    np.testing.assert_array_equal(classes[found.rows, found.cols], found.labels)
