"""Chunks and shards: they cover every pixel once, within bounds, whatever the raster's shape."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geoembz._geo.chunks import DEFAULT
from geoembz.errors import InvalidConfigError
from geoembz.store.layout import LARGEST_SHARD_BYTES, choose_layout

SIDES = st.integers(1, 30_000)
BLOCKS = st.tuples(st.sampled_from([1, 3, 16, 256, 512, 1024]), st.sampled_from([16, 512, 1024]))


@settings(max_examples=200, deadline=None)
@given(shape=st.tuples(SIDES, SIDES), code=st.integers(1, 4096), block=BLOCKS)
def test_defaults_stay_within_bounds(
    shape: tuple[int, int], code: int, block: tuple[int, int]
) -> None:
    """Chunks divide shards, and neither is larger than the format allows."""
    layout = choose_layout(shape, code, block)
    chunk, shard = np.array(layout.chunk), np.array(layout.shard)
    assert (shard % chunk == 0).all()
    assert (shard - chunk < shape).all()
    assert chunk.prod() * code <= max(DEFAULT.chunk_bytes, 8 * 8 * code)
    assert shard.prod() * code <= max(LARGEST_SHARD_BYTES, chunk.prod() * code)


@settings(max_examples=100, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 60), st.integers(1, 60)),
    chunk=st.integers(1, 20),
    factor=st.integers(1, 4),
    block=BLOCKS,
)
def test_shards_cover_every_pixel_once(
    shape: tuple[int, int], chunk: int, factor: int, block: tuple[int, int]
) -> None:
    """The windows of all shards tile the raster, in one order."""
    layout = choose_layout(shape, 8, block, chunk=chunk, shard=chunk * factor)
    seen = np.zeros(shape, dtype=int)
    for window in layout.shards():
        seen[window.slices] += 1
        assert window.row % layout.shard[0] == 0
        assert window.col % layout.shard[1] == 0
    assert (seen == 1).all()


@pytest.mark.parametrize(
    ("chunk", "shard"),
    [(0, None), (-8, None), (8, 0), (8, 4), (8, 12), (8, -16), (None, "all")],
)
def test_impossible_sides_are_refused(chunk: int | None, shard: int | str | None) -> None:
    with pytest.raises(InvalidConfigError, match="expected"):
        choose_layout((100, 100), 8, (16, 16), chunk=chunk, shard=shard)


def test_a_chunk_is_never_larger_than_the_raster() -> None:
    """A side beyond the raster would make every task allocate a padded chunk of that size."""
    layout = choose_layout((40, 50), 16, (16, 16), chunk=10**6)
    assert max(layout.chunk) <= 64
