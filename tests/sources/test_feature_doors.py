"""Every door takes the same files: `sample`, the labels of `evaluate`, `convert`, `cost`."""

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz._evaluate.labels import read_labels
from geoembz.errors import GeoembzError, InvalidConfigError, MissingPackageError, SourceError
from geoembz.sources.features import read_features, read_rows
from geoembz.sources.features.vector_files import SUFFIXES
from geoembz.sources.tables import open_table
from tests import products

gpd = pytest.importorskip("geopandas")
shapely = pytest.importorskip("shapely")
pytest.importorskip("pyogrio")

SIZE = 8
X, Y = 500_005 + 10.0 * np.arange(SIZE), 5_299_995 - 10.0 * np.arange(SIZE)
"""Centres of the pixels of the raster's diagonal."""

UTM = "EPSG:32633"
LABELS = [f"class {number % 3}" for number in range(SIZE)]


def points(crs: Any = UTM) -> Any:
    """Return the diagonal's centres with labels."""
    frame = gpd.GeoDataFrame({"label": LABELS}, geometry=gpd.points_from_xy(X, Y), crs=UTM)
    return frame.set_crs(None, allow_override=True) if crs is None else frame.to_crs(crs)


def squares() -> Any:
    """Return the diagonal's pixels, a little smaller."""
    frame = points()
    frame["geometry"] = shapely.box(X - 4, Y - 4, X + 4, Y + 4)
    return frame


def write_csv(frame: Any, path: Path) -> None:
    """Write longitude and latitude."""
    degrees = frame.to_crs("EPSG:4326").geometry
    lines = [
        f"{x!r},{y!r},{label}" for x, y, label in zip(degrees.x, degrees.y, LABELS, strict=True)
    ]
    path.write_text("\n".join(["lon,lat,label", *lines]) + "\n")


def write_columns(frame: Any, path: Path) -> None:
    """Write longitude and latitude, the labels a category."""
    degrees = frame.to_crs("EPSG:4326").geometry
    label = pa.array(LABELS).dictionary_encode()
    pq.write_table(pa.table({"lon": degrees.x, "lat": degrees.y, "label": label}), path)


WRITERS: dict[str, Callable[[Any, Path], Any]] = {
    "a.gpkg": lambda frame, path: frame.to_file(path, driver="GPKG"),
    "a.shp": lambda frame, path: frame.to_file(path),
    "a.fgb": lambda frame, path: frame.to_file(path, driver="FlatGeobuf", SPATIAL_INDEX="NO"),
    "a.geojson": lambda frame, path: frame.to_crs("OGC:CRS84").to_file(path, driver="GeoJSON"),
    "a.parquet": lambda frame, path: frame.to_parquet(path),
    "native.parquet": lambda frame, path: frame.to_parquet(
        path, geometry_encoding="geoarrow", schema_version="1.1.0"
    ),
    "named.gpq": lambda frame, path: frame.rename_geometry("place").to_parquet(path),
    "columns.pq": write_columns,
    "a.csv": write_csv,
}
HOLD_AREAS = [name for name in WRITERS if name not in {"columns.pq", "a.csv"}]


@pytest.fixture
def raster(tmp_path: Path) -> Path:
    """Return a raster whose diagonal the features lie on."""
    values = np.random.default_rng(0).normal(size=(4, SIZE, SIZE)).astype(np.float32)
    transform = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0)
    return products.write_raster(tmp_path / "s.tif", values, crs=UTM, transform=transform)


@pytest.fixture
def store(raster: Path, tmp_path: Path) -> Path:
    """Return its store."""
    geoembz.convert(raster, tmp_path / "s.zarr", quantizer="float32")
    return tmp_path / "s.zarr"


