"""Stores with a time axis, roots of several grids and tables are what ``spec/`` says."""

import shutil
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import zarr
from jsonschema.exceptions import ValidationError
from numpy.typing import NDArray

from geoembz._geo.geoparquet import read_emb, read_geo
from geoembz._verify import verify
from geoembz.store import StoreReader, TableReader, View
from tests.spec import independent, make_vectors, vector_kinds
from tests.spec.test_schemas import STORE_SCHEMA, conventions, validate
from tests.spec.test_vectors import STORES, VERSIONS, read_json
from tests.trees import objects

__all__ = ["conventions"]

SPACES: tuple[View, ...] = ("codes", "reduced", "original")


def kind(name: str) -> list[Path]:
    """Return the golden stores of one kind, of all versions."""
    return [path for version in VERSIONS for path in sorted((version / name).glob("*.zarr"))]


TIMES, ROOTS, TABLES = kind("times"), kind("grids"), kind("tables")
GRIDS = [path for root in ROOTS for path in sorted(root.iterdir()) if path.is_dir()]
OVERVIEWS, LAYERS = kind("overviews"), kind("layers")
ALL = [*TIMES, *ROOTS, *GRIDS, *TABLES, *OVERVIEWS, *LAYERS]

each_time = pytest.mark.parametrize(
    "store", [*TIMES, *LAYERS], ids=lambda path: f"{path.parent.name}-{path.stem}"
)
each_root = pytest.mark.parametrize("store", ROOTS, ids=lambda path: path.stem)
each_grid = pytest.mark.parametrize("store", GRIDS, ids=lambda path: path.name)
each_table = pytest.mark.parametrize("store", TABLES, ids=lambda path: path.stem)
each_store = pytest.mark.parametrize("store", ALL, ids=lambda path: path.stem)
each_space = pytest.mark.parametrize("space", SPACES)


def golden(store: Path, space: str) -> NDArray[Any]:
    """Return a view that was written beside a store, or beside the root that it lies in."""
    inside = store.parent.suffix == ".zarr"
    path = store.parent.with_suffix(f".{store.name}") if inside else store.with_suffix("")
    array: NDArray[Any] = np.load(f"{path}.{space}.npy")
    return array


def test_there_are_vectors_of_every_kind() -> None:
    assert TIMES
    assert len(GRIDS) >= 2 * len(ROOTS) > 0
    assert len(TABLES) >= 2
    assert len(OVERVIEWS) >= 4
    assert LAYERS


def test_missing_kinds_are_written_again_byte_for_byte(tmp_path: Path) -> None:
    """All but ``table.parquet``, in which pyarrow writes its version."""
    make_vectors._write_kinds(tmp_path)
    for name in ("times", "grids", "tables", "overviews", "layers"):
        came, expected = objects(tmp_path / name), objects(VERSIONS[-1] / name)
        assert came.keys() == expected.keys()
        differing = {key for key, content in came.items() if content != expected[key]}
        assert all(key.endswith("table.parquet") for key in differing)


RECORDED = [
    path
    for path in (*STORES, *TIMES, *ROOTS, *TABLES, *OVERVIEWS, *LAYERS)
    if "0.1" not in path.parent.parent.name
]


