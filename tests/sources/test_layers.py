"""What a layer may be, and which numbers it takes."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from geoembz import Layer
from geoembz.errors import InvalidConfigError
from geoembz.sources.layer_reading import common_layers


@pytest.mark.parametrize(
    ("dtype", "nodata", "given", "expected"),
    [
        ("uint8", None, [0, 255], [0, 255]),
        ("uint8", None, np.array([True, False]), [1, 0]),
        ("int16", None, np.array([-5.0, 3.0]), [-5, 3]),
        ("uint16", 65_535, np.array([math.nan, 7.0]), [65_535, 7]),
        ("int32", -1, np.ma.array([1, 2], mask=[True, False]), [-1, 2]),
        ("int64", -1, np.ma.array([1.0, math.nan], mask=[True, False]), [-1, -1]),
        ("uint64", None, np.array([2**63], np.uint64), [2**63]),
        ("float32", None, np.ma.array([1, 2], mask=[True, False]), [math.nan, 2.0]),
        ("float32", None, np.array([0.1]), [np.float32(0.1)]),
        ("float64", None, np.array([], np.int32), []),
    ],
)
def test_numbers_are_kept(dtype: str, nodata: int | None, given: Any, expected: Any) -> None:
    came = Layer("count", dtype, nodata=nodata).prepare(given)
    assert came.dtype == dtype
    np.testing.assert_array_equal(came, np.array(expected, dtype))


@pytest.mark.parametrize(
    ("dtype", "given", "message"),
    [
        ("uint8", [-1, 3], r"numbers from -1 to 3; expected whole numbers from 0 to 255 \(uint8\)"),
        ("uint8", [0.5], "numbers from 0.5 to 0.5, not all whole"),
        ("int32", [math.inf], "numbers from inf to inf"),
        (
            "uint8",
            [math.nan, 1.0],
            "1 pixels without a number; expected a nodata value.*nodata=255",
        ),
        (
            "float32",
            [2**24 + 1],
            "whole numbers up to 16777217; float32 keeps those up to 16777216",
        ),
        ("float64", ["a"], "expected numbers"),
        ("int8", np.array(["2020-01-01"], "datetime64[D]"), "expected numbers"),
    ],
)
def test_numbers_that_would_change_are_refused(dtype: str, given: Any, message: str) -> None:
    with pytest.raises(InvalidConfigError, match=f"layer count: .*{message}"):
        Layer("count", dtype).prepare(given)


@pytest.mark.parametrize(
    "name", ["", "month count", "1st", "x", "Time", "a" * 65, "é", "a.b", "a/b"]
)
def test_names_that_no_array_may_have(name: str) -> None:
    with pytest.raises(InvalidConfigError, match="expected a letter"):
        Layer(name, "uint8")


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ({"dtype": "complex64"}, "type complex64; expected one of int8"),
        ({"dtype": "float16"}, "type float16"),
        ({"nodata": 256}, "nodata 256 of uint8"),
        ({"nodata": 0.5}, "nodata 0.5 of uint8"),
        ({"nodata": math.nan}, "nodata nan of uint8"),
        ({"dtype": "float32", "nodata": -9999}, "NaN stands for it"),
        ({"scale": 0.0}, "scale 0.0"),
        ({"offset": math.inf}, "offset inf"),
        ({"dtype": "float32", "flags": {0: "a"}}, "flags of float32"),
        ({"flags": {0: " "}}, "a flag without a meaning"),
    ],
)
def test_what_a_type_cannot_hold_is_refused(members: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=f"layer count: .*{message}"):
        Layer(**{"name": "count", "dtype": "uint8", **members})


def test_what_is_known_of_it_survives() -> None:
    layer = Layer(
        "cloud",
        ">i2",
        -1,
        units=" % ",
        description="share\x1b of cloud",
        scale=0.5,
        offset=0.0,
        flags={0: "clear sky", 1: "cloud"},
    )
    assert layer.to_json() == {
        "name": "cloud",
        "data_type": "int16",
        "missing_value": -1,
        "scale_factor": 0.5,
        "units": "%",
        "long_name": "share\\x1b of cloud",
        "flag_values": [0, 1],
        "flag_meanings": "clear_sky cloud",
    }
    assert Layer.from_json(layer.to_json()) == layer
    np.testing.assert_array_equal(layer.decode(np.array([-1, 3], np.int16)), [math.nan, 1.5])


MARKED, UNMARKED = Layer("count", "uint8", 255), Layer("count", "uint8")
SPREAD = Layer("spread", "float32")


@pytest.mark.parametrize(
    ("tiles", "overlap", "gaps", "why"),
    [
        (([MARKED, SPREAD], [MARKED, SPREAD]), False, True, None),
        (([UNMARKED], [UNMARKED]), False, False, None),
        (([], []), True, True, None),
        (
            ([UNMARKED], [UNMARKED]),
            False,
            True,
            "some pixels have no input",
        ),
        (([MARKED], [MARKED]), True, False, "inputs overlap, and nobody"),
        (([MARKED], []), False, False, "not all inputs have them alike"),
        (([], [MARKED]), False, False, "not all inputs have them alike"),
        (([MARKED], [UNMARKED]), False, False, "not all inputs have them alike"),
    ],
)
def test_layers_of_tiles(
    tiles: tuple[list[Layer], ...], *, overlap: bool, gaps: bool, why: str | None
) -> None:
    sources: Any = [SimpleNamespace(layers=tuple(layers)) for layers in tiles]
    found, note = common_layers(sources, overlap=overlap, gaps=gaps)
    if why is None:
        assert (found, note) == (tuple(tiles[0]), None)
    else:
        assert found == tuple(layer for layer in tiles[0] if layer is SPREAD and not overlap)
        assert note is not None
        assert note.startswith(f"layers count are left out: {why}")
