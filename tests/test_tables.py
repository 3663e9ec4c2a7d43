"""Tables of every product become stores that hold what the tables held, findable by place."""

import json
import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import xarray as xr
from numpy.typing import NDArray
from zarr.storage import WrapperStore

import geoembz
from geoembz._convert import table_shards
from geoembz._export import export_table
from geoembz.errors import GeoembzError, InvalidConfigError, SourceError, StoreError
from geoembz.store import StoreReader, TableReader, View
from geoembz.store.summary import describe, describe_table
from geoembz.store.writer import open_zarr_store
from tests import tables
from tests.conftest import REPOSITORY
from tests.tables import Written
from tests.trees import objects

PRODUCTS: dict[str, tuple[Callable[..., Written], str]] = {
    "clay-v0": (tables.clay_v0, "a.gpq"),
    "clay-v1.5": (tables.clay_v1_5, "a.parquet"),
    "earth-index": (tables.earth_index, "a.parquet"),
    "major-tom": (tables.major_tom, "a.parquet"),
    "mosaiks": (tables.mosaiks_csv, "a.csv"),
    "plain": (tables.plain, "a.parquet"),
}
EVERYTHING = (-180.0, -90.0, 180.0, 90.0)


def convert(source: Any, **options: Any) -> TableReader:
    """Convert a table beside itself, in small chunks and shards, and open the store."""
    first = source[0] if isinstance(source, list) else source
    store = Path(first).parent / "out.zarr"
    geoembz.convert(source, store, **{"chunk": 16, "shard": 32, **options})
    return TableReader.open(str(store))


def rows_of(reader: TableReader) -> NDArray[np.int64]:
    """Return the numbers of all rows."""
    return np.arange(reader.n_rows)


def places_of(reader: TableReader) -> NDArray[np.float64]:
    """Return the places in the order of the store."""
    return np.column_stack([np.asarray(reader.column(axis)[:]) for axis in "xy"])


