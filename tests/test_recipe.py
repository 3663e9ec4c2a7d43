"""Recipes: a name says what a recipe is, and a recipe prints as its name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoembz.encoding import Recipe
from geoembz.encoding._projection import KINDS
from geoembz.encoding._quantization import BITS, METHODS
from geoembz.errors import GeoembzError, InvalidConfigError

COUNTS = st.integers(1, 65_536)
WORDS = [
    *KINDS,
    "l2",
    "rot",
    "itq",
    "w",
    "x8",
    "aef",
    "power2x",
    "-",
    "64",
    "0",
    ".5",
    *BITS,
    "lloyd",
]


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """Any recipe that can be made."""
    quantizer = draw(st.sampled_from(sorted(BITS)))
    parts: dict[str, Any] = {
        "quantizer": quantizer,
        "method": draw(st.sampled_from([None, *METHODS.get(quantizer, ())])),
        "normalize": draw(st.booleans()),
        "rotate": draw(st.booleans()),
    }
    if BITS[quantizer] <= 2 and not parts["rotate"]:
        parts["itq"] = draw(st.booleans())
    if draw(st.booleans()):
        parts |= {"projection": draw(st.sampled_from(KINDS)), "n_components": draw(COUNTS)}
        if parts["rotate"] or parts.get("itq") or quantizer in {"binary", "pq", "rq"}:
            parts["whiten"] = draw(st.floats(0, 1))
    if quantizer == "pq":
        parts["n_subquantizers"] = draw(COUNTS)
    if quantizer == "rq":
        parts["n_stages"] = draw(st.integers(1, 32))
    if quantizer == "power":
        law = st.floats(1e-3, 1e6)
        parts["power"] = (draw(law), draw(law))
    return Recipe(**parts)


@given(recipes())
def test_a_recipe_is_its_name(recipe: Recipe) -> None:
    """Printing and parsing lose nothing, whatever the numbers, in either case of letters."""
    assert Recipe.parse(str(recipe)) == recipe
    assert Recipe.parse(f" {recipe} ".upper()) == recipe


@given(st.lists(st.sampled_from(WORDS), max_size=6).map("".join) | st.text(max_size=20))
def test_any_text_is_a_recipe_or_an_error(text: str) -> None:
    """Nothing but our own error comes of a bad name; what is accepted prints as a fixed point."""
    try:
        recipe = Recipe.parse(text)
    except GeoembzError:
        return
    assert Recipe.parse(str(recipe)) == recipe


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("pca64-int8", {"projection": "pca", "n_components": 64, "quantizer": "int8"}),
        ("pca32-rot-int4-lloyd", {"rotate": True, "method": "lloyd", "n_components": 32}),
        ("rot-binary", {"projection": None, "rotate": True, "method": None}),
        ("itq-binary", {"projection": None, "rotate": False, "itq": True}),
        ("pca128w0.5-itq-binary", {"whiten": 0.5, "itq": True, "quantizer": "binary"}),
        ("l2-pca64-itq-int2-lloyd", {"normalize": True, "itq": True, "rotate": False}),
        ("pca128w0.5-binary", {"whiten": 0.5, "itq": False, "rotate": False}),
        ("svd16-int2-quantile", {"projection": "svd", "method": "quantile"}),
        ("select48-ternary", {"projection": "select", "quantizer": "ternary"}),
        ("pca32-rot-pq8x8", {"quantizer": "pq", "n_subquantizers": 8}),
        ("l2-pca64w0.5-rq8x8", {"quantizer": "rq", "n_stages": 8, "whiten": 0.5}),
        ("l2-pca64-int4-lloyd", {"normalize": True}),
        ("pca64w0.5-rot-int4", {"whiten": 0.5}),
        ("pca64w0.5-pq16x8", {"whiten": 0.5, "rotate": False}),
        ("aef", {"quantizer": "power", "power": (2.0, 127.5)}),
        ("power1.5x100", {"power": (1.5, 100.0)}),
        ("l2-float16", {"quantizer": "float16"}),
        ("binary-median", {"method": "median"}),
    ],
)
def test_names_of_the_specification(name: str, parts: dict[str, Any]) -> None:
    recipe = Recipe.parse(name)
    assert {key: getattr(recipe, key) for key in parts} == parts
    assert str(recipe) == name


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("power2x127.5", "aef"),
        ("pca64-int8-minmax", "pca64-int8"),
        ("binary-mean", "binary"),
        ("ternary-std", "ternary"),
        ("pca64w0-rot-int8", "pca64-rot-int8"),
        ("pca64w.50-rot-int8", "pca64w0.5-rot-int8"),
    ],
)
def test_several_names_of_one_recipe(name: str, canonical: str) -> None:
    """Defaults are left out of the name that is printed."""
    assert str(Recipe.parse(name)) == canonical


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("pca64-int9", "int8"),
        ("pac64-int8", "pca64"),
        ("pcs8-int8", "pca8"),
        ("slect300-int8", "select300"),
        ("pca64-int4-loyd", "lloyd"),
        ("pca64-int4-quantil", "quantile"),
        ("ternary-tertile", "tertiles"),
        ("binary-medain", "median"),
        ("terneray", "ternary"),
        ("l3-int8", "l2"),
        ("pca64_int8", "pca64-int8"),
        ("pq8", "pq8x8"),
        ("pq8x4", "pq8x8"),
        ("float61", "float16"),
        ("pca64-rott-int8", "rot"),
        ("pca64-iqt-binary", "itq"),
    ],
)
def test_the_nearest_word_is_suggested(name: str, hint: str) -> None:
    with pytest.raises(InvalidConfigError, match=f"did you mean {hint!r}"):
        Recipe.parse(name)


@pytest.mark.parametrize(
    "name",
    [
        *("", "-", "l2", "rot", "pca64", "l2-pca64", "pca64-rot", "pca-int8", "pca0-int8"),
        *("int8-pca64", "rot-pca64-int8", "pca64-l2-int8", "int8-int8", "int8-lloyd-lloyd"),
        *(
            "pq0x8",
            "pq8x8-lloyd",
            "rq0x8",
            "rq33x8",
            "rq8",
            "pq",
            "aef-minmax",
            "float32-lloyd",
            "binary-lloyd",
            "int8-mean",
        ),
        *("itq", "pca64-itq", "itq-rot-binary", "rot-itq-binary", "itq-pca64-binary", "itq-aef"),
        *("power", "pq", "power0x1", "power2x0", "power-1x2", "power1e3x2"),
        *("pca64w0.5-int8", "w0.5-rot-int8", "pca64w1.5-rot-int8", "pca64w-rot-int8"),
        *("pca99999999-int8", "pca" + "9" * 5000 + "-int8", "pca\u0663-int8"),
    ],
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidConfigError, match="recipe"):
        Recipe.parse(name)


@pytest.mark.parametrize(
    "parts",
    [
        {"quantizer": "int9"},
        {"projection": "umap", "n_components": 3},
        {"projection": "pca"},
        {"n_components": 3},
        {"projection": "pca", "n_components": 0},
        {"projection": "pca", "n_components": -1},
        {"whiten": float("nan")},
        {"whiten": 0.5},
        {"whiten": 0.5, "quantizer": "binary", "itq": True},
        {"quantizer": "binary", "rotate": True, "itq": True},
        {"quantizer": "pq"},
        {"quantizer": "pq", "n_subquantizers": 0},
        {"n_subquantizers": 3},
        {"quantizer": "rq"},
        {"quantizer": "rq", "n_stages": 33},
        {"n_stages": 3},
        {"quantizer": "power"},
        {"quantizer": "power", "power": (float("nan"), 1.0)},
        {"power": (2.0, 127.5)},
        {"quantizer": "float32", "method": "lloyd"},
    ],
)
def test_parts_that_make_no_recipe_are_refused(parts: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfigError, match="recipe"):
        Recipe(**parts)


@pytest.mark.parametrize(
    ("name", "dimension", "size"),
    [
        ("pca64-int8", 1024, 64),
        ("pca64-int4", 1024, 32),
        ("pca13-ternary", 1024, 4),
        ("rot-binary", 1280, 160),
        ("pca32-rot-pq8x8", 768, 8),
        ("float16", 10, 20),
        ("aef", 64, 64),
    ],
)
def test_sizes(name: str, dimension: int, size: int) -> None:
    """Bytes per vector, before entropy coding; packed codes are rounded up to bytes."""
    assert Recipe.parse(name).bytes_per_vector(dimension) == size


@pytest.mark.parametrize(("name", "dimension"), [("pca12-int8", 11), ("pq4x8", 10)])
def test_dimensions_that_do_not_suit_are_refused(name: str, dimension: int) -> None:
    with pytest.raises(InvalidConfigError, match=str(dimension)):
        Recipe.parse(name).check_dimension("here", dimension)


@pytest.mark.parametrize(
    "name",
    ["itq-int8", "pca32-itq-int4-lloyd", "pca32-itq-pq4x8", "pca32-itq-rq4x8", "itq-float16"],
)
def test_a_rotation_for_signs_is_refused_before_wider_codes(name: str) -> None:
    """The message says what it is for, and what to take instead."""
    with pytest.raises(
        InvalidConfigError, match="expected binary, ternary or int2 after itq, or rot"
    ):
        Recipe.parse(name)


def test_a_word_out_of_place_is_not_suggested_to_itself() -> None:
    with pytest.raises(InvalidConfigError, match="'itq' is unknown or out of place; expected"):
        Recipe.parse("pca64-rot-itq-binary")