@pytest.mark.parametrize(
    ("name", "shapes"),
    [*((name, points) for name in WRITERS), *((name, squares) for name in HOLD_AREAS)],
)
def test_every_door_reads_every_file(
    name: str, shapes: Callable[[], Any], store: Path, tmp_path: Path
) -> None:
    """`sample` gives the pixels of the diagonal, and so do labels; columns are kept."""
    path = tmp_path / name
    WRITERS[name](shapes(), path)
    dataset = geoembz.open(store)
    sampled = dataset.geoembz.sample(path)
    diagonal = dataset["embedding"].values[:, range(SIZE), range(SIZE)].T
    np.testing.assert_array_equal(sampled.vectors, diagonal)
    assert sampled.to_arrow()["label"].to_pylist() == LABELS
    from geoembz.store import StoreReader

    labels = read_labels(path, StoreReader.open(str(store)).attributes.grid, column="label")
    order = np.argsort(labels.rows)
    np.testing.assert_array_equal(labels.rows[order], range(SIZE))
    np.testing.assert_array_equal(labels.cols[order], range(SIZE))
    assert labels.labels[order].tolist() == LABELS


@pytest.mark.parametrize("name", HOLD_AREAS)
def test_regions_of_cost_are_read_from_every_file(name: str, tmp_path: Path) -> None:
    """Eight squares of 8 m hold 512 pixels of 1 m, but for the scale of the zone."""
    WRITERS[name](squares(), tmp_path / name)
    (found,) = geoembz.cost(model="aef", region=tmp_path / name, gsd=1).estimates
    assert found.holding.pixels == pytest.approx(512 / 0.9996**2, abs=1)


def test_points_are_no_region(tmp_path: Path) -> None:
    """Whatever file they stand in."""
    for name in ("a.csv", "a.gpkg"):
        WRITERS[name](points(), tmp_path / name)
        with pytest.raises(InvalidConfigError, match=r"holds (points|no polygon)"):
            geoembz.cost(model="aef", region=tmp_path / name)


@pytest.mark.parametrize("name", ["a.parquet", "a.gpkg", "a.shp", "a.fgb"])
@pytest.mark.filterwarnings("ignore:.*crs. was not provided")
def test_an_unknown_crs_can_be_given(name: str, store: Path, tmp_path: Path) -> None:
    """Declared null or not declared: refused without, taken with a CRS, and labels take theirs."""
    WRITERS[name](points(None), tmp_path / name)
    if name == "a.parquet":
        geo = json.loads(pq.read_schema(tmp_path / name).metadata[b"geo"])
        assert geo["columns"]["geometry"]["crs"] is None
    with pytest.raises(GeoembzError, match="crs=…"):
        read_features(tmp_path / name)
    dataset = geoembz.open(store)
    sampled = dataset.geoembz.sample(tmp_path / name, crs=UTM)
    diagonal = dataset["embedding"].values[:, range(SIZE), range(SIZE)].T
    np.testing.assert_array_equal(sampled.vectors, diagonal)
    assert read_rows(tmp_path / name, unknown_crs=UTM).crs == UTM


def test_a_declared_crs_can_be_replaced(tmp_path: Path) -> None:
    """In every format that declares one."""
    for name in ("a.gpkg", "a.shp", "a.fgb", "a.parquet", "a.geojson"):
        WRITERS[name](points(), tmp_path / name)
        assert read_features(tmp_path / name, crs="EPSG:32634").crs == "EPSG:32634"


def test_one_of_several_layers_is_named(tmp_path: Path) -> None:
    """Layers are listed, never guessed; one without geometries is none of them."""
    path = tmp_path / "a.gpkg"
    points().to_file(path, driver="GPKG", layer="sites")
    squares().to_file(path, driver="GPKG", layer="plots")
    with pytest.raises(InvalidConfigError, match=r"2 layers.*it has sites, plots.*layername=sites"):
        read_features(path)
    assert read_features(f"{path}|layername=plots").kind == "polygons"
    assert read_features(f"{path}|layername=sites").kind == "points"
    with pytest.raises(InvalidConfigError, match="no layer 'roads'"):
        read_features(f"{path}|layername=roads")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kind", ["damaged", "disguised", "empty"])
