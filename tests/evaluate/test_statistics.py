"""Statistics: published worked examples, coverage, and false alarms on correlated groups."""

from math import comb
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz._evaluate.metrics.statistics import (
    Comparison,
    bootstrap_mean,
    bootstrap_statistic,
    compare_accuracy,
    mcnemar_p,
)
from geoembz.errors import InvalidConfigError

type Flags = NDArray[np.bool_]


def paired(both: int, only_first: int, only_second: int, neither: int) -> tuple[Flags, Flags]:
    """Rows of a 2×2 table."""
    cells = [both, only_first, only_second, neither]
    return np.repeat([True, True, False, False], cells), np.repeat(
        [True, False, True, False], cells
    )


def approval_ratings() -> tuple[Flags, Flags]:
    """Agresti (1990), p. 350: approval of a president in two surveys of 1,600 Americans."""
    return paired(794, 150, 86, 570)


def test_mcnemar_on_agrestis_approval_ratings() -> None:
    """Published: z² = 17.36 (p = 3.1e-5); the exact p follows in whole numbers."""
    assert pytest.approx(17.3559, abs=5e-5) == (150 - 86) ** 2 / (150 + 86)
    exact = 2 * sum(comb(236, k) for k in range(87)) / 2**236
    assert mcnemar_p(*approval_ratings()) == pytest.approx(exact)
    assert exact == pytest.approx(3.7e-5, abs=1e-6)


def test_mcnemar_worked_out_by_hand() -> None:
    """2 against 9 discordant rows: 2 (1 + 11 + 55) / 2¹¹."""
    assert mcnemar_p(*paired(21, 2, 9, 12)) == pytest.approx(134 / 2048)
    assert mcnemar_p(*paired(5, 0, 5, 5)) == pytest.approx(2 / 32)


@given(tables=st.tuples(*[st.integers(0, 30)] * 4))
def test_mcnemar_depends_on_the_discordant_rows_only(tables: tuple[int, int, int, int]) -> None:
    both, first, second, neither = tables
    p = mcnemar_p(*paired(both, first, second, neither))
    assert p == mcnemar_p(*paired(0, second, first, 1))
    assert 0 < p <= 1
    if first == second:
        assert p == 1.0


def test_interval_of_agrestis_approval_ratings() -> None:
    """Published: a drop of 0.04, standard error 0.0095, 95 % interval (0.02, 0.06)."""
    interval = bootstrap_mean(np.diff(np.array(approval_ratings(), int), axis=0)[0])
    assert interval.estimate == -0.04
    assert interval.standard_error == pytest.approx(0.0095, abs=2e-4)
    np.testing.assert_allclose(interval.ci95, [-0.0587, -0.0213], atol=1e-3)


def test_standard_error_of_efron_and_tibshiranis_mice() -> None:
    """Table 2.2: bootstrap standard error of the mean, treated mice, B → ∞: 23.36 days."""
    treated_days = [94, 197, 16, 38, 99, 141, 23]
    interval = bootstrap_mean(treated_days, resamples=200_000)
    assert interval.estimate == pytest.approx(86.86, abs=0.005)
    assert interval.standard_error == pytest.approx(23.36, rel=0.01)


def test_groups_of_one_row_are_rows() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_mean(values, groups=np.arange(50)) == bootstrap_mean(values)


def test_a_general_statistic_has_the_interval_of_the_mean() -> None:
    generator = np.random.default_rng(3)
    values, groups = generator.normal(size=120), generator.integers(0, 30, 120)
    fast = bootstrap_mean(values, groups=groups, resamples=4000)
    general = bootstrap_statistic(
        lambda rows: float(values[rows].mean()), 120, groups=groups, resamples=4000
    )
    assert general.estimate == pytest.approx(fast.estimate)
    np.testing.assert_allclose(general.ci95, fast.ci95, atol=0.03)


def test_the_seed_decides_the_interval() -> None:
    values = np.random.default_rng(0).normal(size=50)
    assert bootstrap_mean(values, seed=1) == bootstrap_mean(values, seed=1)
    assert bootstrap_mean(values, seed=1) != bootstrap_mean(values, seed=2)


@pytest.mark.slow
@pytest.mark.parametrize("n_rows", [12, 60])
def test_the_interval_covers_the_truth_in_95_of_100_cases(n_rows: int) -> None:
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(400):
        low, high = bootstrap_mean(generator.normal(size=n_rows), resamples=1000, seed=seed).ci95
        covered += low <= 0 <= high
    assert 0.92 <= covered / 400 <= 0.98


def null_case(seed: int) -> Comparison:
    """50 blocks of 40 pixels: errors of a block are shared, and neither side is better."""
    generator = np.random.default_rng(seed)
    blocks = np.repeat(np.arange(50), 40)
    leaning = generator.choice([-1, 0, 1], 50, p=[0.3, 0.4, 0.3])[blocks]
    differs = generator.random(2000) < 0.5 * np.abs(leaning)
    baseline = np.where(differs, leaning < 0, True)
    compressed = np.where(differs, leaning > 0, True)
    return compare_accuracy(baseline, compressed, groups=blocks, resamples=1000, seed=seed)


@pytest.mark.slow
def test_groups_keep_five_false_alarms_in_100_where_mcnemar_cries_wolf() -> None:
    cases = [null_case(seed) for seed in range(400)]
    by_groups = np.mean([case.verdict != "no difference found" for case in cases])
    by_rows = np.mean([case.mcnemar_p is not None and case.mcnemar_p < 0.05 for case in cases])
    assert by_groups < 0.08
    assert by_rows > 0.4


def test_groups_come_with_a_warning_about_mcnemar() -> None:
    case = null_case(0)
    assert case.n_groups == 50
    assert case.warning is not None
    assert "50 resampled groups" in case.warning


def test_verdicts() -> None:
    baseline = np.ones(200, bool)
    worse = np.arange(200) >= 30
    assert compare_accuracy(baseline, baseline).to_text().startswith("no difference found (+0.00")
    assert compare_accuracy(baseline, worse).verdict == "loss"
    assert compare_accuracy(worse, baseline).verdict == "gain"


def test_too_little_to_resample_is_refused() -> None:
    with pytest.raises(InvalidConfigError, match="got 1 rows or groups"):
        bootstrap_mean([1.0, 2.0], groups=[7, 7])
    with pytest.raises(InvalidConfigError, match="one group per row"):
        bootstrap_mean([1.0, 2.0], groups=[7])
    with pytest.raises(InvalidConfigError, match="same rows"):
        mcnemar_p([True], [True, False])
    with pytest.raises(InvalidConfigError, match="only 0 of 1000"):
        bootstrap_statistic(lambda _: float("nan"), 5)


def test_the_paired_interval_is_scipys() -> None:
    """The same percentiles as `scipy.stats.bootstrap`, apart from the expansion for few rows."""
    from scipy.stats import bootstrap

    rng = np.random.default_rng(7)
    baseline, compressed = rng.random(400) < 0.9, rng.random(400) < 0.86
    ours = compare_accuracy(baseline, compressed, resamples=40_000)

    def difference(first: NDArray[Any], second: NDArray[Any], axis: int) -> NDArray[Any]:
        return np.asarray(second.mean(axis=axis) - first.mean(axis=axis))

    theirs = bootstrap(
        (baseline.astype(float), compressed.astype(float)),
        difference,
        paired=True,
        n_resamples=40_000,
        method="percentile",
        rng=np.random.default_rng(8),
    ).confidence_interval
    np.testing.assert_allclose(ours.ci95, (theirs.low, theirs.high), atol=1.6 / 400)
