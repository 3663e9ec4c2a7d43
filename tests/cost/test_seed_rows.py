"""The seed article's table comes out of the arithmetic."""

import pytest

from geoembz._cost.estimate import FLAT_USD_PER_GB_MONTH, Holding, estimate
from geoembz._cost.options import CostOptions
from geoembz._cost.prices import load_provider
from geoembz._cost.report import format_usd
from geoembz._cost.sizes import (
    LAND_AREA_KM2,
    bits_per_value,
    bytes_per_embedding,
    get_model,
    pixels_from_area,
)
from geoembz._text import format_bytes
from geoembz.encoding import Recipe
from geoembz.errors import InvalidConfigError

# model, recipe, bytes per embedding, size and US dollars a year as the article prints them
SEED_ROWS = [
    ("dinov3", None, 4096, "6.1 PB", 1.7e6, 0.1e6),
    ("dinov3", "int8", 1024, "1.5 PB", 424e3, 1e3),
    ("tessera-encoder", None, 2048, "3.1 PB", 847e3, 1e3),
    ("tessera", None, 128, "192 TB", 53e3, 1e3),
    ("olmoearth-nano", None, 512, "768 TB", 212e3, 1e3),
    ("aef", None, 64, "96 TB", 26e3, 1e3),
]


@pytest.mark.parametrize(("name", "recipe", "size_bytes", "total", "usd", "unit"), SEED_ROWS)
def test_seed_row(
    name: str, recipe: str | None, size_bytes: int, total: str, usd: float, unit: float
) -> None:
    """Sizes print as in the article; dollars lie within one unit of its last printed digit.

    One unit, not half: the article prints $847K for 847,872 (cut) and $424K for 423,936 (rounded).
    """
    model = get_model(name)
    size = (
        Recipe.parse(recipe).bytes_per_vector(model.dimension)
        if recipe
        else bytes_per_embedding(model.dimension, bits_per_value(model.dtype))
    )
    assert size == size_bytes
    pixels = pixels_from_area(LAND_AREA_KM2, 10)
    holding = Holding(name, pixels=pixels, size_bytes=size_bytes)
    result = estimate(holding, load_provider("aws"), "standard")
    assert holding.total_bytes == 1_500_000_000_000 * size_bytes
    assert format_bytes(holding.total_bytes) == total
    assert abs(result.usd_per_year - usd) < unit


@pytest.mark.parametrize("name", ["aws", "gcs", "azure", "r2"])
def test_flat_price_does_not_depend_on_the_provider(name: str) -> None:
    """The flat figure is the seed's, whatever price list stands beside it."""
    holding = Holding("aef", pixels=1_500_000_000_000, size_bytes=64)
    result = estimate(holding, load_provider(name), "standard")
    assert result.usd_per_year == pytest.approx(96_000 * FLAT_USD_PER_GB_MONTH * 12, rel=1e-12)
    assert format_usd(result.usd_per_year) == "$26K"


@pytest.mark.parametrize(
    ("recipe", "dimension", "expected"),
    [
        ("float32", 1024, 4096),
        ("float16", 1024, 2048),
        ("int8", 1024, 1024),
        ("int4", 1024, 512),
        ("int2-lloyd", 1024, 256),
        ("binary", 1024, 128),
        ("binary", 1023, 128),
        ("rot-binary", 1280, 160),
        ("pca64-int8", 1024, 64),
        ("l2-pca64-int4-lloyd", 1024, 32),
        ("pca16-int4", 1024, 8),
        ("pca8-binary", 64, 1),
        ("pca32-rot-pq8x8", 1024, 8),
        ("pca64-rot-pq16x8", 1024, 16),
        ("select48-ternary", 64, 12),
        ("svd5-int2", 64, 2),
        ("aef", 64, 64),
    ],
)
def test_recipe_bytes(recipe: str, dimension: int, expected: int) -> None:
    """A recipe's name fixes the bytes of an embedding, padded to whole bytes."""
    assert CostOptions(dims=dimension, recipe=recipe).bytes_per_embedding() == expected


@pytest.mark.parametrize(
    "recipe", ["pca64", "int8-int4", "zip", "", "pca2048-int8", "pca0-int8", "pca64-int8-", "pq8"]
)
def test_recipes_that_cannot_be_sized(recipe: str) -> None:
    """A name that is no recipe is refused, and the message shows one that is."""
    with pytest.raises(InvalidConfigError, match="expected"):
        CostOptions(dims=1024, recipe=recipe).bytes_per_embedding()


def test_unknown_names_list_the_known() -> None:
    """Errors name what would have worked."""
    with pytest.raises(InvalidConfigError, match=r"'gpt'.*aef.*dims="):
        get_model("gpt")
    with pytest.raises(InvalidConfigError, match=r"'float8'.*float32"):
        bits_per_value("float8")
    with pytest.raises(InvalidConfigError, match="at least 1"):
        bytes_per_embedding(0, 8)
