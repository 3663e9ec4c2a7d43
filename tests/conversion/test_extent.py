"""`convert --extent`: a store larger than its first input, or smaller, on the same pixels."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._convert.sampling import PixelRoles, draw_sample
from geoembz._geo.grid import Window
from geoembz._verify import verify
from geoembz.errors import GeoembzError, InvalidConfigError
from geoembz.sources import Source, SourceData, open_source
from geoembz.sources.extent import PlacedSource, within_extent
from geoembz.store import StoreReader
from tests import products
from tests.trees import objects

OPTIONS: dict[str, Any] = {"recipe": "pca4-int4", "chunk": 8, "shard": 16}
LEFT, TOP = products.UTM_TRANSFORM[2], products.UTM_TRANSFORM[5]
STEP = products.UTM_TRANSFORM[0]


def extent(top: float, left: float, bottom: float, right: float) -> tuple[float, ...]:
    """Return an extent from rows and columns of the input, with fractions if need be."""
    return LEFT + left * STEP, TOP - bottom * STEP, LEFT + right * STEP, TOP - top * STEP


@pytest.fixture(scope="module")
def values() -> NDArray[np.float32]:
    """Vectors ``(6, 30, 26)``."""
    return products.unit_vectors(30, 26, 6, seed=3)


@pytest.fixture(scope="module")
def raster(values: NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write them."""
    return products.write_raster(tmp_path_factory.mktemp("extent") / "a.tif", values, block=16)


def test_a_larger_store_is_that_of_a_larger_raster(
    values: NDArray[np.float32], raster: Path, tmp_path: Path
) -> None:
    """Byte for byte, but for where the input lies: nothing is written where it has no data."""
    wide = np.full((6, 70, 80), np.nan, np.float32)
    wide[:, 20:50, 33:59] = values
    a, _, c, _, e, f = products.UTM_TRANSFORM
    padded = products.write_raster(
        tmp_path / "wide.tif", wide, block=16, transform=(a, 0, c - 33 * a, 0, e, f - 20 * e)
    )
    geoembz.convert(raster, tmp_path / "basis.zarr", **OPTIONS)
    basis = {**OPTIONS, "basis": tmp_path / "basis.zarr", "recipe": None}
    geoembz.convert(padded, tmp_path / "wide.zarr", **basis)
    geoembz.convert(raster, tmp_path / "out.zarr", extent=extent(-20, -33, 50, 47), **basis)
    ours, theirs = (objects(tmp_path / name) for name in ("out.zarr", "wide.zarr"))
    shards = [key for key in theirs if "/c/" in key]
    assert len([key for key in shards if key.startswith("embedding")]) == 6
    assert {key: ours.get(key) for key in shards} == {key: theirs[key] for key in shards}
    assert ours.keys() == theirs.keys()
    (source,) = StoreReader.open(str(tmp_path / "out.zarr")).attributes.sources
    assert source["bbox"] == list(open_source(str(raster)).grid.bbox)
    assert verify(tmp_path / "out.zarr").problems == ()


@pytest.mark.parametrize(
    ("asked", "shape", "corner"),
    [
        ((0.0, 0.0, 30.0, 26.0), (30, 26), (0, 0)),
        ((0.004, -0.004, 29.996, 26.004), (30, 26), (0, 0)),
        ((4.5, 3.2, 20.1, 9.9), (17, 7), (4, 3)),
        ((-7.5, -1.0, 31.0, 26.0), (39, 27), (-8, -1)),
    ],
)
def test_edges_move_outward_to_pixels(
    raster: Path,
    asked: tuple[float, float, float, float],
    shape: tuple[int, int],
    corner: tuple[int, int],
) -> None:
    """Every pixel that the extent touches; what is off an edge by rounding lies on it."""
    source = within_extent(open_source(str(raster)), extent(*asked))
    row, col = corner
    assert source.grid.shape == shape
    assert source.grid.bbox[::3] == (LEFT + col * STEP, TOP - row * STEP)


def test_a_cut_holds_the_pixels_inside(
    values: NDArray[np.float32], raster: Path, tmp_path: Path
) -> None:
    """Those of the whole input, and no others."""
    geoembz.convert(raster, tmp_path / "whole.zarr", recipe="float32")
    geoembz.convert(
        raster, tmp_path / "cut.zarr", recipe="float32", extent=extent(4.5, 3.2, 20.1, 9.9)
    )
    cut = geoembz.open(tmp_path / "cut.zarr")["embedding"].values
    np.testing.assert_array_equal(cut, values[:, 4:21, 3:10])