def source_rows(reader: TableReader, places: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return which row of the source each row of the store is, by its place."""
    stored = places_of(reader)
    nearest = np.abs(stored[:, np.newaxis] - places).max(axis=2)
    assert nearest.min(axis=1).max() < 1e-9
    rows = nearest.argmin(axis=1)
    np.testing.assert_array_equal(np.sort(rows), np.arange(len(places)))
    return np.asarray(rows)


@pytest.mark.parametrize("product", PRODUCTS)
def test_products_keep_vectors_and_places(
    product: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Recognised by its columns; each vector stays with its place, bit for bit in float32."""
    write, name = PRODUCTS[product]
    written = write(tmp_path / name, rng)
    reader = convert(written.path, recipe="float32")
    assert reader.attributes.place["product"] == product
    expected = written.vectors[source_rows(reader, written.places)]
    np.testing.assert_array_equal(reader.read(rows_of(reader), "original"), expected)
    assert reader.attributes.to_json()["geoemb:type"] == "chip"


def test_chips_are_counted_in_pixels(tmp_path: Path, rng: np.random.Generator) -> None:
    """Clay's 2560 m cells are 256 pixels of 10 m wide, Earth Index's 320 m ones 32."""
    clay = convert(tables.clay_v1_5(tmp_path / "a.parquet", rng).path)
    assert clay.attributes.chip_layout["chip_size"] == [256, 256]
    index = convert(tables.earth_index(tmp_path / "b.parquet", rng).path, overwrite=True)
    assert index.attributes.chip_layout == {"layout_type": "irregular", "chip_size": [32, 32]}
    assert index.attributes.model == "https://github.com/zhu-xlab/softcon"


def test_earth_engine_codes_are_recovered(tmp_path: Path, rng: np.random.Generator) -> None:
    """Without a recipe, AlphaEarth's numbers are stored as the int8 codes they were made of."""
    written = tables.earth_engine_csv(tmp_path / "a.csv", rng)
    reader = convert(written.path)
    assert reader.encoding.recipe == "aef"
    codes = reader.read(rows_of(reader), "codes")
    np.testing.assert_array_equal(codes, written.vectors[source_rows(reader, written.places)])


@pytest.mark.realdata
def test_real_points_of_alphaearth(shared_data: Path, tmp_path: Path) -> None:
    """2,880 points of four regions: the codes published beside them come back."""
    folder = shared_data / "aef_dynamicworld"
    geoembz.convert(folder / "aef_dw_points.parquet", tmp_path / "dw.zarr")
    reader = TableReader.open(str(tmp_path / "dw.zarr"))
    known = np.load(folder / "aef_dw_points.npz", allow_pickle=True)
    table = pq.read_table(folder / "aef_dw_points.parquet", columns=["longitude", "latitude"])
    places = np.column_stack([np.asarray(column) for column in table.columns])
    stored = np.column_stack([places_of(reader), reader.read(rows_of(reader), "codes")])
    expected = np.column_stack([places, known["q_int8"]])
    order = [np.lexsort(array.T[::-1]) for array in (stored, expected)]
    np.testing.assert_array_equal(stored[order[0]], expected[order[1]])
    norms = np.linalg.norm(reader.read(rows_of(reader), "original"), axis=1)
    assert 0.98 < norms.min() <= norms.max() < 1.02


@pytest.mark.parametrize("kind", ["list", "large_list", "fixed", "nested"])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_every_kind_of_list_is_read(
    tmp_path: Path, rng: np.random.Generator, kind: str, dtype: str
) -> None:
    """Lists, large lists, fixed-size lists and (1, D) lists of three widths hold the same."""
    written = tables.plain(tmp_path / "a.parquet", rng, dtype=dtype, kind=kind)
    reader = convert(written.path, recipe="float32")
    assert reader.attributes.original_dtype == dtype
    expected = written.vectors[source_rows(reader, written.places)].astype(np.float32)
    np.testing.assert_array_equal(reader.read(rows_of(reader), "original"), expected)


@pytest.mark.parametrize("rows", [1, 33, 100_000])
def test_row_groups_and_files_do_not_matter(
    tmp_path: Path, rng: np.random.Generator, rows: int
) -> None:
    """One table in row groups of any size, or cut into files, makes the same arrays."""
    written = tables.plain(tmp_path / "a.parquet", rng, row_group_size=rows)
    whole = convert(written.path, recipe="float32")
    table = pq.read_table(written.path)
    parts = [tmp_path / f"part{number}.parquet" for number in range(3)]
    for number, part in enumerate(parts):
        pq.write_table(table.slice(number * 200, 200), part)
    geoembz.convert(parts, tmp_path / "parts.zarr", recipe="float32", chunk=16, shard=32)
    joined = TableReader.open(str(tmp_path / "parts.zarr"))
    spaces: tuple[View, ...] = ("codes", "original")
    for space in spaces:
        np.testing.assert_array_equal(
            joined.read(rows_of(joined), space),
            whole.read(rows_of(whole), space),
        )


@pytest.mark.parametrize("recipe", ["pca8-int8", "pca8-int4", "rot-binary", "pca8-rot-pq4x8"])
def test_recipes_lose_what_rasters_lose(
    tmp_path: Path, rng: np.random.Generator, recipe: str
) -> None:
    """Codes are those of the encoding, in every recipe; missing vectors are NaN."""
    written = tables.plain(tmp_path / "a.parquet", rng, rows=600)
    table = pq.read_table(written.path)
    vectors = table["embedding"].to_pylist()
    vectors[3], vectors[5] = None, [float("nan")] * 16
    table = table.set_column(0, "embedding", pa.array(vectors, pa.list_(pa.float32())))
    pq.write_table(table, written.path)
    reader = convert(written.path, recipe=recipe)
    rows = source_rows(reader, written.places)
    known = ~np.isin(rows, [3, 5])
    np.testing.assert_array_equal(reader.known(rows_of(reader)), known)
    codes = reader.read(rows_of(reader), "codes")
    np.testing.assert_array_equal(
        codes[known], reader.encoding.encode(written.vectors[rows[known]])
    )
    decoded = reader.read(rows_of(reader), "original")
    assert np.isnan(decoded[~known]).all()
    assert not np.isnan(decoded[known]).any()
    assert reader.attributes.rows == {"total": 600, "valid": 598}


def test_fidelity_is_that_of_vectors_of_length_one(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """Where a recipe scales vectors, their lengths change no figure: neither mean nor error."""
    written = tables.plain(tmp_path / "a.parquet", rng, rows=600)
    table = pq.read_table(written.path)
    lengths = np.linalg.norm(written.vectors, axis=1, keepdims=True)
    found = []
    for name, scale in (("raw", rng.uniform(1, 50, lengths.shape)), ("unit", 1 / lengths)):
        path = tmp_path / name / "a.parquet"
        path.parent.mkdir()
        vectors = list((written.vectors * scale).astype(np.float32))
        column = pa.array(vectors, pa.list_(pa.float32()))
        pq.write_table(table.set_column(0, "embedding", column), path)
        found.append(convert(path, recipe="l2-pca8-int8").attributes.fidelity)
    assert found[0]["n"] > 0
    assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_neighbours_share_chunks(tmp_path: Path, rng: np.random.Generator) -> None:
    """Along the curve, a chunk of 16 of 500 rows covers a few per cent of the area."""
    reader = convert(tables.plain(tmp_path / "a.parquet", rng).path)
    xmin, ymin, xmax, ymax = reader.chunk_bbox.T
    shares = (xmax - xmin) * (ymax - ymin) / 16.0
    assert np.median(shares) < 0.06
    assert reader.attributes.bbox is not None
    np.testing.assert_allclose(
        [xmin.min(), ymin.min(), xmax.max(), ymax.max()], reader.attributes.bbox
    )


def test_select_reads_the_chunks_it_needs(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A box gives the rows that lie in it, from fewer objects than there are."""
    reader = convert(tables.plain(tmp_path / "a.parquet", rng).path)
    requests: set[str] = set()

    class Counted(WrapperStore[Any]):
        @property
        def _supports_sync_io(self) -> bool:
            return False

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            requests.add(key)
            return await self._store.get(key, prototype, byte_range)

    monkeypatch.setattr(
        "geoembz.store.open.open_zarr_store",
        lambda url, **options: Counted(open_zarr_store(url, **options)),
    )
    dataset = geoembz.open(reader.url)
    box = (9.0, 47.0, 9.8, 47.7)
    part = dataset.geoembz.select(box)
    vectors = part["embedding"].values
    places = places_of(reader)
    inside = (places >= box[:2]).all(axis=1) & (places <= box[2:]).all(axis=1)
    assert 0 < inside.sum() == len(vectors)
    np.testing.assert_array_equal(vectors, reader.read(np.flatnonzero(inside), "original"))
    read = {key for key in requests if key.startswith("embedding/c/")}
    assert 0 < len(read) < 16 / 2  # of 16 shards


@pytest.mark.parametrize("space", ["original", "reduced", "codes"])
def test_engine_indexes_rows_lazily(tmp_path: Path, rng: np.random.Generator, space: Any) -> None:
    """Slices, lists and scalars of the dataset are those of the whole array.

    A BLAS may sum in another order at another column of a block (spec/format.md, "Views").
    """
    reader = convert(tables.plain(tmp_path / "a.parquet", rng).path, recipe="pca8-int4")
    dataset = xr.open_dataset(reader.url, engine="geoembz", space=space)
    whole = reader.read(rows_of(reader), space)
    lazy = dataset["embedding"]
    close = partial(np.testing.assert_allclose, rtol=0, atol=1e-6 * np.abs(whole).max())
    same = np.testing.assert_array_equal if space == "codes" else close
    same(lazy.values, whole)
    same(lazy[10:200:7, 1:3].values, whole[10:200:7, 1:3])
    same(lazy[[400, 3, 3]].values, whole[[400, 3, 3]])
    same(lazy[-1].values, whole[-1])
    same(lazy[[5, 2], 1].values, whole[[5, 2], 1])
    assert lazy[:0].shape == (0, whole.shape[1])
    chunked = xr.open_dataset(reader.url, engine="geoembz", space=space, chunks={})
    same(chunked["embedding"].values, whole)
    plain = xr.open_zarr(reader.url, mask_and_scale=False)["embedding"]
    np.testing.assert_array_equal(plain.values, reader.read(rows_of(reader), "codes"))


@pytest.mark.parametrize("product", PRODUCTS)
def test_columns_come_back(product: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Every column survives into GeoParquet, nulls and times and nested ones included."""
    write, name = PRODUCTS[product]
    written = write(tmp_path / name, rng)
    reader = convert(written.path, recipe="float32")
    export_table(reader, tmp_path / "again.parquet")
    again = pq.read_table(tmp_path / "again.parquet")
    order = source_rows(reader, written.places)
    np.testing.assert_array_equal(
        np.stack(again["embedding"].to_pylist()), written.vectors[order].astype(np.float32)
    )
    if name.endswith(".csv"):
        assert {"lat", "lon", "geometry"} <= set(again.column_names)
        return
    source = pq.read_table(written.path).take(pa.array(order))
    for column in source.drop_columns([source.column_names[0]]).column_names:
        if column not in {"embedding", "embeddings"}:
            assert again[column].to_pylist() == source[column].to_pylist(), column
    assert json.loads(again.schema.metadata[b"emb"])["emb:type"] == "chip"


def test_part_of_a_table_is_exported(tmp_path: Path, rng: np.random.Generator) -> None:
    """A box cuts rows out of every column alike; an empty one is an error."""
    reader = convert(tables.plain(tmp_path / "a.parquet", rng).path)
    box = (9.0, 47.0, 10.0, 48.0)
    summary = export_table(reader, tmp_path / "part.parquet", bbox=box, space="reduced")
    part = pq.read_table(tmp_path / "part.parquet")
    rows = reader.select(box)
    assert summary.rows == part.num_rows == len(rows) > 0
    numbers = np.asarray(reader.column("number", of_table=True)[:])[rows]
    np.testing.assert_array_equal(part["number"], numbers)
    assert part["name"].to_pylist() == [f"chip {number}" for number in numbers]
    with pytest.raises(InvalidConfigError, match="no row"):
        export_table(reader, tmp_path / "none.parquet", bbox=(0, 0, 1, 1))


@pytest.mark.parametrize("workers", [1, 3])
def test_interrupted_conversion_is_finished_by_the_same_call(
    tmp_path: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    """What is left opens as no store; the result is that of one go, to the byte."""
    path = tables.plain(tmp_path / "a.parquet", rng).path
    options: dict[str, Any] = {"chunk": 16, "shard": 64, "pca": 4, "workers": workers}
    geoembz.convert(path, tmp_path / "whole.zarr", **{**options, "workers": 2})
    plain_write = table_shards._write_shard
    done: list[Any] = []

    def failing(*arguments: Any) -> Any:
        # Not "== 3": threads may pass it between two looks.
        if len(done) >= 3:
            raise OSError("disk full")
        done.append(plain_write(*arguments))
        return done[-1]

    monkeypatch.setattr(table_shards, "_write_shard", failing)
    with pytest.raises(OSError, match="disk full"):
        geoembz.convert(path, tmp_path / "out.zarr", **options)
    monkeypatch.setattr(table_shards, "_write_shard", plain_write)
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(tmp_path / "out.zarr")
    with pytest.raises(InvalidConfigError, match="unfinished"):
        geoembz.convert(path, tmp_path / "out.zarr", **{**options, "pca": 5})
    geoembz.convert(path, tmp_path / "out.zarr", **options)
    assert objects(tmp_path / "out.zarr") == objects(tmp_path / "whole.zarr")


def broken(path: Path, rng: np.random.Generator, **columns: Any) -> Path:
    """Write a plain table with some columns replaced or, where None, left out."""
    table = pq.read_table(tables.plain(path, rng, rows=40).path)
    for name, values in columns.items():
        table = table.drop_columns([name]) if name in table.column_names else table
        if values is not None:
            table = table.append_column(name, values)
    pq.write_table(table, path)
    return path


LINEAR = {f"A{i:02d}": pa.array(np.full(40, (i % 5 + 9) / 127.5)) for i in range(64)}
BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "mixed dimensions": (
        {"embedding": pa.array([[1.0] * 16] * 30 + [[1.0] * 8] * 10)},
        r"row 30: a vector of 8 numbers; expected 16",
    ),
    "integers": ({"embedding": pa.array([[1, 2]] * 40)}, "these are codes"),
    "text": ({"embedding": pa.array([["a"]] * 40)}, "expected lists of float"),
    "no vector": ({"embedding": None}, "expected 'embedding' or 'embeddings'"),
    "all missing": ({"embedding": pa.array([None] * 40, pa.list_(pa.float32()))}, "no vector"),
    "no place": ({"lon": None}, "expected a GeoParquet geometry"),
    "swapped": ({"lat": pa.array(np.full(40, 120.0))}, "swapped"),
    "linear law": ({"embedding": None, **LINEAR}, r"integers / 127.5.*linear law"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_nonsense_is_refused(case: str, tmp_path: Path, rng: np.random.Generator) -> None:
    """Each mistake has its own message, and nothing is left behind."""
    columns, message = BROKEN[case]
    path = broken(tmp_path / "a.parquet", rng, **columns)
    with pytest.raises(SourceError, match=message):
        convert(path)
    assert not (tmp_path / "out.zarr").exists()


def test_damaged_files_are_named(tmp_path: Path, rng: np.random.Generator) -> None:
    """Truncated, empty, absent, or one of another product among several."""
    path = tables.plain(tmp_path / "a.parquet", rng).path
    (tmp_path / "cut.parquet").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(SourceError, match=r"cut\.parquet.*truncated"):
        convert(tmp_path / "cut.parquet")
    pq.write_table(pq.read_table(path).slice(0, 0), tmp_path / "none.parquet")
    with pytest.raises(SourceError, match="no rows"):
        convert(tmp_path / "none.parquet")
    with pytest.raises(SourceError, match="no such file"):
        convert(tmp_path / "absent.parquet")
    other = tables.earth_index(tmp_path / "other.parquet", rng).path
    with pytest.raises(SourceError, match=r"other\.parquet: other columns"):
        convert([path, other])


def test_xy_needs_a_crs(tmp_path: Path, rng: np.random.Generator) -> None:
    """Columns `x` and `y` mean nothing alone; with a CRS they are kept in it."""
    table = pq.read_table(tables.plain(tmp_path / "a.parquet", rng).path)
    renamed = table.rename_columns({"lon": "x", "lat": "y"})
    pq.write_table(renamed, tmp_path / "xy.parquet")
    with pytest.raises(InvalidConfigError, match="crs="):
        convert(tmp_path / "xy.parquet")
    reader = convert(tmp_path / "xy.parquet", crs="EPSG:32632")
    assert reader.attributes.crs_code == "EPSG:32632"


@pytest.mark.parametrize(
    "options", [{"layout": "codec"}, {"nodata": 0}, {"shard": "none"}, {"shard": 40}], ids=str
)
def test_options_of_rasters_are_refused(
    tmp_path: Path, rng: np.random.Generator, options: dict[str, Any]
) -> None:
    """What only a raster has is an error, not ignored."""
    path = tables.plain(tmp_path / "a.parquet", rng).path
    with pytest.raises(InvalidConfigError):
        convert(path, **options)
    assert not (tmp_path / "out.zarr").exists()


def test_stores_of_tables_and_rasters_are_told_apart(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    """A reader of the other kind says what the store is; `info` describes it."""
    reader = convert(tables.plain(tmp_path / "a.parquet", rng).path, pca=4)
    with pytest.raises(StoreError, match="a store of a table"):
        StoreReader.open(reader.url)
    with pytest.raises(GeoembzError, match="a store of a table"):
        describe(reader.url)
    info = describe_table(reader.url)
    assert (info.rows, info.recipe, info.columns) == (500, "pca4-int8", ("number",))
    path = tmp_path / "a.parquet"
    summary = geoembz.convert(path, tmp_path / "b.zarr", basis=reader.url)
    assert summary.encoding_hash == info.encoding_hash


def test_selection_needs_the_whole_table(tmp_path: Path, rng: np.random.Generator) -> None:
    """Row numbers of a part are not those of the store."""
    dataset = geoembz.open(convert(tables.plain(tmp_path / "a.parquet", rng).path).url)
    assert dataset.geoembz.select(EVERYTHING).sizes["sample"] == 500
    with pytest.raises(InvalidConfigError, match="whole table"):
        dataset.isel(sample=slice(10)).geoembz.select(EVERYTHING)
    for other in (dataset.roll(sample=3), dataset.roll(sample=3, roll_coords=True)):
        with pytest.raises(InvalidConfigError, match="in their order"):
            other.assign_coords(x=np.roll(dataset.x.to_numpy(), 3)).geoembz.select(EVERYTHING)
    assert dataset.load().geoembz.select(EVERYTHING).sizes["sample"] == 500


def test_attributes_satisfy_the_conventions(tmp_path: Path, rng: np.random.Generator) -> None:
    """The group validates against geoemb's own schema, chips and all."""
    from jsonschema.validators import validator_for

    override = os.environ.get("GEOEMBZ_SHARED_DATA")
    shared = Path(override).parent if override else REPOSITORY.parent / "shared"
    schema_path = shared / "reference" / "conventions" / "geoemb.schema.json"
    if not schema_path.is_file():
        pytest.skip(f"conventions: no {schema_path}; set GEOEMBZ_SHARED_DATA to ../data of it")
    reader = convert(tables.earth_index(tmp_path / "a.parquet", rng).path)
    document = json.loads((Path(reader.url) / "zarr.json").read_text(encoding="utf-8"))
    schema = json.loads(schema_path.read_text(encoding="utf-8"))
    validator_for(schema)(schema).validate(document)
