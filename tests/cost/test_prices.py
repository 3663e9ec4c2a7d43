"""Tiers are added up as on a bill, and a user's price list replaces what it names."""

import math
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoembz._cost.estimate import Holding, Usage, estimate
from geoembz._cost.prices import Tier, load_provider, tiered_usd
from geoembz.errors import InvalidConfigError

GIB = 2**30
PROVIDERS = ["aws", "gcs", "azure", "r2"]


def test_aws_storage_by_hand() -> None:
    """600 TiB in S3 Standard: 50 TiB, then 450 TiB, then 100 TiB, each at its own rate."""
    holding = Holding("x", pixels=600 * 1024 * GIB, size_bytes=1)
    tiered = estimate(holding, load_provider("aws"), "standard").tiered
    month = 50 * 1024 * 0.023 + 450 * 1024 * 0.022 + 100 * 1024 * 0.021
    assert tiered.storage_usd == pytest.approx(12 * month, rel=1e-12)


def test_aws_egress_by_hand() -> None:
    """200 TiB a month to the internet: 100 GiB free, to 10, 50 and 150 TiB, and the rest."""
    usage = Usage(egress_bytes_per_month=200 * 1024 * GIB)
    tiered = estimate(Holding("x", 1, 1), load_provider("aws"), "standard", usage).tiered
    month = (10240 - 100) * 0.09 + 40 * 1024 * 0.085 + 100 * 1024 * 0.07 + 50 * 1024 * 0.05
    assert tiered.egress_usd == pytest.approx(12 * month, rel=1e-12)


def test_requests_and_retrieval_by_hand() -> None:
    """A million point reads of a 64-byte store: two GETs and one 1 MiB chunk plus index each."""
    holding = Holding("aef", pixels=10 * 1024**2, size_bytes=64)
    usage = Usage(reads_per_month=1_000_000)
    result = estimate(holding, load_provider("aws"), "standard-ia", usage)
    assert result.n_objects == 10
    assert result.tiered.puts_usd == pytest.approx(10 / 1000 * 0.01)
    assert result.tiered.gets_usd == pytest.approx(12 * 2e6 / 1000 * 0.001)
    fetched = 1_000_000 * (2**20 + 64 * 16 + 4) / GIB
    assert result.tiered.retrieval_usd == pytest.approx(12 * fetched * 0.01)
    parts = result.tiered
    assert result.usd_per_year_tiered == pytest.approx(
        parts.storage_usd + parts.puts_usd + parts.gets_usd + parts.retrieval_usd
    )


def test_r2_bills_no_egress() -> None:
    """Cloudflare's egress is free at any volume."""
    usage = Usage(egress_bytes_per_month=10**18)
    result = estimate(Holding("x", 1, 1), load_provider("r2"), "standard", usage)
    assert result.tiered.egress_usd == 0


@given(low=st.floats(0, 1e6), more=st.floats(0, 1e6), ends=st.lists(st.floats(1, 1e6), max_size=4))
def test_more_never_costs_less(low: float, more: float, ends: list[float]) -> None:
    """Tiered cost does not fall with volume and stays between the least and the highest rate."""
    tiers = (*(Tier(end, 1 / (i + 1)) for i, end in enumerate(sorted(ends))), Tier(None, 0.1))
    rates = [tier.usd_per_gb for tier in tiers]
    cost = tiered_usd(low, tiers)
    assert tiered_usd(low + more, tiers) >= cost - 1e-9 * cost
    assert min(rates) * low * (1 - 1e-9) <= cost <= max(rates) * low * (1 + 1e-9)


@pytest.mark.parametrize("name", PROVIDERS)
def test_packaged_lists_are_dated_and_sourced(name: str) -> None:
    """Every list has a date, sources and a class called standard."""
    provider = load_provider(name)
    assert date.fromisoformat(provider.consulted) >= date(2026, 1, 1)
    assert all(source.startswith("https://") for source in provider.sources)
    for prices in provider.classes.values():
        assert prices.storage[-1].up_to_gb is None
        rates = [tier.usd_per_gb for tier in prices.storage]
        assert rates == sorted(rates, reverse=True)
        assert all(map(math.isfinite, rates))
    assert "standard" in provider.classes


def test_overrides_replace_only_what_they_name() -> None:
    """A negotiated storage price leaves requests, egress and other classes as packaged."""
    overrides = {"providers": {"aws": {"classes": {"standard": {"storage": [[None, 0.01]]}}}}}
    ours, packaged = load_provider("aws", overrides), load_provider("aws")
    assert ours.storage_class("standard").storage == (Tier(None, 0.01),)
    assert ours.storage_class("standard-ia") == packaged.storage_class("standard-ia")
    assert ours.egress == packaged.egress
    assert load_provider("aws") == packaged


@pytest.mark.parametrize(
    "storage",
    [
        3,
        [],
        [[None, -1]],
        [[None, "0.02"]],
        [[None, True]],
        [[None, float("nan")]],
        [[50, 1]],
        [[None, 1], [None, 1]],
        [[50, 2], [40, 1], [None, 1]],
    ],
)
def test_price_lists_that_make_no_sense(storage: Any) -> None:
    """Tiers that are no tiers are refused, with the provider named."""
    overrides = {"providers": {"aws": {"classes": {"standard": {"storage": storage}}}}}
    with pytest.raises(InvalidConfigError, match=r"provider 'aws'.*form"):
        load_provider("aws", overrides)


def test_unknown_provider_and_class() -> None:
    """Errors list what there is; a new provider must be complete."""
    with pytest.raises(InvalidConfigError, match="aws, gcs, azure, r2"):
        load_provider("ibm")
    with pytest.raises(InvalidConfigError, match=r"'hot'.*standard, cool, cold"):
        load_provider("azure").storage_class("hot")
    with pytest.raises(InvalidConfigError, match="gb_bytes"):
        load_provider("ours", {"providers": {"ours": {"title": "Ours"}}})