def test_damaged_and_disguised_files_are_refused(suffix: str, kind: str, tmp_path: Path) -> None:
    """A text that names other files is opened by no driver of GDAL's."""
    path = tmp_path / f"a{suffix}"
    WRITERS[path.name](points(), path)
    if kind == "damaged":
        path.write_bytes(path.read_bytes()[:150])
    elif kind == "disguised":
        path.write_text('<OGRVRTDataSource><OGRVRTLayer name="a"></OGRVRTLayer></OGRVRTDataSource>')
    else:
        path.write_bytes(b"")
    with pytest.raises(SourceError, match=rf"a\{suffix}: (cannot be read|begins with)"):
        read_features(path)


def test_without_pyogrio_the_extra_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other formats are still read."""
    WRITERS["a.gpkg"](points(), tmp_path / "a.gpkg")
    monkeypatch.setitem(sys.modules, "pyogrio", None)
    with pytest.raises(MissingPackageError, match=r"geoembz\[vector\]"):
        read_features(tmp_path / "a.gpkg")


def test_missing_geometries_keep_their_rows(store: Path, tmp_path: Path) -> None:
    """A null geometry, an empty one and NaN coordinates: rows without a vector."""
    frame = points()
    frame.loc[1, "geometry"] = None
    frame.loc[2, "geometry"] = shapely.Point()
    for name in ("a.parquet", "a.gpkg", "a.fgb"):
        WRITERS[name](frame, tmp_path / name)
        sampled = geoembz.open(store).geoembz.sample(tmp_path / name)
        assert np.flatnonzero(~sampled.found).tolist() == [1, 2], name
        assert sampled.to_arrow()["label"].to_pylist() == LABELS


def embeddings(geometry: Any) -> Any:
    """Return a table of embeddings."""
    vectors = np.random.default_rng(0).normal(size=(SIZE, 4)).astype(np.float32)
    return gpd.GeoDataFrame({"embedding": list(vectors)}, geometry=geometry, crs=UTM)


@pytest.mark.parametrize("encoding", ["WKB", "geoarrow"])
@pytest.mark.parametrize("kind", ["points", "polygons", "multipolygons", "lines"])
def test_tables_of_embeddings_have_geometries_of_every_encoding(
    encoding: str, kind: str, tmp_path: Path
) -> None:
    """Rows lie at the middle of their geometries' bounds; missing ones nowhere."""
    boxes = shapely.box(X - 4, Y - 4, X + 4, Y + 4)
    shapes = {
        "points": shapely.points(X, Y),
        "polygons": boxes,
        "multipolygons": [shapely.MultiPolygon([box]) for box in boxes],
        "lines": [
            shapely.LineString([(x - 4, y - 4), (x + 4, y + 4)]) for x, y in zip(X, Y, strict=True)
        ],
    }
    geometry = np.array(list(shapes[kind]), dtype=object)
    geometry[3] = None
    path = tmp_path / "t.parquet"
    embeddings(geometry).to_parquet(path, geometry_encoding=encoding, schema_version="1.1.0")
    places = open_table(path).survey().places
    expected = np.column_stack([X, Y])
    expected[3] = np.nan
    np.testing.assert_allclose(places, expected)
    geoembz.convert(path, tmp_path / "t.zarr", quantizer="float32")
    stored = np.column_stack([geoembz.open(tmp_path / "t.zarr")[axis].values for axis in "xy"])
    np.testing.assert_allclose(np.sort(stored, axis=0), np.sort(expected, axis=0))
    others = tmp_path / "t.zarr" / "table.parquet"
    if others.exists():
        kept = gpd.read_parquet(others)
        assert kept.geometry.isna().sum() + kept.geometry.is_empty.sum() <= 1
        assert kept.crs == UTM