def test_the_sample_is_looked_for_where_there_are_pixels(raster: Path) -> None:
    """On a grid too large for a list of its blocks, blocks without data are not read."""
    source = within_extent(open_source(str(raster)), extent(-1e6, -1e6, 1e6, 1e6))
    read: list[Source] = []

    class Counted(PlacedSource):
        def read(self, window: Window) -> SourceData:
            read.append(self)
            return super().read(window)

    assert isinstance(source, PlacedSource)
    counted = Counted(source.source, source.grid)
    sample = draw_sample(
        counted, PixelRoles(0, counted.grid.shape), 500, lambda do, many: list(map(do, many))
    )
    assert sum(block.shape[1] for block in sample) == 500
    assert len(read) < 20


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("1,2,3", "expected four numbers"),
        ((5, 5, 1, 9), "XMIN < XMAX"),
        ((0, 0, 1, 1), "holds no pixel of .*a.tif: EPSG:32632, origin"),
        ((LEFT, 0, 1e30, TOP), "expected units of its CRS"),
    ],
)
def test_extents_that_do_not_fit_are_refused(
    given: object, message: str, raster: Path, tmp_path: Path
) -> None:
    """Before anything is written."""
    with pytest.raises(InvalidConfigError, match=message):
        geoembz.convert(raster, tmp_path / "out.zarr", extent=given)  # type: ignore[arg-type]
    assert not (tmp_path / "out.zarr").exists()


def test_no_place_twice(tmp_path: Path) -> None:
    """In degrees, not more than once around, and not beyond a pole."""
    values = products.unit_vectors(10, 20, 4, seed=1)
    path = products.write_raster(
        tmp_path / "a.tif", values, crs="EPSG:4326", transform=(1, 0, 0, 0, -1, 50)
    )
    source = open_source(str(path))
    assert within_extent(source, (-180, -90, 180, 90)).grid.shape == (180, 360)
    for beyond in ((-180, 0, 182, 90), (0, 0, 20, 95)):
        with pytest.raises(InvalidConfigError, match="beyond the Earth"):
            within_extent(source, beyond)


@pytest.mark.parametrize("option", ["check", "several", "table"])
def test_what_an_extent_cannot_go_with(option: str, raster: Path, tmp_path: Path) -> None:
    """A comparison by place, inputs of several CRSs, tables."""
    inputs: list[Path] = [raster]
    more: dict[str, Any] = {}
    if option == "check":
        more = {"check": True}
    elif option == "several":
        other = products.unit_vectors(30, 26, 6, seed=4)
        inputs += [products.write_raster(tmp_path / "b.tif", other, crs="EPSG:32633")]
    else:
        inputs = [tmp_path / "rows.csv"]
        inputs[0].write_text("lon,lat,e0,e1\n1,2,3,4\n")
    with pytest.raises(GeoembzError, match="extent"):
        geoembz.convert(inputs, tmp_path / "out.zarr", extent=extent(0, 0, 9, 9), **more)


@pytest.mark.parametrize("product", ["aef", "tessera"])
def test_codes_of_a_product_stay_codes(product: str, tmp_path: Path) -> None:
    """What a product scales or looks up is so at the edges of an extent, too."""
    if product == "aef":
        path = products.write_aef(tmp_path / "aef.tif", products.aef_codes(20, 24))
    else:
        codes = np.random.default_rng(0).integers(-90, 90, (20, 24, 128)).astype(np.int8)
        scales = np.random.default_rng(1).uniform(0.01, 0.1, (20, 24)).astype(np.float32)
        path = products.write_tessera_npy(tmp_path, codes, scales)
    source = open_source(str(path))
    grid = source.grid.part(Window(-5, -3, 40, 40))
    placed = PlacedSource(source, grid)
    inner, whole = source.read(source.grid.window), placed.read(grid.window)
    assert whole.is_coded
    known, read = whole.decode(), inner.decode()
    rows, cols = slice(5, 25), slice(3, 27)
    np.testing.assert_array_equal(known.values[:, rows, cols], read.values)
    np.testing.assert_array_equal(known.complete()[rows, cols], read.complete())
    assert known.complete().sum() == read.complete().sum()
