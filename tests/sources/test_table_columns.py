"""Columns of every type that Arrow knows come through a table store, or are refused in words."""

import datetime as dt
import decimal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz._export import export_table
from geoembz._verify import verify
from geoembz.errors import SourceError
from geoembz.sources.tables import open_table
from geoembz.store import TableReader

ROWS = 24
VECTORS = np.random.default_rng(0).normal(size=(ROWS, 8)).astype(np.float32)
LON = np.linspace(8, 9, ROWS)


def written(path: Path, embedding: Any = None, **columns: Any) -> Path:
    """Write vectors, places and other columns."""
    vector = {} if embedding is False else {"embedding": embedding or list(VECTORS)}
    places = {"lon": LON, "lat": np.full(ROWS, 46.5)}
    pq.write_table(pa.table({**vector, **places, **columns}), path)
    return path


def again(path: Path, folder: Path, **options: Any) -> pa.Table:
    """Convert a table, verify the store, export it, and return its rows from west to east."""
    store = folder / "out.zarr"
    geoembz.convert(path, store, quantizer="float32", **{"chunk": 8, "shard": 8, **options})
    assert verify(str(store)).problems == ()
    export_table(str(store), folder / "again.parquet")
    return pq.read_table(folder / "again.parquet").sort_by("lon")


