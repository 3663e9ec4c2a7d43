"""The curve visits every cell once, one step at a time."""

import numpy as np
import pytest

from geoembz._geo import hilbert


@pytest.mark.parametrize("bits", [4, 8])
def test_curve_steps_from_cell_to_neighbour(bits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys are a permutation, and consecutive cells share an edge."""
    monkeypatch.setattr(hilbert, "ORDER_BITS", bits)
    x, y = (axis.reshape(-1) for axis in np.indices((2**bits, 2**bits)))
    keys = hilbert.hilbert_keys(x, y)
    np.testing.assert_array_equal(np.sort(keys), np.arange(4**bits))
    order = np.argsort(keys)
    steps = np.abs(np.diff(x[order])) + np.abs(np.diff(y[order]))
    assert (steps == 1).all()


def test_unknown_places_come_last() -> None:
    """NaN sorts behind everything, and ties keep their order."""
    x, y = np.array([np.nan, 1.0, 0.0, 0.0]), np.array([0.0, 1.0, 0.0, 0.0])
    assert hilbert.hilbert_order(x, y).tolist() == [2, 3, 1, 0]
