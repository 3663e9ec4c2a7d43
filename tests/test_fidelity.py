"""Fidelity: known values, and sums that may be cut into blocks and merged again."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz.encoding._fidelity import FidelitySums, clipped_share, pixel_fidelity
from geoembz.errors import InvalidConfigError

type Pair = tuple[NDArray[np.float32], NDArray[np.float32]]


def noisy_pair(n: int, dimension: int, seed: int = 0) -> Pair:
    generator = np.random.default_rng(seed)
    original = generator.normal(1.0, 1.0, (n, dimension)).astype(np.float32)
    return original, original + generator.normal(0, 0.1, original.shape).astype(np.float32)


def test_known_vectors_give_the_values_worked_out_by_hand() -> None:
    original = np.array([[3.0, 4.0], [1.0, 1.0]])
    decoded = np.array([[4.0, 3.0], [1.0, 3.0]])
    pixels = pixel_fidelity(original, decoded, centre=[1.0, 2.0])
    np.testing.assert_allclose(pixels.cosine, [24 / 25, 4 / np.sqrt(20)])
    # centred: (2, 2)·(3, 1) / √(8·10), and (0, -1)·(0, 1) / 1
    np.testing.assert_allclose(pixels.cosine_centred, [8 / np.sqrt(80), -1.0])
    np.testing.assert_allclose(pixels.rmse, [1.0, np.sqrt(2)])
    summary = pixels.summary()["rmse"]
    assert summary["mean"] == pytest.approx((1 + np.sqrt(2)) / 2)
    assert summary["min"] == pytest.approx(1)
    assert summary["p5"] == pytest.approx(1 + 0.05 * (np.sqrt(2) - 1))
    assert summary["pooled"] == pytest.approx(np.sqrt(6 / 4))


def test_zero_vectors_agree_with_each_other_only() -> None:
    pixels = pixel_fidelity([[0.0, 0.0], [0.0, 0.0]], [[0.0, 0.0], [1.0, 0.0]], centre=[0.0, 0.0])
    assert pixels.cosine.tolist() == [1.0, 0.0]


def test_blocks_do_not_change_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    original, decoded = noisy_pair(101, 7)
    whole = pixel_fidelity(original, decoded, original.mean(0))
    monkeypatch.setattr("geoembz.encoding._fidelity._BLOCK_VALUES", 70)
    blocked = pixel_fidelity(original, decoded, original.mean(0))
    np.testing.assert_array_equal(whole.cosine, blocked.cosine)
    np.testing.assert_array_equal(whole.rmse, blocked.rmse)


@given(cuts=st.lists(st.integers(0, 60), max_size=5), seed=st.integers(0, 99))
def test_merged_blocks_have_the_fidelity_of_the_whole(cuts: list[int], seed: int) -> None:
    """Any partition, empty blocks included, grouped either way."""
    original, decoded = noisy_pair(60, 5, seed)
    centre = original.mean(0)
    edges = [0, *sorted(cuts), 60]
    parts = [FidelitySums.of(original[a:b], decoded[a:b], centre) for a, b in pairwise(edges)]
    left, right = FidelitySums(), FidelitySums()
    for part in parts:
        left = left.merge(part)
    for part in reversed(parts):
        right = part.merge(right)
    expected = FidelitySums.of(original, decoded, centre).summary()
    assert left.summary() == pytest.approx(expected, rel=1e-12)
    assert right.summary() == pytest.approx(expected, rel=1e-12)


def test_order_of_finishing_does_not_matter_when_merged_in_block_order() -> None:
    original, decoded = noisy_pair(90, 5)
    finished = {}
    for block in np.random.default_rng(1).permutation(9).tolist():
        rows = slice(10 * block, 10 * block + 10)
        sums = FidelitySums.of(original[rows], decoded[rows], np.zeros(5))
        finished[block] = FidelitySums.from_dict(json.loads(json.dumps(sums.to_dict())))
    first, again = FidelitySums(), FidelitySums()
    for block in range(9):
        rows = slice(10 * block, 10 * block + 10)
        first = first.merge(finished[block])
        again = again.merge(FidelitySums.of(original[rows], decoded[rows], np.zeros(5)))
    assert first == again


def test_json_keeps_every_bit() -> None:
    sums = FidelitySums.of(*noisy_pair(33, 5), centre=np.full(5, 1 / 3))
    assert FidelitySums.from_dict(json.loads(json.dumps(sums.to_dict()))) == sums


def test_no_pixels_have_no_means() -> None:
    empty = np.empty((0, 5), dtype=np.float32)
    expected = {"cosine": None, "cosine_centred": None, "rmse": None, "n": 0}
    assert FidelitySums.of(empty, empty, np.zeros(5)).summary() == expected


def test_what_cannot_be_compared_is_refused() -> None:
    original, decoded = noisy_pair(4, 3)
    with pytest.raises(InvalidConfigError, match=r"\(4, 3\).*\(3, 3\)"):
        FidelitySums.of(original, decoded[:3], np.zeros(3))
    decoded[1, 1] = np.nan
    with pytest.raises(InvalidConfigError, match="NaN"):
        FidelitySums.of(original, decoded, np.zeros(3))
    wide = FidelitySums.of(*noisy_pair(4, 6), centre=np.zeros(6))
    with pytest.raises(InvalidConfigError, match="3 and 6"):
        FidelitySums.of(original, original, np.zeros(3)).merge(wide)


def test_clipped_share_counts_what_lies_outside_each_component() -> None:
    values = np.array([[0.0, 5.0], [1.0, 6.0], [2.0, 7.0], [3.0, 8.0]])
    assert clipped_share(values, low=[0.0, 5.5], high=[2.0, 7.5]) == 3 / 8
