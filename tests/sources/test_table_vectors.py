"""Which columns of a table are its vector: never a guess, always to be named."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._evaluate.inputs import read_table
from geoembz.errors import GeoembzError, InvalidConfigError, SourceError
from geoembz.sources.tables import open_table
from geoembz.sources.tables.products import PLAIN

ROWS = 40


def numbers(dimension: int, seed: int = 0) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return vectors of the field's usual type."""
    return np.random.default_rng(seed).normal(size=(ROWS, dimension)).astype(np.float32)


def written(path: Path, **columns: Any) -> Path:
    """Write columns with places beside them."""
    rng = np.random.default_rng(1)
    places = {"lon": rng.uniform(8, 9, ROWS), "lat": rng.uniform(46, 47, ROWS)}
    pq.write_table(pa.table({**columns, **places}), path)
    return path


def run(
    prefix: str, values: np.ndarray[Any, Any], first: int = 0, form: str = ""
) -> dict[str, Any]:
    """Return one column per component."""
    return {f"{prefix}{i + first:{form}}": values[:, i] for i in range(values.shape[1])}


def vectors_of(path: Path, **options: Any) -> np.ndarray[Any, Any]:
    """Return the vectors as the table's source reads them."""
    return np.concatenate([batch.vectors for batch in open_table(path, **options).batches()])


@pytest.fixture
def ambiguous(tmp_path: Path) -> Path:
    """Return a table with a list of 16 and a run of three numbered columns."""
    return written(tmp_path / "t.parquet", vector=list(numbers(16)), **run("ndvi_", numbers(3, 5)))


def test_several_candidates_are_listed(ambiguous: Path, tmp_path: Path) -> None:
    """Neither the list nor the run is taken in silence; the message says how to choose."""
    message = r"lists in 'vector', ndvi_0 … ndvi_2 \(3 columns\).*vector='vector'"
    with pytest.raises(SourceError, match=message):
        geoembz.convert(ambiguous, tmp_path / "out.zarr")
    with pytest.raises(SourceError, match=message):
        read_table(ambiguous)


@pytest.mark.parametrize(("name", "dimension"), [("vector", 16), ("ndvi_", 3), ("ndvi_1", 3)])
def test_the_vector_can_be_named(
    ambiguous: Path, tmp_path: Path, name: str, dimension: int
) -> None:
    """By column, by prefix, or by any column of the run; in Python and on the command line."""
    store = tmp_path / "out.zarr"
    arguments = ["convert", str(ambiguous), str(store), "--float32", "--quiet", "--vector", name]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    assert geoembz.open(store).sizes["dimension"] == dimension
    geoembz.convert(ambiguous, tmp_path / "b.zarr", quantizer="float32", vector=name)
    assert geoembz.open(tmp_path / "b.zarr").sizes["dimension"] == dimension
    assert read_table(ambiguous, vector=name).vectors.shape == (ROWS, dimension)
    evaluation = geoembz.evaluate(table=ambiguous, recipes=["int8"], vector=name, tasks=[])
    assert evaluation.dimension == dimension
    planned = geoembz.plan(ambiguous, vector=name, recipes=["int8"], max_loss=0.5)
    assert planned.dimension == dimension
    assert f"--vector {name}" in planned.command


