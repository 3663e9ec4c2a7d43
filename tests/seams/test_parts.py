"""Borders between cells, corrections of p, offsets of tiles: on their own."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from geoembz._geo.grid import Window
from geoembz._seams.borders import Layout, Tile
from geoembz._seams.judge import _holm
from geoembz._seams.steps import measure
from geoembz._seams.windows import find_lattice
from geoembz.errors import InvalidConfigError


@given(
    rows=st.sets(st.integers(1, 19), max_size=3),
    cols=st.sets(st.integers(1, 29), max_size=3),
    side=st.integers(3, 12),
)
def test_borders_are_where_neighbours_belong_to_others(
    rows: set[int], cols: set[int], side: int
) -> None:
    """Every pair of pixels of two tiles lies across one border; of two shards, too."""
    edges_y, edges_x = [0, *sorted(rows), 20], [0, *sorted(cols), 30]
    tiles = [
        Tile(f"{top} {left}", Window(top, left, bottom - top, right - left))
        for top, bottom in itertools.pairwise(edges_y)
        for left, right in itertools.pairwise(edges_x)
    ]
    owner, shard = np.zeros((20, 30), int), np.zeros((20, 30), int)
    for number, tile in enumerate(tiles):
        owner[tile.window.slices] = number
    shard += np.arange(20)[:, None] // side * 100 + np.arange(30) // side
    layout = Layout.of((20, 30), tiles, (side, side))
    across = owner[:, 1:] != owner[:, :-1], owner[1:] != owner[:-1]
    between = (shard[:, 1:] != shard[:, :-1]) & ~across[0], (shard[1:] != shard[:-1]) & ~across[1]
    for kind, expected in (("source", across), ("shard", between)):
        found = np.zeros((20, 29), int), np.zeros((19, 30), int)
        for border in layout.borders(kind, reach=64):  # type: ignore[arg-type]
            along = slice(border.start, border.stop)
            if border.vertical:
                found[0][along, border.line - 1] += 1
            else:
                found[1][border.line - 1, along] += 1
            strip = border.strip(border.start, border.stop, border.before, border.behind)
            sides = owner[strip.slices] if border.vertical else owner[strip.slices].T
            assert len(np.unique(sides[:, : border.before])) == 1
            assert len(np.unique(sides[:, border.before :])) == 1
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_irregular_tiles_beyond_memory_are_refused() -> None:
    tiles = [Tile(str(n), Window(3 * n, 3 * n, 2, 2)) for n in range(5000)]
    with pytest.raises(InvalidConfigError, match="5,000 tiles with"):
        Layout.of((15_000, 15_000), tiles)


def test_outlines_outside_the_grid_are_no_tiles() -> None:
    layout = Layout.of((8, 8), [Tile("a", Window(0, 0, 8, 4)), Tile("b", Window(0, 4, 9, 4))])
    assert [tile.name for tile in layout.tiles] == ["a"]
    assert layout.borders("source", 8) == []


def test_mean_steps_are_those_of_numpy() -> None:
    """Blocks along a border make no difference; pairs with an invalid pixel do not count."""
    values = np.random.default_rng(0).normal(size=(3, 40, 12)).astype(np.float32)
    values[:, :5, 6] = np.nan
    layout = Layout.of((40, 12), [Tile("a", Window(0, 0, 40, 6)), Tile("b", Window(0, 6, 40, 6))])
    (border,) = layout.borders("source", 64)
    cuts = measure(lambda window: values[:, *window.slices], 3, border, 64)
    assert cuts.offsets.tolist() == list(range(-5, 6))
    assert cuts.counts.tolist() == [40] * 5 + [35, 35] + [40] * 4
    steps = np.diff(values[:, 5:, 5:7].astype(float), axis=2)[..., 0]
    lengths = np.sqrt((steps**2).sum(axis=0))
    assert lengths.max() < 3 * np.median(lengths)  # none is cut
    np.testing.assert_allclose(cuts.means[cuts.border], steps.mean(axis=1), rtol=1e-5)
    np.testing.assert_allclose(cuts.energies[cuts.border], (lengths**2).mean(), rtol=1e-5)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_correction_is_that_of_holm(p: list[float]) -> None:
    """The smallest times their number, the next times one less …, never falling."""
    corrected = _holm(np.array(p))
    order = np.argsort(p, kind="stable")
    expected, largest = np.empty(len(p)), 0.0
    for place, index in enumerate(order):
        largest = max(largest, min(1.0, p[index] * (len(p) - place)))
        expected[index] = largest
    np.testing.assert_allclose(corrected, expected)


@pytest.mark.parametrize(("period", "phase"), [(5, 2), (12, 0), (32, 31)])
def test_periods_are_found_at_any_phase(period: int, phase: int) -> None:
    rng = np.random.default_rng(0)
    places = [np.arange(start, start + 190) for start in (3, 500, 1111)]
    sizes = [rng.uniform(0.5, 1.0, len(one)) + 2.0 * (one % period == phase) for one in places]
    lattice = find_lattice(places, sizes)
    assert (lattice.period, lattice.phase) == (period, phase)


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_period(seed: int) -> None:
    sizes = np.random.default_rng(seed).lognormal(0, 0.5, size=(3, 190))
    places = [np.arange(190) + 200 * n for n in range(3)]
    assert find_lattice(places, list(sizes)).period == 1