def test_the_primary_geometry_of_several_is_taken(tmp_path: Path) -> None:
    """By the footer, whatever its name and place; the other is kept."""
    frame = embeddings(shapely.points(X, Y)).rename_geometry("centre")
    frame["outline"] = gpd.GeoSeries(shapely.box(X, Y, X + 50, Y + 50), crs=UTM)
    frame.to_parquet(tmp_path / "t.parquet")
    np.testing.assert_allclose(
        open_table(tmp_path / "t.parquet").survey().places, np.column_stack([X, Y])
    )
    frame.set_geometry("outline").to_parquet(tmp_path / "u.parquet")
    np.testing.assert_allclose(
        open_table(tmp_path / "u.parquet").survey().places, np.column_stack([X + 25, Y + 25])
    )


class Wkb(pa.ExtensionType):  # type: ignore[misc]
    """GeoArrow's type, which pyarrow writes as Parquet's GEOMETRY."""

    def __init__(self, crs: Any) -> None:
        self.crs = crs
        super().__init__(pa.binary(), "geoarrow.wkb")

    def __arrow_ext_serialize__(self) -> bytes:
        return json.dumps({} if self.crs is None else {"crs": self.crs}).encode()

    @classmethod
    def __arrow_ext_deserialize__(cls, storage: Any, content: bytes) -> "Wkb":
        return cls(json.loads(content or b"{}").get("crs"))


@pytest.fixture
def known_to_arrow() -> Iterator[None]:
    """Register the type while a file is written."""
    pa.register_extension_type(Wkb(None))
    yield
    pa.unregister_extension_type("geoarrow.wkb")


@pytest.mark.parametrize("is_known", [True, False], ids=["registered", "unknown"])
@pytest.mark.parametrize("arrow_schema", [True, False], ids=["extension", "logical type only"])
def test_geometries_of_parquet_and_geoarrow_types_are_found(
    arrow_schema: bool, is_known: bool, known_to_arrow: None, tmp_path: Path
) -> None:
    """Without a `geo` footer their CRS is in the type, whatever the column is called."""
    wkb = pa.array(shapely.to_wkb(shapely.points(X, Y)).tolist(), pa.binary())
    vectors = list(np.random.default_rng(0).normal(size=(SIZE, 4)).astype(np.float32))
    place = pa.ExtensionArray.from_storage(Wkb(UTM), wkb)
    path = tmp_path / "t.parquet"
    pq.write_table(
        pa.table({"embedding": vectors, "place": place}), path, store_schema=arrow_schema
    )
    assert b"geo" not in (pq.read_schema(path).metadata or {})
    if not is_known:
        pa.unregister_extension_type("geoarrow.wkb")
    try:
        table = open_table(path)
        assert table.crs == UTM
        np.testing.assert_allclose(table.survey().places, np.column_stack([X, Y]))
        assert read_features(path).crs == UTM
    finally:
        if not is_known:
            pa.register_extension_type(Wkb(None))


def test_geoarrow_without_a_crs_is_unknown(tmp_path: Path) -> None:
    """Field metadata alone say what a column is."""
    axes = pa.StructArray.from_arrays([pa.array(X), pa.array(Y)], ["x", "y"])
    field = pa.field("place", axes.type, metadata={"ARROW:extension:name": "geoarrow.point"})
    pq.write_table(pa.Table.from_arrays([axes], schema=pa.schema([field])), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="CRS of 'place' is unknown"):
        read_features(tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet", crs=UTM)
    np.testing.assert_array_equal(found.points, np.column_stack([X, Y]))


def test_long_rows_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of kilobytes whose texts decode to gigabytes is refused while it is read."""
    text = pa.array(["x" * 200_000] * SIZE)
    pq.write_table(pa.table({"lon": X, "lat": Y / 1e5, "text": text}), tmp_path / "t.parquet")
    assert read_features(tmp_path / "t.parquet", crs="OGC:CRS84").columns.num_rows == SIZE
    monkeypatch.setattr("geoembz.sources.features.read._MOST_LONG_BYTES", 2**20)
    monkeypatch.setattr("geoembz.sources.tables.parquet_files.TEXT_BYTES", 2**19)
    with pytest.raises(SourceError, match=r"columns of \d rows take more than 1 MB"):
        read_features(tmp_path / "t.parquet")
