"""Sizes are exact integers, measured sizes extrapolate, reads are counted in chunks."""

from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import geoembz
from geoembz._cost.estimate import Holding, Usage, estimate
from geoembz._cost.options import CostKeywords, CostOptions
from geoembz._cost.prices import load_provider
from geoembz._cost.reads import Layout, ObjectCount, choose_layout, window_read
from geoembz.errors import InvalidConfigError


@given(pixels=st.integers(1, 10**13), size_bytes=st.integers(1, 16_000), years=st.integers(1, 40))
def test_nominal_totals_are_exact(pixels: int, size_bytes: int, years: int) -> None:
    """Total bytes is the product, as an integer, at any size."""
    holding = Holding("x", pixels=pixels, size_bytes=size_bytes, years=years)
    assert holding.total_bytes == pixels * size_bytes * years
    assert holding.bytes_per_embedding == size_bytes


@given(
    stored=st.integers(1, 10**15), measured=st.integers(1, 10**12), pixels=st.integers(1, 10**13)
)
def test_measured_totals_round_to_the_nearest_byte(stored: int, measured: int, pixels: int) -> None:
    """Extrapolation of a measured store errs by at most half a byte in all."""
    holding = Holding("x", pixels=pixels, size_bytes=stored, per_embeddings=measured)
    assert abs(2 * (holding.total_bytes * measured - stored * pixels)) <= measured


def test_a_store_extrapolated_to_itself_weighs_what_it_weighs() -> None:
    """With its own pixels a measured store's total is its stored size."""
    assert Holding("x", pixels=999, size_bytes=12_345, per_embeddings=999).total_bytes == 12_345


@pytest.mark.parametrize("name", ["pixels", "size_bytes", "per_embeddings", "years"])
def test_nothing_is_not_a_holding(name: str) -> None:
    """Numbers below one are refused, and named."""
    arguments: dict[str, Any] = {"pixels": 1, "size_bytes": 1, name: 0}
    with pytest.raises(InvalidConfigError, match=f"{name} is 0"):
        Holding("x", **arguments)


def test_usage_is_not_negative() -> None:
    """Negative traffic is refused."""
    with pytest.raises(InvalidConfigError, match="-1 reads"):
        Usage(reads_per_month=-1)


def test_sentinel2_comparison() -> None:
    """A year of float32 DINOv3 exceeds the Sentinel-2 archive's growth; PCA(64)+int8 does not."""
    provider = load_provider("aws")
    large = estimate(Holding("x", 1_500_000_000_000, 4096, years=3), provider, "standard")
    small = estimate(Holding("x", 1_500_000_000_000, 64), provider, "standard")
    assert large.share_of_sentinel2 == pytest.approx((6.144 / 4, 6.144 / 3))
    assert small.share_of_sentinel2 == pytest.approx((0.096 / 4, 0.096 / 3))


@pytest.mark.parametrize("size", [1, 8, 64, 128, 512, 1024, 4096, 16_000, 37.5])
def test_the_default_layout_keeps_its_limits(size: float) -> None:
    """Chunks fit a mebibyte and shards 64; both are more than a quarter of that."""
    layout = choose_layout(size)
    chunk_bytes, shard_bytes = layout.chunk[0] ** 2 * size, layout.shard_pixels * size
    assert 2**18 < chunk_bytes <= 2**20
    assert 2**24 < shard_bytes <= 2**26


@given(
    window=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    chunk=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    chunks=st.tuples(st.integers(2, 4), st.integers(1, 4)),
)
def test_mean_read_is_the_mean_over_positions(
    window: tuple[int, int], chunk: tuple[int, int], chunks: tuple[int, int]
) -> None:
    """Requests and bytes equal the average over every position of the window in a shard."""
    shard = (chunk[0] * chunks[0], chunk[1] * chunks[1])
    layout = Layout(chunk, shard)

    def mean_touched(tile: tuple[int, int]) -> float:
        counts = [
            sum((start + w - 1) // t - start // t + 1 for start in range(t)) / t
            for w, t in zip(window, tile, strict=True)
        ]
        return counts[0] * counts[1]

    read = window_read(layout, 3, window)
    assert read.requests == pytest.approx(mean_touched(chunk) + mean_touched(shard))
    assert read.bytes_fetched == pytest.approx(
        mean_touched(chunk) * chunk[0] * chunk[1] * 3 + mean_touched(shard) * layout.index_bytes
    )
    assert read.amplification >= 1


def test_unsharded_reads_need_no_index() -> None:
    """Where a chunk is an object, a point costs one request."""
    layout = Layout((64, 64), (64, 64))
    read = window_read(layout, 64, (1, 1))
    assert (read.requests, read.bytes_fetched) == (1, 64**3)


def test_layouts_and_windows_that_make_no_sense() -> None:
    """Shards are whole chunks; windows have pixels."""
    with pytest.raises(InvalidConfigError, match="whole number of chunks"):
        Layout((64, 64), (100, 128))
    with pytest.raises(InvalidConfigError, match="at least 1 x 1"):
        window_read(choose_layout(64), 64, (0, 1))


@given(
    shards=st.integers(1, 50), per_shard=st.integers(1, 3), constant=st.integers(0, 30),
    pixels=st.lists(st.integers(1, 10**6), min_size=2, max_size=2),
)  # fmt: skip
def test_more_pixels_need_no_fewer_objects(
    shards: int, per_shard: int, constant: int, pixels: list[int]
) -> None:
    """The count grows with the pixels, and is the measured one at the measured size."""
    count = ObjectCount(shards, shards * per_shard, constant)
    measured = 48 * shards

    def objects(pixels: int) -> int:
        holding = Holding("x", pixels, 9 * measured, measured, 1, Layout((8, 8), (8, 8)), count)
        return estimate(holding, load_provider("aws"), "standard").n_objects

    assert objects(measured) == shards * per_shard + constant
    assert objects(min(pixels)) <= objects(max(pixels))


@pytest.mark.parametrize("counts", [(0, 1, 1), (2, 1, 1), (1, 1, -1)])
def test_counts_that_make_no_sense(counts: tuple[int, int, int]) -> None:
    """A measured store has shards, and they are objects."""
    with pytest.raises(InvalidConfigError, match="at least one shard"):
        ObjectCount(*counts)


def test_options_are_a_group_or_keywords() -> None:
    """`options=` and its fields say the same; contradictions and misspellings are refused."""
    assert CostKeywords.__annotations__.keys() == {field.name for field in fields(CostOptions)}
    flat = geoembz.cost(model="aef", years=2, provider="gcs").to_json()
    assert geoembz.cost(options=CostOptions(model="aef", provider="gcs"), years=2).to_json() == flat
    with pytest.raises(InvalidConfigError, match=r"years 3, but options.years is 2; give it once"):
        geoembz.cost(options=CostOptions(years=2), years=3)
    with pytest.raises(TypeError, match=r"cost\(\) got an unexpected keyword argument 'modell'"):
        geoembz.cost(modell="aef")  # type: ignore[call-arg]
