"""What killed commands leave in a finished store: it is published and verified without."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from geoembz._publish import copy_store, verify_against, verify_objects
from geoembz._verify import verify
from geoembz.errors import StoreError
from tests import forking
from tests.verification.kinds import KINDS

TOKEN = "0123456789abcdef" * 2
TAKE = """
import os, signal, sys
from geoembz._objects.tree import ObjectTree
from geoembz.store.lock import DestinationLock
DestinationLock(ObjectTree(sys.argv[1])).take()
os.kill(os.getpid(), signal.SIGKILL)
"""


def lock(pid: int) -> str:
    """Return a lock of this host that was renewed just now."""
    document = {"host": socket.gethostname(), "pid": pid, "time": time.time(), "token": TOKEN}
    return json.dumps(document)


def write(store: Path, *keys: str) -> None:
    """Leave objects below ``.geoembz``."""
    for key in keys:
        path = store / ".geoembz" / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")


def die_holding(store: Path) -> None:
    """Take the lock in a process that is killed."""
    assert forking.run(["-c", TAKE, str(store)]) == -signal.SIGKILL


LEFT: dict[str, Callable[[Path], None]] = {
    "the lock": die_holding,
    "the last word": lambda store: write(store, "complete.json", "shards/0_0.json", "plan.json"),
    "an empty build": lambda store: write(store, "complete.json", f"{TOKEN}/.geoembz/plan.json"),
    "what is half deleted": lambda store: write(store, f"{TOKEN}.gone/zarr.json"),
    "a draft": lambda store: write(store, "lock.json.1.partial"),
}


@pytest.mark.parametrize("left", LEFT)
@pytest.mark.parametrize("kind", ["dated", "grids"])
def test_debris_is_no_part_of_a_store(kind: str, left: str, tmp_path: Path) -> None:
    """Published without it; one note of `verify`, no problem; of a child store, too."""
    KINDS[kind](tmp_path, 1)
    store, target = tmp_path / "store.zarr", tmp_path / "there.zarr"
    within = next(store.glob("utm*")) if kind == "grids" else store
    LEFT[left](within)
    found = verify(str(store))
    assert found.problems == ()
    assert len(found.notes) == 1
    assert found.to_table().startswith(f"note: {within.relative_to(store) / '.geoembz'}: ")
    copy_store(str(store), str(target))
    assert not list(target.rglob(".geoembz*"))
    assert verify_objects(str(target)) == []
    assert verify_against(str(target), str(store)) == []
    assert verify(str(target)).notes == ()


WORKING: dict[str, tuple[str, ...]] = {
    "a plan": ("plan.json", "shards/0_0.json"),
    "a build": (f"{TOKEN}/zarr.json", f"{TOKEN}/.geoembz/plan.json"),
    "placing": (f"{TOKEN}/zarr.json", f"{TOKEN}/.geoembz/complete.json"),
    "copying": (f"{TOKEN}/zarr.json", "complete.json"),
}


@pytest.mark.parametrize("work", WORKING)
def test_what_is_not_ended_is_not_published(work: str, tmp_path: Path) -> None:
    """A store that is neither what it was nor what it will be has a problem; else it is a note."""
    KINDS["dated"](tmp_path, 1)
    store = tmp_path / "store.zarr"
    write(store, *WORKING[work])
    with pytest.raises(StoreError, match="is not complete, or being written to"):
        copy_store(str(store), str(tmp_path / "there.zarr"))
    found = verify(str(store))
    is_mixed = work in ("placing", "copying")
    assert [problem.key for problem in found.problems] == [".geoembz"] * is_mixed
    assert len(found.notes) == (not is_mixed)
    assert "run it again" in found.to_table()


@pytest.mark.parametrize(
    "content",
    [lambda: lock(os.getppid()), lambda: "{}", lambda: "torn"],  # a lock is stale after 10 minutes
    ids=["alive", "nothing said", "torn"],
)
def test_a_lock_that_may_be_alive(content: Callable[[], str], tmp_path: Path) -> None:
    """Its process runs, or it does not say which it is."""
    KINDS["dated"](tmp_path, 1)
    store = tmp_path / "store.zarr"
    write(store, "complete.json", "lock.json")
    (store / ".geoembz/lock.json").write_text(content())
    with pytest.raises(StoreError, match="is not complete, or being written to"):
        copy_store(str(store), str(tmp_path / "there.zarr"))
    assert verify(str(store)).notes == (".geoembz: another command writes there",)