def repeated(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Return a column of a few values, over and over."""
    return pa.array((values * ROWS)[:ROWS], kind)


def nested(values: pa.Array) -> pa.Array:
    """Return lists of two values each."""
    both = pa.concat_arrays([values, values])
    return pa.ListArray.from_arrays(pa.array(np.arange(0, 2 * ROWS + 1, 2), pa.int32()), both)


NEW_YEAR = dt.datetime(2024, 1, 2, tzinfo=dt.UTC)
TEXTS = repeated(["a", "b", None], pa.string())
COLUMNS: dict[str, pa.Array] = {
    "dictionary": TEXTS.dictionary_encode(),
    "dictionary of numbers": repeated([1.5, None], pa.float64()).dictionary_encode(),
    "list of dictionary": nested(TEXTS.dictionary_encode()),
    "struct of dictionary": pa.StructArray.from_arrays([TEXTS.dictionary_encode()], ["kind"]),
    "map": repeated([[("a", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "large_string": repeated(["a", None], pa.large_string()),
    "string_view": repeated(["a", "longer than twelve bytes", None], pa.string_view()),
    "binary_view": repeated([b"a", None], pa.binary_view()),
    "list_view in a struct": pa.StructArray.from_arrays(
        [repeated([["a"], [], None], pa.list_view(pa.string()))], ["views"]),
    "list_view": repeated([["a"], [], None], pa.list_view(pa.string())),
    "large_list": repeated([["a"], None], pa.large_list(pa.string())),
    "struct": repeated(
        [{"a": 1, "b": "x"}, None], pa.struct([("a", pa.int8()), ("b", pa.string())])
    ),
    "decimal": repeated([decimal.Decimal("1.25"), None], pa.decimal128(9, 2)),
    "time zone": repeated([NEW_YEAR],
                          pa.timestamp("us", "Europe/Berlin")),
    "missing times": repeated([NEW_YEAR, None], pa.timestamp("ms")),
    "day": repeated([dt.date(2024, 1, 2)], pa.date32()),
    "time of day": repeated([dt.time(1, 2), None], pa.time64("us")),
    "duration": repeated([dt.timedelta(seconds=5), None], pa.duration("s")),
    "uuid": repeated([b"0123456789abcdef", None], pa.uuid()),
    "nothing": pa.nulls(ROWS),
    "half": repeated([1.5], pa.float16()),
    "unsigned": repeated([2**64 - 1], pa.uint64()),
    "truth": repeated([True, None], pa.bool_()),
}  # fmt: skip


@pytest.fixture(scope="module")
def round_trip(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, pa.Table]:
    """Return a table of columns of all types as it went in, and as it came out."""
    folder = tmp_path_factory.mktemp("columns")
    path = written(folder / "t.parquet", **COLUMNS)
    return pq.read_table(path), again(path, folder)


@pytest.mark.parametrize("kind", COLUMNS)
def test_columns_of_every_type_come_back(kind: str, round_trip: tuple[pa.Table, pa.Table]) -> None:
    """The values are those that pyarrow reads from the input."""
    expected, found = (table[kind].to_pylist() for table in round_trip)
    if kind == "uuid":
        expected = [value and value.bytes for value in expected]
    assert found == expected


NAMES = ["zarr.json", "geometry", "codes", "valid", "x", "y", "__row", "__codes", "0", "1", "c",
         "chunk_bbox", "x" * 300, "a/b", "..", ".zattrs", "a.b", "ä", "embedding ", "embeddings_2",
         "spatial_ref", "columns", "", " "]  # fmt: skip


@pytest.mark.parametrize("numeric", [True, False], ids=["numeric", "text"])
def test_no_name_of_a_column_meets_one_of_ours(numeric: bool, tmp_path: Path) -> None:
    """Numbers become arrays named like their columns, where that is no name of another object."""
    values = [row if numeric else f"row {row}" for row in range(ROWS)]
    columns = {name: values[number:] + values[:number] for number, name in enumerate(NAMES)}
    found = again(written(tmp_path / "t.parquet", **columns), tmp_path)
    assert {name: found[name].to_pylist() for name in NAMES} == columns
    np.testing.assert_array_equal(np.stack(found["embedding"].to_pylist()), VECTORS)


def test_points_are_written_beside_a_column_called_geometry(tmp_path: Path) -> None:
    """The footers say which of the two holds the points."""
    import geopandas

    texts = [f"POINT ({x} 46.5)" for x in LON]
    again(written(tmp_path / "t.parquet", geometry=texts), tmp_path)
    for path in (tmp_path / "again.parquet", tmp_path / "out.zarr" / "table.parquet"):
        frame = geopandas.read_parquet(path)
        np.testing.assert_allclose(np.sort(frame.geometry.x), LON)
        assert sorted(frame["geometry"]) == sorted(texts)


def test_a_column_called_embedding_beside_the_vector_is_kept(tmp_path: Path) -> None:
    """The decoded vectors take another name on their way out."""
    path = written(tmp_path / "t.parquet", other=list(2 * VECTORS))
    found = again(path, tmp_path, vector="other")
    np.testing.assert_array_equal(np.stack(found["embedding"].to_pylist()), VECTORS)
    np.testing.assert_array_equal(np.stack(found["embedding_2"].to_pylist()), 2 * VECTORS)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    names = ["embedding", "lon", "lat", "a", "a"]
    arrays = [pa.array(list(VECTORS)), pa.array(LON), pa.array(LON), TEXTS, TEXTS]
    pq.write_table(pa.Table.from_arrays(arrays, names), tmp_path / "t.parquet")
    with pytest.raises(SourceError, match="column 'a' occurs 2 times"):
        open_table(tmp_path / "t.parquet")


VECTOR_KINDS: dict[str, Callable[[], pa.Array]] = {
    "tensor": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(VECTORS),
    "tensor (2, 4)": lambda: pa.FixedShapeTensorArray.from_numpy_ndarray(VECTORS.reshape(-1, 2, 4)),
    "list": lambda: pa.array(list(VECTORS)),
    "large_list": lambda: pa.array(list(VECTORS), pa.large_list(pa.float32())),
    "fixed": lambda: pa.array(list(VECTORS), pa.list_(pa.float32(), 8)),
    "list_view": lambda: pa.array(list(VECTORS), pa.list_view(pa.float32())),
    "large_list_view": lambda: pa.array(list(VECTORS), pa.large_list_view(pa.float32())),
    "list of dictionary": lambda: pa.ListArray.from_arrays(
        pa.array(np.arange(0, ROWS * 8 + 1, 8), pa.int32()),
        pa.array(VECTORS.ravel()).dictionary_encode()),
    "decimal": lambda: pa.array(
        [[decimal.Decimal(float(x)).quantize(decimal.Decimal("1e-9")) for x in row]
         for row in VECTORS], pa.list_(pa.decimal128(20, 9))),
    "nested large": lambda: pa.array([[row] for row in VECTORS],
                                     pa.large_list(pa.list_(pa.float32()))),
}  # fmt: skip


@pytest.mark.parametrize("kind", VECTOR_KINDS)
def test_vectors_of_every_type_are_read(kind: str, tmp_path: Path) -> None:
    """Extension types are read like their storage, views like lists, decimals as numbers."""
    path = written(tmp_path / "t.parquet", VECTOR_KINDS[kind]())
    read = np.concatenate([batch.vectors for batch in open_table(path).batches()])
    np.testing.assert_allclose(read, VECTORS, rtol=0, atol=1e-9 if kind == "decimal" else 0)


def test_half_floats_are_read(tmp_path: Path) -> None:
    """In lists of every kind, and in numbered columns."""
    half = VECTORS.astype(np.float16)
    for number, kind in enumerate((pa.list_(pa.float16()), pa.list_(pa.float16(), 8))):
        path = written(tmp_path / f"{number}.parquet", pa.array(list(half), kind))
        np.testing.assert_array_equal(next(iter(open_table(path).batches())).vectors, half)
    columns = {f"emb_{i}": half[:, i] for i in range(8)}
    path = written(tmp_path / "wide.parquet", False, **columns)
    np.testing.assert_array_equal(next(iter(open_table(path).batches())).vectors, half)


@pytest.mark.parametrize("kind", [pa.list_(pa.float32()), pa.list_(pa.float32(), 8)], ids=str)
def test_missing_vectors_and_missing_components(kind: pa.DataType, tmp_path: Path) -> None:
    """A vector that is null, or holds a null, is missing; the others keep their places."""
    rows: list[Any] = VECTORS.tolist()
    rows[3], rows[5][2] = None, None
    found = again(written(tmp_path / "t.parquet", pa.array(rows, kind)), tmp_path)
    assert [i for i, row in enumerate(found["embedding"].to_pylist()) if row is None] == [3, 5]
    present = [row for row in range(ROWS) if row not in {3, 5}]
    np.testing.assert_array_equal(
        np.stack(found["embedding"].take(present).to_pylist()), VECTORS[present]
    )
    assert TableReader.open(str(tmp_path / "out.zarr")).attributes.rows["valid"] == ROWS - 2


def test_missing_inner_lists_are_missing_vectors(tmp_path: Path) -> None:
    """Of lists in lists, either may be null."""
    rows: list[Any] = [[row] for row in VECTORS.tolist()]
    rows[3], rows[5] = None, [None]
    kind = pa.list_(pa.list_(pa.float32()))
    path = written(tmp_path / "t.parquet", pa.array(rows, kind))
    read = next(iter(open_table(path).batches())).vectors
    np.testing.assert_array_equal(np.isnan(read).all(axis=1), np.isin(np.arange(ROWS), [3, 5]))


@pytest.mark.parametrize(("row", "value"), [(7, [1.0] * 7), (0, []), (23, [1.0] * 9)])
def test_ragged_vectors_are_refused_by_row(row: int, value: list[float], tmp_path: Path) -> None:
    """The row is counted over the whole table, missing vectors included."""
    rows: list[Any] = VECTORS.tolist()
    rows[2], rows[row] = None, value
    path = written(tmp_path / "t.parquet", pa.array(rows, pa.list_(pa.float32())))
    with pytest.raises(SourceError, match=rf"row {row}: a vector of {len(value)} numbers; exp.* 8"):
        list(open_table(path).batches())


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int64()], ids=str)
def test_lists_of_integers_are_codes(kind: pa.DataType, tmp_path: Path) -> None:
    path = written(tmp_path / "t.parquet", pa.array([[1, 2, 3]] * ROWS, pa.list_(kind)))
    with pytest.raises(SourceError, match="these are codes"):
        open_table(path)


def parts(folder: Path, *tables: dict[str, Any]) -> Path:
    """Write the rows in two files, each with columns of its own."""
    folder.mkdir()
    half = ROWS // 2
    for number, columns in enumerate(tables):
        rows = slice(half * number, half * (number + 1))
        base = {"lon": LON[rows], "lat": np.full(half, 46.5), "embedding": list(VECTORS[rows])}
        table = {**base, **columns}
        order = table if number == 0 else dict(reversed(table.items()))
        pq.write_table(pa.table(order), folder / f"{number}.parquet")
    return folder


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (pa.array([1] * 12), pa.array([0.5] * 12), [1.0] * 12 + [0.5] * 12),
        (pa.nulls(12), pa.array(["a"] * 12), [None] * 12 + ["a"] * 12),
        (pa.array([1] * 12, pa.int32()), pa.array([2] * 12), [1] * 12 + [2] * 12),
        (pa.array(["a"] * 12).dictionary_encode(), pa.array(["b"] * 12, pa.large_string()),
         ["a"] * 12 + ["b"] * 12),
        (pa.array([["a"]] * 12), pa.array([["b"]] * 12, pa.large_list(pa.string())),
         [["a"]] * 12 + [["b"]] * 12),
    ],
    ids=["whole and broken", "empty", "widths", "dictionary", "lists"],
)  # fmt: skip
def test_types_are_one_over_files(
    first: pa.Array, second: pa.Array, expected: list[Any], tmp_path: Path
) -> None:
    """Columns are matched by name and take the type that all values fit into."""
    folder = parts(tmp_path / "parts", {"column": first}, {"column": second})
    assert again(folder, tmp_path)["column"].to_pylist() == expected


def test_vectors_of_several_types_are_one_over_files(tmp_path: Path) -> None:
    """Lists of float64 beside fixed-size lists of float32."""
    wide = pa.array(list(VECTORS[12:].astype(np.float64)))
    fixed = pa.array(list(VECTORS[:12]), pa.list_(pa.float32(), 8))
    folder = parts(tmp_path / "parts", {"embedding": fixed}, {"embedding": wide})
    found = again(folder, tmp_path)
    np.testing.assert_array_equal(np.stack(found["embedding"].to_pylist()), VECTORS)


def test_types_that_do_not_go_together_are_refused(tmp_path: Path) -> None:
    """The message names the column and both types."""
    folder = parts(tmp_path / "a", {"column": pa.array([1] * 12)}, {"column": pa.array(["x"] * 12)})
    with pytest.raises(SourceError, match=r"1\.parquet: other columns.*'column' is string, not in"):
        open_table([str(folder / "0.parquet"), str(folder / "1.parquet")])
    folder = parts(tmp_path / "b", {"column": pa.array([1] * 12)}, {})
    with pytest.raises(SourceError, match=r"1\.parquet: other columns.*column"):
        open_table([str(folder / "0.parquet"), str(folder / "1.parquet")])


def test_folders_of_parquet_are_read_as_pyarrow_reads_them(tmp_path: Path) -> None:
    """``key=value`` folders are columns, empty files say nothing, and notes are passed over."""
    root = tmp_path / "data"
    for number, (year, place) in enumerate([("2023", "a b"), ("2024", "c")]):
        folder = root / f"year={year}" / f"place={place.replace(' ', '%20')}"
        folder.mkdir(parents=True)
        rows = slice(12 * number, 12 * (number + 1))
        table = {"embedding": list(VECTORS[rows]), "lon": LON[rows], "lat": np.full(12, 46.5)}
        pq.write_table(pa.table(table), folder / "part-0.parquet")
        pq.write_table(pa.table(table).slice(0, 0), folder / "part-1.parquet")
    pq.write_table(pa.table({"a": pa.array([], pa.int8())}), root / "none.parquet")
    (root / "_SUCCESS").write_text("")
    (root / "_metadata").write_bytes(b"PAR1")
    (root / "_temporary").mkdir()
    (root / "_temporary" / "x.parquet").write_bytes(b"half")
    (root / ".hidden.parquet").write_bytes(b"half")
    (root / "year=2023" / ".part.crc").write_bytes(b"")
    found = again(root, tmp_path)
    expected = pq.read_table(root / "year=2023"), pq.read_table(root / "year=2024")
    assert found["year"].to_pylist() == [2023] * 12 + [2024] * 12
    assert found["place"].to_pylist() == [
        value for table in expected for value in table["place"].to_pylist()
    ]
    np.testing.assert_array_equal(np.stack(found["embedding"].to_pylist()), VECTORS)


def test_kilobytes_of_repeated_text_do_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batches are bounded by what columns decode to; a shard that is too large is refused."""
    text = "x" * 500_000
    path = written(
        tmp_path / "t.parquet", text=[text] * ROWS, words=[["y" * 100_000] * 3] * ROWS, few=TEXTS
    )
    assert path.stat().st_size < 50_000
    monkeypatch.setattr("geoembz.sources.tables.parquet_files.TEXT_BYTES", 2**21)
    table = open_table(path)
    batches = list(table.batches())
    assert max(batch.columns.nbytes for batch in batches) < 2 * 2**21
    whole = pa.Table.from_batches([batch.columns for batch in batches])
    assert whole.equals(pq.read_table(path).select(whole.column_names))
    monkeypatch.setattr("geoembz._convert.table_rows.LARGEST_SHARD_BYTES", 2**22)
    with pytest.raises(SourceError, match=r"rows 0 to 23 .* more than 4 MB.*shard=…"):
        geoembz.convert(path, tmp_path / "out.zarr")
    assert again(path, tmp_path, chunk=2, shard=2)["text"].to_pylist() == [text] * ROWS


@pytest.mark.parametrize("later", ["9223372036854775811", "1.5"])
def test_whole_numbers_beyond_int64_stay_whole(later: str, tmp_path: Path) -> None:
    """Ids of S2 cells have 64 bits; as float64 eleven of them would be lost."""
    ids = [str(2**63 + 1), str(2**64 - 1), "", later]
    rows = [f"{cell},{9 + n},47,0.5,{n}.25,-1" for n, cell in enumerate(ids)]
    (tmp_path / "a.csv").write_text("\n".join(["s2,lon,lat,e0,e1,e2", *rows]))
    column = next(iter(open_table(tmp_path / "a.csv").batches())).columns["s2"]
    if later == "1.5":  # what pyarrow makes of such a column
        assert column.type == pa.float64()
    else:
        assert column.to_pylist() == [2**63 + 1, 2**64 - 1, None, int(later)]
