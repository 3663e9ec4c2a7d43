"""The order of samples: all of them, shuffled, and each block of a store read once."""

import pickle
from collections import Counter
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._train.blocks import Block, BlockReader, Content, block_shape
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.map.conftest import MakeStore
from tests.train.conftest import load

AS_FORKED = pytest.mark.filterwarnings(
    "ignore:This process .* is multi-threaded:DeprecationWarning"
)
"""PyTorch forks its workers, too; ours hold no lock then."""


@pytest.fixture
def patches(store: StoreReader, monkeypatch: pytest.MonkeyPatch) -> geoembz.Patches:
    """Return 70 patches in blocks of 16 pixels, of which a process keeps three."""
    monkeypatch.setattr("geoembz._train.blocks.BLOCK_BYTES", 16 * 16 * 8)
    assert block_shape(store) == (16, 16)
    made = geoembz.patches(store.url, 7, min_valid=0, space="codes")
    largest = max(block.window.size for block in made._blocks.blocks) * 9
    return geoembz.patches(store.url, 7, min_valid=0, space="codes", cache_bytes=3 * largest)


@pytest.fixture
def loads(monkeypatch: pytest.MonkeyPatch) -> list[Block]:
    """Return what has been read, one entry for each time."""
    read: list[Block] = []
    plain = BlockReader.load

    def load(self: BlockReader, block: Block) -> Content:
        read.append(block)
        return plain(self, block)

    monkeypatch.setattr(BlockReader, "load", load)
    return read


def test_every_sample_once(patches: geoembz.Patches) -> None:
    """Shuffled by seed and epoch; in order on request."""
    every = list(range(70))
    assert patches.order(shuffle=False).tolist() == every
    orders = [patches.order(epoch).tolist() for epoch in range(3)]
    assert all(sorted(order) == every and order != every for order in orders)
    assert orders[0] != orders[1] != orders[2]
    assert patches.order(1).tolist() == orders[1]


def test_blocks_are_mixed(patches: geoembz.Patches) -> None:
    """Neighbours in a shuffled order are of several blocks."""
    order = patches.order(0)
    blocks = patches.places.blocks[order]
    assert len(set(blocks[:8].tolist())) == 3
    assert np.abs(np.diff(order)).mean() > 5


@pytest.mark.parametrize("shuffle", [True, False])
def test_each_block_is_read_once(
    patches: geoembz.Patches, loads: list[Block], *, shuffle: bool
) -> None:
    """However its patches come; one that is wanted alone at first is read once more."""
    blocks = patches._blocks.blocks
    for batch in patches.batches(8, shuffle=shuffle):
        patches[batch]
    counts = Counter(block for block in loads if block in blocks)
    assert set(counts) == set(blocks)
    assert max(counts.values()) == 1
    pixels = sum(block.window.size for block in loads)
    assert pixels < 1.25 * sum(block.window.size for block in blocks)


def test_random_samples_read_their_chunks_alone(
    patches: geoembz.Patches, loads: list[Block]
) -> None:
    """Whoever takes them one by one, from here and there, does not read whole blocks for each."""
    first = patches._starts[:-1]
    for number in [*first.tolist(), *(first + 1).tolist()]:
        patches[int(number)]
    assert all(block.window.shape == (7, 7) for block in loads)


def test_batches(patches: geoembz.Patches) -> None:
    """New ones in every pass, of one size but for the last; an epoch can be chosen."""
    batches = patches.batches(16)
    assert len(batches) == 5
    first, second = list(batches), list(batches)
    assert [len(batch) for batch in first] == [16, 16, 16, 16, 6]
    assert sorted(number for batch in first for number in batch) == list(range(70))
    assert first != second
    batches.set_epoch(0)
    assert list(batches) == first
    whole = patches.batches(16, drop_last=True)
    assert len(whole) == len(list(whole)) == 4
    in_order = patches.batches(16, shuffle=False)
    assert [number for batch in in_order for number in batch] == list(range(70))


@pytest.mark.parametrize("shuffle", [True, False])
def test_workers_have_blocks_of_their_own(patches: geoembz.Patches, *, shuffle: bool) -> None:
    """Batches go to workers in turn, as PyTorch deals them out; a few at the end are mixed."""
    batches = list(patches.batches(4, shuffle=shuffle, workers=2))
    assert sorted(number for batch in batches for number in batch) == list(range(70))
    assert len(batches) == len(patches.batches(4, workers=2)) == 18
    blocks: list[set[int]] = [set(), set()]
    for number, batch in enumerate(batches[:-2]):
        blocks[number % 2] |= set(patches.places.blocks[batch].tolist())
    assert not blocks[0] & blocks[1]


@pytest.mark.parametrize(("size", "workers"), [(0, 1), (4, -1)])
def test_batches_that_cannot_be(patches: geoembz.Patches, size: int, workers: int) -> None:
    """Are refused."""
    with pytest.raises(InvalidConfigError, match=f"{size} samples for {workers} workers"):
        patches.batches(size, workers=workers)


def test_blocks_are_chunks_of_one_shard(store: StoreReader, make_store: MakeStore) -> None:
    """As many as fit into the bytes; without shards as many chunks."""
    assert block_shape(store) == (32, 32)
    assert block_shape(make_store("single", pca=8, shard="none")) > (32, 32)


@AS_FORKED
def test_workers_read_what_this_process_reads(patches: geoembz.Patches) -> None:
    """Two forked ones, each with half of the batches."""
    batches = list(patches.batches(8, workers=2))
    patches[batches[0]]  # the parent has the store open
    workers = set()
    for (worker, found), batch in zip(load(patches, batches, 2, "fork"), batches, strict=True):
        np.testing.assert_array_equal(found, patches[batch])
        workers.add(worker)
    assert workers == {0, 1}


@pytest.mark.slow
def test_workers_that_begin_anew(store: StoreReader) -> None:
    """Those get a pickle."""
    patches = geoembz.patches(store.url, 10)
    batches = list(patches.batches(8, workers=2))
    for (_, found), batch in zip(load(patches, batches, 2, "spawn"), batches, strict=True):
        np.testing.assert_array_equal(found, patches[batch])


def test_a_pickle_is_small(patches: geoembz.Patches) -> None:
    """What was read stays behind."""
    patches[0]
    before = len(pickle.dumps(patches))
    patches[:]
    assert len(pickle.dumps(patches)) == before
    again: Any = pickle.loads(pickle.dumps(patches))  # noqa: S301 - our own
    np.testing.assert_array_equal(again[:], patches[:])


@AS_FORKED
@pytest.mark.parametrize("workers", [0, 2])
def test_with_pytorch(store: StoreReader, workers: int) -> None:
    """Its own loader takes them in each of the three ways."""
    torch = pytest.importorskip("torch", reason="PyTorch is not installed")
    patches = geoembz.patches(store.url, 10, mask=True)
    loader = torch.utils.data.DataLoader
    batches = patches.batches(8, workers=workers)
    for stacked in (
        loader(patches, batch_size=None, sampler=batches, num_workers=workers),
        loader(patches, batch_sampler=batches, num_workers=workers),
        loader(patches, batch_size=8, sampler=patches.order(), num_workers=workers),
    ):
        every = torch.cat([vectors for vectors, _ in stacked])
        assert len(stacked) == len(batches)
        assert every.shape == (len(patches), 12, 10, 10)
        totals = sorted(every.sum(dim=(1, 2, 3)).tolist())
        expected = sorted(patches[:][0].sum(axis=(1, 2, 3), dtype=np.float32).tolist())
        np.testing.assert_allclose(totals, expected, rtol=1e-4, atol=1e-3)
