"""What a store says about itself is checked where it enters; then no command breaks on it."""

import json
import shutil
import time
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema import Draft202012Validator

import geoembz
from geoembz.errors import StoreError
from geoembz.store import StoreReader
from geoembz.store.open import read_faults
from geoembz.store.schema import KEYWORDS, check_attributes, faults, store_schema
from geoembz.store.summary import describe
from tests.hostile import GOLDEN as INT8
from tests.hostile import change_array, change_json
from tests.metadata_fuzz import GOLDEN, edit, fuzz

SCHEMA = store_schema()
DATED = Path(__file__).parents[1] / "spec" / "vectors" / "0.2" / "times" / "two-dates.zarr"


def keywords(schema: Any) -> set[str]:
    """Return every keyword of JSON Schema in a schema."""
    if isinstance(schema, list):
        return set().union(*map(keywords, schema)) if schema else set()
    if not isinstance(schema, dict):
        return set()
    found = set(schema)
    for key, inner in schema.items():
        if key in {"properties", "$defs"}:
            found |= set().union(*map(keywords, inner.values()))
        elif key not in {"const", "enum", "required"}:
            found |= keywords(inner)
    return found


def numbers(value: Any) -> Iterator[float]:
    """Yield every number in a JSON value."""
    members = value.values() if isinstance(value, dict) else value
    if isinstance(value, dict | list):
        for member in members:
            yield from numbers(member)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def is_ordinary(value: float) -> bool:
    """Whether a number is finite and small, and whole only if it is an `int`."""
    return abs(value) < 2**63 and (isinstance(value, int) or not value.is_integer())


def test_every_keyword_of_the_schema_is_known() -> None:
    """A keyword that is not looked at would let anything pass."""
    assert keywords(SCHEMA) <= KEYWORDS


@pytest.mark.parametrize("store", GOLDEN, ids=lambda path: path.stem)
def test_it_says_what_jsonschema_says(store: Path) -> None:
    """On golden attributes, and on 300 edits of each; but for whole numbers written as floats."""
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    check_attributes(str(store), attributes)
    plain = {key: value for key, value in SCHEMA.items() if key in {"$schema", "$defs"}}
    validator = Draft202012Validator({**plain, **SCHEMA["properties"]["attributes"]})
    assert validator.is_valid(attributes)
    rng = np.random.default_rng(7)
    for _ in range(300):
        changed = deepcopy(attributes)
        done = edit(changed, rng)
        if not all(map(is_ordinary, numbers(changed))) or "encoding'" in done:
            continue  # an encoding has checks of its own
        fault = next(faults(changed, SCHEMA["properties"]["attributes"], SCHEMA), None)
        assert (fault is None) == validator.is_valid(changed), done


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("spatial:shape", [float("-inf"), 3], "no plain JSON"),
        ("spatial:shape", 3, "spatial:shape is 3; expected array"),
        ("spatial:transform", [1, 2, 3], "6 values or more"),
        ("geoembz:grids", -1, "geoembz:grids is -1; expected array"),
        (
            "geoembz:pixels",
            {"total": -1, "valid": 0},
            r"geoembz:pixels\.total is -1; expected 1 or",
        ),
        ("geoembz:pixels", [], "geoembz:pixels is .*; expected object"),
        ("geoembz:fit", None, "geoembz:fit is None; expected object"),
        ("geoembz:notes", [3], r"geoembz:notes\[0\] is 3; expected string"),
        ("geoembz:sources", [[]], r"geoembz:sources\[0\] is \[\]; expected object"),
        ("geoembz:times", [{"time": 3}], "is missing|expected string"),
        ("proj:code", 3, "proj:code is 3; expected string or null"),
        ("geoemb:quantization", {"original_dtype": 3}, "geoemb:quantization"),
        ("other", float("nan"), "no plain JSON"),
        ("other", [[]] * 3, ""),
    ],
)
def test_malformed_attributes_are_named(name: str, value: Any, said: str, tmp_path: Path) -> None:
    store = Path(shutil.copytree(INT8, tmp_path / "s.zarr"))
    change_json(store / "zarr.json", lambda document: document["attributes"].update({name: value}))
    if not said:
        describe(str(store))
        return
    with pytest.raises(StoreError, match=said):
        StoreReader.open(str(store))


@pytest.mark.parametrize("value", [2**64, -(10**400), "x", None, [], {}, 1e308])
def test_fill_values_that_are_none(value: Any, tmp_path: Path) -> None:
    store = Path(shutil.copytree(INT8, tmp_path / "s.zarr"))
    change_array(store, "embedding", lambda document: document.update(fill_value=value))
    with pytest.raises(StoreError):
        StoreReader.open(str(store))


def test_an_index_of_shards_without_a_checksum_is_refused(tmp_path: Path) -> None:
    """Read as it stands, its checksum would be part of an offset: hundreds of gigabytes."""
    store = Path(shutil.copytree(DATED, tmp_path / "s.zarr"))

    def change(document: Any) -> None:
        del document["codecs"][0]["configuration"]["index_codecs"][1]

    change_array(store, "embedding", change)
    with pytest.raises(StoreError, match="the index of its shards has no crc32c"):
        StoreReader.open(str(store))
    assert any("no crc32c" in str(problem) for problem in geoembz.verify(store).problems)


def test_the_first_of_a_group_of_errors_is_named() -> None:
    """Zarr reads the chunks of a shard as one group of tasks."""
    inner = ExceptionGroup("some", [ValueError("bad chunk"), ValueError("another")])
    said = pytest.raises(StoreError, match=r"embedding cannot be read at all \(bad chunk")
    with said, read_faults("s", "embedding"):
        raise ExceptionGroup("all", [inner])


def test_checking_costs_little() -> None:
    attributes = json.loads((INT8 / "zarr.json").read_text())["attributes"]
    check_attributes("s", attributes)
    best = min(_seconds(attributes) for _ in range(20))
    assert best < 0.01


def _seconds(attributes: Any) -> float:
    started = time.perf_counter()
    check_attributes("s", attributes)
    return time.perf_counter() - started


@pytest.mark.filterwarnings("ignore")
def test_no_edit_of_metadata_breaks_a_command(tmp_path: Path) -> None:
    """Every end is success or an error of ours, in one printable line, in bounded time."""
    assert fuzz(tmp_path, 200, seed=12, each=1) == []


@pytest.mark.experiment
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(10))
def test_no_edit_of_five_thousand_breaks_a_command(seed: int, tmp_path: Path) -> None:
    assert fuzz(tmp_path, 500, seed=seed) == []