@pytest.mark.parametrize("store", RECORDED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_object_has_its_digest(store: Path, tmp_path: Path) -> None:
    """A reader made from the text and ours find nothing wrong, and name what was changed."""
    assert independent.wrong_objects(store) == set()
    assert verify(str(store)).problems == ()
    copy = shutil.copytree(store, tmp_path / "copy.zarr")
    files = sorted(path for path in copy.rglob("*") if path.is_file())
    for path in [path for path in files if "digests" not in path.parts][::8]:
        key, content = path.relative_to(copy).as_posix(), path.read_bytes()
        path.write_bytes(content + b" ")
        assert key in independent.wrong_objects(copy)
        assert key in {problem.key for problem in verify(str(copy)).problems}
        path.write_bytes(content)


@each_time
@each_space
def test_dates_decode(store: Path, space: View) -> None:
    reader = StoreReader.open(str(store))
    assert reader.dates == vector_kinds.DATES
    window = reader.attributes.grid.window
    expected = golden(store, space)
    for date, one in enumerate(expected):
        codes = reader.read_codes(window, date=date)
        came = codes if space == "codes" else reader.read(window, space, date=date)
        np.testing.assert_array_equal(came, one)
    np.testing.assert_array_equal(independent.decode_store(store, space), expected)


@each_time
def test_the_time_axis_counts_days(store: Path) -> None:
    """`time` is CF days since 1970-01-01, in the order in which dates were added."""
    days = independent.read_array(store / "time")
    dates = np.datetime64("1970-01-01") + days.astype("timedelta64[D]")
    assert tuple(map(str, dates)) == vector_kinds.DATES
    document = read_json(store / "embedding" / "zarr.json")
    assert document["dimension_names"][0] == "time"
    assert document["chunk_grid"]["configuration"]["chunk_shape"][0] == 1


@each_grid
@each_space
def test_grids_of_a_root_decode(store: Path, space: View) -> None:
    """Each is complete in itself."""
    reader = StoreReader.open(str(store))
    window = reader.attributes.grid.window
    came = reader.read_codes(window) if space == "codes" else reader.read(window, space)
    np.testing.assert_array_equal(came, golden(store, space))
    np.testing.assert_array_equal(independent.decode_store(store, space), came)


@each_root
def test_roots_name_and_share(store: Path) -> None:
    """The root says what its stores have in common, and plain Zarr lists all of them."""
    attributes = read_json(store / "zarr.json")["attributes"]
    children = [read_json(store / name / "zarr.json") for name in attributes["geoembz:grids"]]
    hashes = {child["attributes"]["geoembz:encoding_hash"] for child in children}
    assert hashes == {attributes["geoembz:encoding_hash"]}
    uris = [uri for child in children for uri in child["attributes"]["geoemb:source_data"]]
    assert attributes["geoemb:source_data"] == uris
    assert attributes["geoemb:spatial_layout"] == "utm_zones"
    group = zarr.open_consolidated(store)
    assert {name for name, _ in group.groups()} == set(attributes["geoembz:grids"])


@each_table
@each_space
def test_tables_decode(store: Path, space: View) -> None:
    reader = TableReader.open(str(store))
    rows = np.arange(reader.n_rows)
    np.testing.assert_array_equal(reader.read(rows, space), golden(store, space))
    np.testing.assert_array_equal(independent.decode_store(store, space), golden(store, space))


@each_table
def test_places_and_columns_of_tables(store: Path) -> None:
    """Bounds are those of each chunk's known places; a box finds the rows inside it."""
    x, y = (independent.read_array(store / axis) for axis in "xy")
    bounds = independent.read_array(store / "chunk_bbox")
    chunk = vector_kinds.CHUNK
    for index, (xmin, ymin, xmax, ymax) in enumerate(bounds):
        span = slice(index * chunk, (index + 1) * chunk)
        known = np.isfinite(x[span]) & np.isfinite(y[span])
        if not known.any():
            assert np.isnan([xmin, ymin, xmax, ymax]).all()
            continue
        assert (xmin, xmax) == (x[span][known].min(), x[span][known].max())
        assert (ymin, ymax) == (y[span][known].min(), y[span][known].max())
    found = TableReader.open(str(store)).select((10.5, 49.0, 11.25, 49.875))
    np.testing.assert_array_equal(found, [2, 3, 4, 5])
    names = read_json(store / "zarr.json")["attributes"]["geoembz:columns"]
    columns = {name: independent.read_array(store / "columns" / name) for name in names}
    np.testing.assert_array_equal(columns["count"], np.arange(vector_kinds.N_ROWS))
    np.testing.assert_array_equal(columns["when"], 86_400 * np.arange(vector_kinds.N_ROWS))


def test_other_columns_of_tables_are_geoparquet() -> None:
    store = next(store for store in TABLES if (store / "table.parquet").exists())
    table = pq.read_table(store / "table.parquet")
    assert table["name"].to_pylist()[:2] == ["chip 0", "chip 1"]
    geo = read_geo("golden", table.schema.metadata)
    assert geo is not None
    assert (geo.name, geo.encoding) == ("geometry", "WKB")
    assert read_emb(table.schema.metadata)["emb:type"] == "chip"


@each_store
def test_they_follow_the_schema(store: Path) -> None:
    validate(read_json(store / "zarr.json"), read_json(STORE_SCHEMA))


@each_store
def test_the_schema_requires_what_it_names(store: Path) -> None:
    """Without any one of the required attributes, a document is refused."""
    document, schema = read_json(store / "zarr.json"), read_json(STORE_SCHEMA)
    attributes = document["attributes"]
    name = "rootOfGrids" if "geoembz:grids" in attributes else None
    name = name or ("table" if attributes["geoemb:type"] == "chip" else "attributes")
    kinds = {"geoembz:grids", "geoemb:type"}  # what the schema chooses by
    for key in set(schema["$defs"][name]["required"]) - kinds:
        damaged = deepcopy(document)
        del damaged["attributes"][key]
        with pytest.raises(ValidationError):
            validate(damaged, schema)


@pytest.mark.parametrize(
    ("store", "damage"),
    [
        (TIMES[0], lambda a: a["geoembz:times"][0].update({"time": "2024"})),
        (TIMES[0], lambda a: a["geoembz:times"][0].pop("pixels")),
        (LAYERS[0], lambda a: a["geoembz:layers"][0].update({"name": "month count"})),
        (LAYERS[0], lambda a: a["geoembz:layers"][0].update({"data_type": "complex64"})),
        (LAYERS[0], lambda a: a["geoembz:layers"][0].pop("data_type")),
        (LAYERS[0], lambda a: a["geoembz:layers"][1].update({"missing_value": 0.5})),
        (LAYERS[0], lambda a: a.update({"geoembz:layers": []})),
        (ROOTS[0], lambda a: a.update({"spatial:shape": [1, 1]})),
        (ROOTS[0], lambda a: a.update({"geoembz:grids": []})),
        (TABLES[0], lambda a: a.update({"geoembz:layout": "codec"})),
        (TABLES[0], lambda a: a.update({"geoembz:table": "other.parquet"})),
        (TABLES[0], lambda a: a["geoemb:chip_layout"].update({"chip_size": [256]})),
    ],
)
def test_the_schema_refuses_damage(store: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    document = read_json(store / "zarr.json")
    damage(document["attributes"])
    with pytest.raises(ValidationError):
        validate(document, read_json(STORE_SCHEMA))


@pytest.mark.realdata
@each_store
def test_they_follow_the_conventions(store: Path, conventions: Path) -> None:
    document = read_json(store / "zarr.json")
    declared = {entry["name"].rstrip(":") for entry in document["attributes"]["zarr_conventions"]}
    files = {"geoemb": "geoemb", "proj": "proj-r3", "spatial": "spatial-r3"}
    for name, file in {**files, "multiscales": "multiscales-r2"}.items():
        if name in declared:
            validate(document, read_json(conventions / f"{file}.schema.json"))
    assert "geoemb" in declared


@pytest.mark.parametrize("store", LAYERS, ids=lambda path: path.stem)
def test_layers_hold_what_was_written(store: Path) -> None:
    """Ours, the reader made from the text, and plain Zarr see the same stored numbers."""
    reader = StoreReader.open(str(store))
    window = reader.attributes.grid.window
    entries = read_json(store / "zarr.json")["attributes"]["geoembz:layers"]
    assert [entry["name"] for entry in entries] == [layer.name for layer in vector_kinds.LAYERS]
    for layer, entry in zip(vector_kinds.LAYERS, entries, strict=True):
        written = [vector_kinds.layer_numbers(date)[layer.name] for date in (0, 1)]
        plain = zarr.open_array(store, path=layer.name, mode="r")
        came = [reader.read_layer(layer.name, window, date) for date in (0, 1)]
        for numbers in (came, independent.read_array(store / layer.name), plain[...]):
            np.testing.assert_array_equal(np.asarray(numbers), written)
        expected = np.load(store.with_name(f"{store.stem}.{layer.name}.npy"))
        np.testing.assert_array_equal(came, expected)
        assert expected.dtype == np.asarray(came).dtype == plain.dtype == entry["data_type"]
        document = read_json(store / layer.name / "zarr.json")
        said = {key: entry[key] for key in entry.keys() - {"name", "data_type"}}
        assert said.items() <= document["attributes"].items()


def test_layers_without_numbers_are_not_stored() -> None:
    """An object that equals the fill value is absent; one with numbers and no vectors is there."""
    (store,) = LAYERS
    assert not (store / "Quality" / "c" / "1").exists()
    assert (store / "observations" / "c" / "1" / "1" / "1").exists()
    assert not (store / "embedding" / "c" / "1" / "0" / "1" / "1").exists()


each_level = pytest.mark.parametrize(
    ("store", "factor"),
    [(store, factor) for store in OVERVIEWS for factor in (2, 4)],
    ids=lambda value: getattr(value, "stem", str(value)),
)


@each_level
@pytest.mark.parametrize("space", SPACES)
def test_levels_decode(store: Path, factor: int, space: View) -> None:
    """With the root's encoding, by the text alone."""
    attributes = read_json(store / "zarr.json")["attributes"]
    assets = [entry["asset"] for entry in attributes["multiscales"]["layout"]]
    assert assets == ["embedding", "overviews/2", "overviews/4"]
    came = independent.decode_store(store, space, f"overviews/{factor}")
    np.testing.assert_array_equal(
        came, np.load(store.with_name(f"{store.stem}.{factor}.{space}.npy"))
    )


@pytest.mark.parametrize("factor", [2, 4])
def test_levels_are_the_means_of_the_full_resolution(factor: int) -> None:
    """As the text says it, of 8-bit codes; the last row and column are partial."""
    store = next(path for path in OVERVIEWS if path.stem == "int8-plain")
    came = independent.decode_store(store, "codes", f"overviews/{factor}")
    assert came.shape[1:] == (-(-5 // factor), -(-6 // factor))
    np.testing.assert_array_equal(came, independent.level_codes(store, factor))
