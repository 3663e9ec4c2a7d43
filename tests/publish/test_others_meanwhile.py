"""Other commands at work while a store is published: at its destination, or on the store itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

from geoembz._convert.append import append
from geoembz._publish import copy_store, verify_against, verify_objects
from geoembz._publish.manifest import digest
from geoembz._publish.tree import PublishedTree, open_tree
from geoembz._verify import verify
from geoembz.errors import DestinationExistsError, StoreError
from geoembz.store.journal import LOCK
from tests import products
from tests.publish.conftest import Server
from tests.publish.fault_proxy import Request, fault_proxy
from tests.publish.test_publish import IMPATIENT
from tests.verification.kinds import KINDS


@pytest.fixture(
    params=["local", "memory", "moto", pytest.param("gateway", marks=pytest.mark.server)]
)
def target(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return a destination on each kind of file system."""
    if request.param in ("moto", "gateway"):
        server: Server = request.getfixturevalue(request.param)
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        return f"s3://{server.bucket}/out.zarr"
    name = f"{tmp_path.name}/out.zarr"
    return f"memory://{name}" if request.param == "memory" else str(tmp_path / "there" / "out.zarr")


@pytest.fixture
def another(store: Path) -> Path:
    """Return another store of the same shape, whose documents have the same sizes."""
    path = Path(shutil.copytree(store, store.with_name("another.zarr")))
    array = zarr.open_array(path / "embedding", mode="r+")
    array[...] = -np.asarray(array[...])
    root = path / "zarr.json"
    root.write_bytes(root.read_bytes().replace(b"unknown", b"another"))
    return path


def at(moment: int, action: Callable[[], object]) -> Callable[[int, int], None]:
    """Return a progress that does something once, when so many objects are done."""
    seen: list[int] = []

    def progress(done: int, total: int) -> None:
        if not seen and done >= moment:
            seen.append(total)
            action()

    return progress


@pytest.mark.parametrize("moment", [1, 6])
def test_of_two_publishers_one_is_refused(
    store: Path, another: Path, target: str, moment: int
) -> None:
    """The second is told of the first, which ends; nothing of the second is there."""
    refused = []

    def second() -> None:
        with pytest.raises(DestinationExistsError, match="another command writes there"):
            copy_store(str(another), target, overwrite=True, workers=1)
        refused.append(True)

    copy_store(str(store), target, workers=1, progress=at(moment, second))
    assert refused
    assert verify_against(target, str(store)) == []
    assert LOCK not in open_tree(target).list()
    copy_store(str(another), target, overwrite=True)
    assert verify_against(target, str(another)) == []


@pytest.mark.parametrize("moment", [1, 2, 4, 6])
def test_a_publisher_whose_place_is_taken_ends(
    store: Path, another: Path, target: str, moment: int
) -> None:
    """With `break_lock` the second takes over: the first writes no further object, at no phase."""

    def second() -> None:
        copy_store(str(another), target, overwrite=True, workers=1, break_lock=True)

    with pytest.raises(StoreError, match=r"taken the destination over|writes there"):
        copy_store(str(store), target, workers=1, progress=at(moment, second))
    assert verify_against(target, str(another)) == []


def test_a_store_is_described_while_it_is_held(store: Path, another: Path, target: str) -> None:
    """Nobody else publishes meanwhile; whoever lost the destination describes nothing."""
    written: list[str] = []

    def describe(tree: PublishedTree) -> None:
        with pytest.raises(DestinationExistsError, match="another command writes there"):
            copy_store(str(another), target, overwrite=True)
        tree.beside().send("item.json", b"{}", digest(b"{}"))
        copy_store(str(another), target, overwrite=True, break_lock=True)
        written.append("item.json")
        tree.beside().send("collection.json", b"{}", digest(b"{}"))

    with pytest.raises(StoreError, match="taken the destination over"):
        copy_store(str(store), target, describe=describe)  # type: ignore[arg-type]
    assert written == ["item.json"]
    beside = open_tree(target).beside().list()
    assert "item.json" in beside
    assert "collection.json" not in beside
    assert verify_against(target, str(another)) == []


def test_another_store_with_a_root_of_the_same_size(
    store: Path, another: Path, target: str
) -> None:
    """It is another store although no listing tells."""
    assert len((store / "zarr.json").read_bytes()) == len((another / "zarr.json").read_bytes())
    copy_store(str(store), target)
    with pytest.raises(DestinationExistsError, match="another store"):
        copy_store(str(another), target)
    assert verify_against(target, str(store)) == []


