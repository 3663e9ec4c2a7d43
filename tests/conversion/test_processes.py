"""Several processes and one destination: one at a time, and nothing lost to kill -9."""

import json
import os
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._objects.tree import ObjectTree
from geoembz.errors import DestinationExistsError, StoreError
from geoembz.store.journal import LOCK
from geoembz.store.lock import STALE_SECONDS, DestinationLock, is_stale
from tests.forking import Forked
from tests.trees import objects

OPTIONS: dict[str, Any] = {"pca": 5, "chunk": 8, "shard": 16, "workers": 1}
SHARDS = 12

SLOW = """
import sys, time, geoembz
from geoembz._convert.shard_task import ShardTask
convert_shard = ShardTask.__call__
def slowly(task, shard):
    time.sleep(float(sys.argv[3]))
    return convert_shard(task, shard)
ShardTask.__call__ = slowly
geoembz.convert(sys.argv[1], sys.argv[2], pca=5, chunk=8, shard=16, workers=1)
"""


def start(raster: Path, store: Path, pause_s: float) -> Forked:
    """Convert in another process that pauses before each shard; return once it has the lock."""
    process = Forked(["-c", SLOW, str(raster), str(store), str(pause_s)])
    while not (store / LOCK).exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def kill(process: Forked) -> None:
    """Kill a process that we started, as an operator would: -9."""
    process.kill()
    process.wait()


def test_a_second_converter_is_refused_until_the_first_dies(raster: Path, tmp_path: Path) -> None:
    """While it lives the destination is its own; killed, its lock is stale at once."""
    geoembz.convert(raster, tmp_path / "whole", **OPTIONS)
    first = start(raster, tmp_path / "out", 60)
    try:
        with pytest.raises(DestinationExistsError, match=f"process {first.pid}"):
            geoembz.convert(raster, tmp_path / "out", **OPTIONS)
        assert (tmp_path / "out" / LOCK).exists()
    finally:
        kill(first)
    geoembz.convert(raster, tmp_path / "out", **OPTIONS)
    assert objects(tmp_path / "out") == objects(tmp_path / "whole")


def test_locks_go_stale(tmp_path: Path) -> None:
    """A dead process here, or ten silent minutes anywhere; nothing else."""
    with DestinationLock(ObjectTree(tmp_path)):
        here = json.loads((tmp_path / LOCK).read_text())
        assert not is_stale(here)
    assert is_stale(here), "released, though it could not be removed"
    assert not is_stale({**here, "pid": os.getppid()})
    ended = Forked(["-c", ""])
    ended.wait()
    assert is_stale({**here, "pid": ended.pid})
    assert not is_stale({**here, "pid": ended.pid, "host": "another"})
    assert is_stale({**here, "host": "another", "time": time.time() - STALE_SECONDS - 1})
    assert is_stale({})


def test_a_lock_is_released_by_its_owner_only(tmp_path: Path) -> None:
    """Whoever lost the lock to another leaves the other's alone."""
    tree = ObjectTree(tmp_path)
    with DestinationLock(tree):
        other = {**json.loads((tmp_path / LOCK).read_text()), "token": "other"}
        tree.write_json(LOCK, other)
    assert tree.read_json(LOCK) == other


def test_a_lock_can_be_broken(raster: Path, tmp_path: Path) -> None:
    """On demand, whoever holds it; who held it finds out before the next shard, and stops."""
    first = DestinationLock(ObjectTree(tmp_path / "out"))
    with first:
        document = json.loads((tmp_path / "out" / LOCK).read_text())
        ObjectTree(tmp_path / "out").write_json(LOCK, {**document, "host": "another"})
        with pytest.raises(DestinationExistsError, match=r"on another.*break_lock=True"):
            geoembz.convert(raster, tmp_path / "out", **OPTIONS)
        geoembz.convert(raster, tmp_path / "out", break_lock=True, **OPTIONS)
        with pytest.raises(StoreError, match="no lock is there"):
            first.fence.check()
    assert not (tmp_path / "out" / ".geoembz").exists()


def test_the_loser_of_a_lock_stops(tmp_path: Path) -> None:
    """Its fence names who has the destination now."""
    tree = ObjectTree(tmp_path)
    with DestinationLock(tree) as first, DestinationLock(tree, breaks=True) as second:
        second.fence.check()
        with pytest.raises(StoreError, match=rf"process {os.getpid()}.*taken the destination over"):
            first.fence.check()
    assert not (tmp_path / LOCK).exists()


def test_of_many_who_start_at_once_one_holds_the_lock(tmp_path: Path) -> None:
    """Creation is exclusive: no two believe that the destination is theirs."""
    tree = ObjectTree(tmp_path)
    start, holders = threading.Barrier(8), []

    def compete() -> None:
        lock = DestinationLock(tree)
        start.wait()
        try:
            lock.take()
        except DestinationExistsError:
            return
        holders.append(lock)

    threads = [threading.Thread(target=compete) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(holders) == 1
    holders[0].fence.check()
    holders[0].release()


def test_a_lock_that_was_just_made_is_not_taken_for_one_left_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thread that sees another's lock before that one has read it back leaves it alone."""
    tree, create = ObjectTree(tmp_path), ObjectTree.create
    rivals: list[DestinationLock] = []

    def interrupted(self: ObjectTree, key: str, content: bytes) -> bool:
        made = create(self, key, content)
        if not rivals:
            rivals.append(DestinationLock(tree))
            with pytest.raises(DestinationExistsError):
                rivals[0].take()
        return made

    monkeypatch.setattr(ObjectTree, "create", interrupted)
    lock = DestinationLock(tree)
    lock.take()
    lock.fence.check()
    assert len(rivals) == 1


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_random_moments(seed: int, raster_with_holes: Path, tmp_path: Path) -> None:
    """Kill -9 again and again, then run to the end: the same bytes, nothing else."""
    geoembz.convert(raster_with_holes, tmp_path / "whole", **OPTIONS)
    rng = np.random.default_rng(seed)
    for _ in range(3):
        process = start(raster_with_holes, tmp_path / "out", 0.05)
        time.sleep(rng.uniform(0, 0.05 * SHARDS / 2))
        kill(process)
        if (tmp_path / "out" / "zarr.json").exists():
            break
    if not (tmp_path / "out" / "zarr.json").exists() or (tmp_path / "out" / ".geoembz").exists():
        geoembz.convert(raster_with_holes, tmp_path / "out", **OPTIONS)
    assert objects(tmp_path / "out") == objects(tmp_path / "whole")