def test_an_interrupted_conversion_of_another_vector_is_not_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal knows which vector it was begun with."""
    path = written(tmp_path / "t.parquet", a=list(numbers(8)), b=list(numbers(8, 2)))

    def failing(*_: Any) -> Any:
        raise OSError("stopped")

    from geoembz._convert import table_conversion

    with monkeypatch.context() as patched:
        patched.setattr(table_conversion, "write_table_shards", failing)
        with pytest.raises(OSError, match="stopped"):
            geoembz.convert(path, tmp_path / "out.zarr", vector="a")
    try:
        geoembz.convert(path, tmp_path / "out.zarr", vector="b", quantizer="float32")
    except GeoembzError:
        return  # refused: as good
    stored = np.sort(geoembz.open(tmp_path / "out.zarr")["embedding"].values, axis=0)
    np.testing.assert_array_equal(stored, np.sort(numbers(8, 2), axis=0))


@pytest.mark.parametrize(
    "columns",
    [
        *(
            {name: list(numbers(6))}
            for name in ("embedding", "Embeddings", "emb", "vector", "vectors", "features",
                         "feature", "clay_v1")
        ),
        {"embedding": list(numbers(6)), **run("ndvi_", numbers(4, 3))},
        {"emb": list(numbers(6)), "quantiles": list(numbers(4, 3))},
        {"features": list(numbers(6)), "x1": numbers(2)[:, 0], "x2": numbers(2)[:, 1]},
        {"vector": list(numbers(6)), "bbox": list(numbers(4, 3))},
        {"vector": list(numbers(6)), **{f"class_{i}": np.arange(ROWS) for i in range(4)}},
        {**run("emb_", numbers(6)), "year2019": numbers(2)[:, 0], "year2020": numbers(2)[:, 1]},
    ],
    ids=lambda columns: "+".join(list(columns)[:3]),
)  # fmt: skip
def test_usual_names_are_found(tmp_path: Path, columns: dict[str, Any]) -> None:
    """What is plain needs no option: usual names, or the only list or run there is."""
    found = vectors_of(written(tmp_path / "t.parquet", **columns))
    np.testing.assert_array_equal(found, numbers(6))


@pytest.mark.parametrize(
    ("prefix", "first", "form"),
    [("V", 1, ""), ("f", 1, ""), ("dim_", 0, "03"), ("X_", 0, ""), ("e", 0, ""), ("", 0, ""),
     ("embedding_", 1, "02")],
)  # fmt: skip
def test_numbered_columns_are_ordered_by_number(
    tmp_path: Path, prefix: str, first: int, form: str
) -> None:
    """From 0 or from 1, padded or not, in any order of columns: 2 comes before 10."""
    columns = run(prefix, numbers(12), first, form)
    shuffled = dict(sorted(columns.items(), key=lambda item: item[0], reverse=True))
    found = vectors_of(written(tmp_path / "t.parquet", **shuffled))
    np.testing.assert_array_equal(found, numbers(12))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.pop("e3"), "number 3 is missing"),
        (lambda c: c.update({"e3": ["?"] * ROWS}), "'e3' is a column of string"),
        (lambda c: c.update({"e03": c["e0"]}), r"'e03' and 'e3' have one number"),
        (lambda c: [c.pop("e3"), c.update(run("ndvi_", numbers(3)))], "several columns"),
    ],
)
def test_gaps_and_repeated_numbers_are_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], Any], message: str
) -> None:
    """A component that is missing or there twice shifts all that follow."""
    columns = run("e", numbers(8))
    change(columns)
    with pytest.raises(SourceError, match=message):
        open_table(written(tmp_path / "t.parquet", **columns))


def test_names_that_are_no_vector_are_refused(ambiguous: Path) -> None:
    """The message lists what there is."""
    with pytest.raises(InvalidConfigError, match=r"'emb': no such column.*lists in 'vector'"):
        open_table(ambiguous, vector="emb")
    with pytest.raises(SourceError, match="'lon': a column of double; expected lists"):
        open_table(ambiguous, vector="lon")
    with pytest.raises(SourceError, match=r"'embedding': a column of string"):
        open_table(written(ambiguous, embedding=["[1, 2]"] * ROWS))
    with pytest.raises(InvalidConfigError, match="names a column of a table"):
        geoembz.convert("a.tif", ambiguous.parent / "b.zarr", vector="a")


def test_another_vector_has_another_law(tmp_path: Path) -> None:
    """A model's vectors beside AlphaEarth's columns are not held to AlphaEarth's unit length."""
    alpha = numbers(64)
    alpha /= np.linalg.norm(alpha, axis=1, keepdims=True)
    columns = {**run("A", alpha, form="02"), "clay": list(3 * numbers(8))}
    path = written(tmp_path / "t.parquet", **columns)
    assert open_table(path).dimension == 64
    table = open_table(path, vector="clay")
    assert (table.dimension, table.traits) == (8, PLAIN)
    np.testing.assert_array_equal(vectors_of(path, vector="clay"), 3 * numbers(8))
    with pytest.raises(SourceError, match="several columns"):
        open_table(written(tmp_path / "u.parquet", embedding=columns["clay"], **columns))


def csv_text(rows: list[list[Any]], header: str) -> str:
    """Return CSV."""
    return "\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n"


def test_whole_numbers_in_csv_are_numbers(tmp_path: Path) -> None:
    """A component that is 0 throughout is no code; nor is one that begins whole, or is empty."""
    values = np.round(numbers(6).astype(np.float64), 5)
    values[:, 0] = 0
    rows = [[8 + i / 50, 46.5, 0, *row[1:]] for i, row in enumerate(values)]
    path = tmp_path / "relu.csv"
    path.write_text(csv_text(rows, "lon,lat," + ",".join(f"X_{i}" for i in range(6))))
    np.testing.assert_array_equal(vectors_of(path), values)
    table = read_table(path)
    np.testing.assert_array_equal(table.vectors, values.astype(np.float32))


def test_columns_of_csv_may_change_after_the_first_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers, then fractions; empty, then numbers; numbers, then text: all are kept."""
    monkeypatch.setattr("geoembz.sources.tables.files._BLOCK_BYTES", 2048)
    rows = []
    for i in range(300):
        late = i > 250
        rows.append([8 + i / 500, 46.5, i if not late else i + 0.5, -i + 0.5,
                     "" if not late else 7, i if not late else "many"])  # fmt: skip
    path = tmp_path / "t.csv"
    path.write_text(csv_text(rows, "lon,lat,f0,f1,late,mixed"))
    table = open_table(path)
    kinds = {name: table.files.schema.field(name).type for name in ("f0", "late", "mixed")}
    assert kinds == {"f0": pa.float64(), "late": pa.int64(), "mixed": pa.string()}
    expected = [row[2:4] for row in rows]
    np.testing.assert_array_equal(vectors_of(path), expected)
    columns = pa.Table.from_batches([batch.columns for batch in table.batches()])
    assert columns["mixed"].to_pylist() == [str(row[5]) for row in rows]


def test_integers_of_every_column_stay_codes(tmp_path: Path) -> None:
    """Where all components are whole, they may be codes; Parquet says their type."""
    whole = {f"X_{i}": np.arange(ROWS) + i for i in range(4)}
    with pytest.raises(SourceError, match="these are codes"):
        open_table(written(tmp_path / "t.parquet", **whole))
    mixed = {**whole, "X_2": numbers(1)[:, 0].astype(np.float64)}
    found = vectors_of(written(tmp_path / "t.parquet", **mixed))
    np.testing.assert_array_equal(found, np.column_stack(list(mixed.values())))
