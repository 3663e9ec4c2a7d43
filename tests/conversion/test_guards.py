"""Every guard has its own message, and leaves nothing at the destination."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz.errors import GeoembzError, SourceError
from tests import products, tables
from tests.trees import names, objects

type Prepare = Callable[[Path], dict[str, Any]]

NAMES = [f"A{band:02d}" for band in range(64)]
CODES = products.aef_codes(16, 16)
VALUES = products.unit_vectors(16, 16, dimension=8)
A, B, C, D, E, F = products.UTM_TRANSFORM
EAST = (A, B, C + 160, D, E, F)
"""The place of a tile beside the one at `UTM_TRANSFORM`."""


def raster(values: Any, **options: Any) -> Prepare:
    """One tile."""

    def prepare(folder: Path) -> dict[str, Any]:
        products.write_raster(folder / "x.tif", values, **options)
        return {}

    return prepare


def tiles(*written: tuple[str, Any, products.Coefficients], **options: Any) -> Prepare:
    """Several tiles, by name, values and transform."""

    def prepare(folder: Path) -> dict[str, Any]:
        for name, values, transform in written:
            products.write_raster(folder / name, values, transform=transform)
        return options

    return prepare


def linear_codes(folder: Path) -> dict[str, Any]:
    linear = np.rint(products.unit_vectors(16, 16) * 127).astype(np.int8)
    products.write_aef(folder / "x.tif", linear)
    return {}


def random_codes(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    products.write_aef(folder / "x.tif", rng.integers(-120, 120, (64, 16, 16)).astype(np.int8))
    return {}


def corrupt_scales(folder: Path) -> dict[str, Any]:
    scales = np.full((4, 4), -161_685.0, np.float32)
    products.write_tessera_npy(folder, np.ones((4, 4, 128), np.int8), scales)
    return {}


def renamed_tessera(centre: str) -> Prepare:
    def prepare(folder: Path) -> dict[str, Any]:
        scales = np.full((4, 4), 0.1, np.float32)
        products.write_tessera_npy(folder, np.ones((4, 4, 128), np.int8), scales)
        for path in list(folder.iterdir()):
            path.rename(path.with_name(path.name.replace("9.05_47.85", centre)))
        return {}

    return prepare


def two_products(folder: Path) -> dict[str, Any]:
    products.write_aef(folder / "a.tif", CODES, transform=EAST)
    products.write_olmoearth(folder / "olmoearth.tif", CODES)
    return {}


def two_models(folder: Path) -> dict[str, Any]:
    """Write stores of geoembz, which say whose vectors they hold."""
    for name, transform in (("a", products.UTM_TRANSFORM), ("b", EAST)):
        path = products.write_raster(folder.parent / f"{name}.tif", VALUES, transform=transform)
        model = f"https://example.org/models/{name}"
        geoembz.convert(path, folder / f"{name}.zarr", model=model)
    return {}


def bad_files(folder: Path) -> dict[str, Any]:
    for index in range(3):
        transform = (A, B, C + 160 * index, D, E, F)
        products.write_raster(folder / f"{index}.tif", VALUES, transform=transform)
    (folder / "1.tif").write_bytes(b"")
    (folder / "2.tif").write_bytes((folder / "2.tif").read_bytes()[:-500])
    return {}


def only_bad_files(folder: Path) -> dict[str, Any]:
    for index in range(2):
        (folder / f"{index}.tif").write_bytes(b"")
    return {"skip_bad": True}


def swapped_points(folder: Path) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    places = tables.scattered(rng, 40) + np.array([110.0, 0.0])  # 120° east
    columns = {
        "embedding": tables.vector_column(tables.low_rank(rng, 40, 8)),
        "geometry": tables.points_wkb(places[:, ::-1]),
    }
    tables.write_geoparquet(folder / "a.parquet", columns, types=("Point",))
    return {}


def two_tables(first: dict[str, Any], second: dict[str, Any]) -> Prepare:
    """Two files of the same columns, with other footers."""

    def prepare(folder: Path) -> dict[str, Any]:
        rng = np.random.default_rng(1)
        for name, footer in (("a", first), ("b", second)):
            columns = {
                "embedding": tables.vector_column(tables.low_rank(rng, 40, 8)),
                "geometry": tables.points_wkb(tables.scattered(rng, 40)),
            }
            tables.write_geoparquet(folder / f"{name}.parquet", columns, **footer)
        return {}

    return prepare


def tables_of_two_dimensions(folder: Path) -> dict[str, Any]:
    for name, dimension in (("a", 16), ("b", 8)):
        path = folder / f"{name}.parquet"
        tables.plain(path, np.random.default_rng(1), rows=40, dimension=dimension)
    return {}


def linear_table(folder: Path) -> dict[str, Any]:
    bands = {f"A{i:02d}": pa.array(np.full(40, (i % 5 + 9) / 127.5)) for i in range(64)}
    path = tables.plain(folder / "a.parquet", np.random.default_rng(1), rows=40).path
    table = pq.read_table(path).drop_columns(["embedding"])
    for name, values in bands.items():
        table = table.append_column(name, values)
    pq.write_table(table, path)
    return {}


def cut_table(folder: Path) -> dict[str, Any]:
    path = tables.plain(folder / "a.parquet", np.random.default_rng(1), rows=40).path
    path.write_bytes(path.read_bytes()[:-100])
    return {}


AT_120_DEGREES = (0.001, 0.0, 14.5, 0.0, -0.001, 121.0)
AT_5300_KM = (10.0, 0.0, 5_300_000.0, 0.0, -10.0, 500_000.0)

GUARDS: dict[str, tuple[Prepare, str]] = {
    "linear law": (
        raster(CODES.astype(np.float32) / 127.5, names=NAMES),
        r"x\.tif: .*dequantized linearly, as q / 127\.5.*convert the int8 tiles",
    ),
    "no law": (raster(CODES.astype(np.float32)), r"x\.tif: numbers up to .*never dequantized"),
    "linear codes": (linear_codes, r'x\.tif: .*the codes are linear.*product="raster"'),
    "no codes of AlphaEarth": (random_codes, r"x\.tif: .*no codes of AlphaEarth"),
    "linear law in a table": (linear_table, r"a\.parquet.*integers / 127.5.*linear law"),
    "int8 of no product": (raster(CODES[:7]), r"x\.tif: 7 bands of int8 of an unknown product"),
    "corrupt scales only": (corrupt_scales, r"no valid pixel: 16 are corrupt.*scales"),
    "longitude and latitude": (
        raster(VALUES, crs="EPSG:4326", transform=AT_120_DEGREES),
        r"x\.tif: .*look swapped; expected latitudes",
    ),
    "easting and northing": (
        raster(VALUES, transform=AT_5300_KM),
        r"x\.tif: .*look swapped; expected eastings",
    ),
    "a swapped tile of Tessera": (renamed_tessera("47.85_9.05"), "latitude are swapped"),
    "another tile of Tessera": (renamed_tessera("19.05_47.85"), "another tile's"),
    "swapped points of a table": (swapped_points, r"a\.parquet: column 'geometry'.*swapped"),
    "mixed dimensions": (
        tiles(("a.tif", VALUES, EAST), ("b.tif", VALUES[:3], products.UTM_TRANSFORM)),
        r"b\.tif: components 3, but .*a\.tif: components 8",
    ),
    "mixed types": (
        tiles(("a.tif", VALUES, EAST), ("b.tif", VALUES.astype(float), products.UTM_TRANSFORM)),
        r"b\.tif: type 'float64', but .*a\.tif: type 'float32'",
    ),
    "mixed products": (two_products, r"product 'olmoearth', but .*product 'aef'"),
    "mixed models": (two_models, r"b\.zarr: model '.*/models/b', but .*a\.zarr: model '.*/a'"),
    "mixed dimensions of tables": (
        tables_of_two_dimensions,
        r"row 40: a vector of 8 numbers; expected 16",
    ),
    "mixed models of tables": (
        two_tables({"emb": {"model": "clay"}}, {"emb": {"model": "ssl4eo"}}),
        r"b\.parquet: model ssl4eo, but .*a\.parquet: model clay",
    ),
    "mixed CRSs of tables": (
        two_tables({}, {"crs": "EPSG:4258"}),
        r"b\.parquet: CRS EPSG:4258, but .*a\.parquet: CRS ",
    ),
    "duplicates": (
        tiles(*((name, VALUES, products.UTM_TRANSFORM) for name in ("a.tif", "copy.tif"))),
        r"a\.tif and .*copy\.tif: duplicates.*overlap=",
    ),
    "misaligned tiles": (
        tiles(("a.tif", VALUES, EAST), ("b.tif", VALUES, (A, B, C, D, E, F + 5))),
        r'b\.tif: .*5300005\).*a\.tif: .*5300000\).*resample="nearest"',
    ),
    "bad files": (bad_files, r"2 of 3 .*skip_bad=True.*\n.*1\.tif: empty.*\n.*2\.tif: truncated"),
    "bad files only": (only_bad_files, r"2 of 2 .*\n.*0\.tif: empty.*\n.*1\.tif: empty"),
    "a truncated table": (cut_table, r"a\.parquet.*truncated"),
}


@pytest.mark.parametrize("guard", GUARDS)
def test_a_guard_refuses_and_leaves_nothing(guard: str, tmp_path: Path) -> None:
    """Its own message with the input's name; the input as it was, and no destination."""
    prepare, message = GUARDS[guard]
    folder, destination = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    destination.mkdir()
    options = prepare(folder)
    before = objects(folder)
    with pytest.raises(GeoembzError, match=message):
        geoembz.convert(folder, destination / "out.zarr", **options)
    assert names(destination) == []
    assert objects(folder) == before