@pytest.mark.parametrize("key", ["embedding/c/0/0/0", "embedding/c/0/7/7"])
def test_what_somebody_writes_without_the_lock_is_never_shown(
    store: Path, server: Server, key: str
) -> None:
    """An object that is exchanged or added is seen before the root is written."""
    url = f"s3://{server.bucket}/out.zarr"

    def write() -> None:
        server.put(f"out.zarr/{key}", b"another's")

    with pytest.raises(StoreError, match="something else writes there"):
        copy_store(
            str(store), url, endpoint_url=server.endpoint, workers=1, progress=at(5, write)
        )  # fmt: skip
    assert "out.zarr/zarr.json" not in server.list_keys()


def test_drafts_of_locks_are_nobody_s_objects(store: Path, tmp_path: Path) -> None:
    """Who asks for the place, and who renews its hold, has one for a moment: it disturbs nobody."""
    target = tmp_path / "there" / "out.zarr"

    def ask() -> None:
        (target / f"{LOCK}.0f1e2d.partial").write_bytes(b"{}")

    copy_store(str(store), str(target), workers=1, progress=at(5, ask))
    assert verify_objects(str(target)) == []


def test_what_is_written_with_the_root_hides_it_again(store: Path, server: Server) -> None:
    """The last check finds it; the root that the first check let through is removed."""

    def meddle(request: Request) -> None:
        if request.method == "PUT" and request.path.endswith("out.zarr/zarr.json"):
            server.put("out.zarr/embedding/c/0/0/0", b"another's")

    with fault_proxy(server.endpoint) as proxy:
        proxy.fault = meddle
        with pytest.raises(StoreError, match="something else writes there"):
            copy_store(
                str(store), f"s3://{server.bucket}/out.zarr", endpoint_url=proxy.url,
                policy=IMPATIENT,
            )  # fmt: skip
    assert "out.zarr/zarr.json" not in server.list_keys()
    assert "out.zarr/.geoembz/lock.json" not in server.list_keys()


@pytest.mark.parametrize("moment", [1, 20, 40])
def test_an_append_while_a_store_is_published(tmp_path: Path, moment: int) -> None:
    """The state that was there first is sent, or nothing is seen; later all of it is."""
    KINDS["dated"](tmp_path, 1)
    store, target = tmp_path / "store.zarr", tmp_path / "there.zarr"
    year = products.write_raster(
        tmp_path / "more.tif", products.unit_vectors(40, 48, 8, seed=7)
    )  # fmt: skip
    action = at(moment, lambda: append(store, year, time="2025"))
    with pytest.raises(StoreError, match="another command"):
        copy_store(str(store), str(target), workers=1, progress=action)
    assert not (target / "zarr.json").exists()
    copy_store(str(store), str(target), overwrite=True)
    assert verify(str(target), manifest=True).problems == ()
    assert verify_against(str(target), str(store)) == []


@pytest.mark.parametrize("name", ["zarr.json", ".geoembz/lock.json", "embedding/c/0/5/5"])
def test_a_store_without_digests_that_changes_meanwhile(
    store: Path, tmp_path: Path, name: str
) -> None:
    """Another root, a lock, or an object more: nothing is seen at the destination."""
    target = tmp_path / "there.zarr"

    def change() -> None:
        path = store / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes((path.read_bytes() if path.exists() else b"{}") + b" ")

    with pytest.raises(StoreError, match=r"was changed while|not complete"):
        copy_store(str(store), str(target), workers=1, progress=at(3, change))
    assert not (target / "zarr.json").exists()


@pytest.mark.parametrize(("damage", "message"), [("cut", "is not what"), ("lost", "is missing")])
def test_damaged_stores_are_not_published(tmp_path: Path, damage: str, message: str) -> None:
    """A store's digests tell before anybody reads it elsewhere."""
    KINDS["int4"](tmp_path, 1)
    store, target = tmp_path / "store.zarr", tmp_path / "there.zarr"
    shard = store / "embedding/c/0/0/0"
    content = shard.read_bytes()
    shard.write_bytes(content[:-1]) if damage == "cut" else shard.unlink()
    with pytest.raises(StoreError, match=rf"embedding/c/0/0/0 {message}"):
        copy_store(str(store), str(target))
    assert not (target / "zarr.json").exists()
    shard.write_bytes(content)
    copy_store(str(store), str(target))
    assert verify_objects(str(target)) == []