@pytest.mark.parametrize(
    ("transform", "turn", "note"),
    [
        ((A, B, C, D, -E, F), np.s_[:, ::-1], "rows ran from south to north"),
        ((-A, B, C, D, E, F), np.s_[:, :, ::-1], "columns ran from east to west"),
    ],
    ids=["upside down", "mirrored"],
)
def test_turned_grids_are_stored_north_up_and_say_so(
    tmp_path: Path, transform: products.Coefficients, turn: Any, note: str
) -> None:
    """What the transform says is followed; nobody has to know that the file lay otherwise."""
    path = products.write_raster(tmp_path / "x.tif", VALUES, transform=transform)
    summary = geoembz.convert(path, tmp_path / "out.zarr", quantizer="float32")
    dataset = geoembz.open(tmp_path / "out.zarr")
    np.testing.assert_array_equal(dataset["embedding"].values, VALUES[turn])
    assert (np.diff(dataset.x) > 0).all()
    assert (np.diff(dataset.y) < 0).all()
    assert note in summary.notes[0]
    assert note in dataset.attrs["geoembz:notes"][0]


def test_the_rest_of_a_mosaic_goes_on_without_bad_files(tmp_path: Path) -> None:
    """The store lists what was skipped and why, without a folder of this machine."""
    folder = tmp_path / "in"
    folder.mkdir()
    bad_files(folder)
    summary = geoembz.convert(folder, tmp_path / "out.zarr", skip_bad=True)
    assert summary.skipped_inputs == 2
    skipped = geoembz.open(tmp_path / "out.zarr").attrs["geoembz:skipped"]
    assert [entry["uri"] for entry in skipped] == ["file:1.tif", "file:2.tif"]
    assert "empty" in skipped[0]["reason"]
    assert "truncated" in skipped[1]["reason"]
    assert str(tmp_path) not in str(skipped)


def test_an_unknown_crs_of_a_table_can_be_given(tmp_path: Path) -> None:
    """The message names --crs, and --crs helps."""
    two_tables({"crs": None}, {"crs": None})(tmp_path)
    path = tmp_path / "a.parquet"
    with pytest.raises(SourceError, match="is unknown; give it one with crs="):
        geoembz.convert(path, tmp_path / "out.zarr")
    geoembz.convert(path, tmp_path / "out.zarr", crs="EPSG:4326")
    assert geoembz.open(tmp_path / "out.zarr").sizes["sample"] == 40


@pytest.mark.parametrize(
    "header",
    [b"II+\0\x08\0\0\0" + b"\xff" * 8, b"MM\0*" + b"\xff" * 4, b"II*\0\x06\0\0\0"],
    ids=["BigTIFF", "big-endian", "no entries"],
)
def test_directories_behind_the_end_are_truncations(tmp_path: Path, header: bytes) -> None:
    """However far away they claim to be."""
    path = tmp_path / "x.tif"
    path.write_bytes(header)
    with pytest.raises(SourceError, match=r"x\.tif: (truncated|not a raster)"):
        geoembz.convert(path, tmp_path / "out.zarr")
    assert names(tmp_path) == ["x.tif"]
