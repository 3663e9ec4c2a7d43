"""Stores on a plain web server: compared with a manifest and with copies, and copied from."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.serving import serving
from geoembz._publish import copy_store, verify_objects
from geoembz._publish.manifest import manifest_name
from geoembz._publish.tree import open_tree
from geoembz._verify import verify
from geoembz.errors import StoreError
from geoembz.store.contents import recorded_digests
from tests.sources.serving import serving_apart
from tests.trees import files, objects
from tests.verification.kinds import KINDS

GOLDEN = Path(__file__).parents[2] / "spec" / "vectors" / "0.1"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is served."""
    return tmp_path_factory.mktemp("served")


@pytest.fixture(scope="module")
def address(folder: Path) -> Iterator[str]:
    """Serve the folder from a process of its own."""
    with serving_apart(folder) as url:
        yield url


@pytest.mark.parametrize("kind", ["dated", "grids", "unsharded", "table"])
def test_kinds_of_store(kind: str, folder: Path, address: str, tmp_path: Path) -> None:
    """`verify --manifest`, `--against` on either side, and `publish` from a web server."""
    KINDS[kind](tmp_path, 1)
    original, served = tmp_path / "store.zarr", folder / kind / "store.zarr"
    copy_store(str(original), str(served))
    url = f"{address}/{kind}/store.zarr"
    assert verify(url, manifest=True).problems == ()
    assert verify(url, against=str(original)).problems == ()
    assert verify(str(original), against=url).problems == ()
    copy_store(url, str(tmp_path / "back.zarr"))
    assert objects(tmp_path / "back.zarr") == objects(original)
    assert set(open_tree(url).list()) == set(objects(original))
    shard = next(path for path in files(served) if path.parts[-2].isdigit())
    shard.write_bytes(shard.read_bytes()[:-1] + b"?")
    found = verify_objects(url)
    assert [problem.key for problem in found] == [shard.relative_to(served).as_posix()]


@pytest.mark.parametrize("kind", ["grids", "table"])
def test_comparing_reads_nothing_twice(kind: str, tmp_path: Path) -> None:
    """What `verify` has read is compared with manifest or copy by its digest."""
    KINDS[kind](tmp_path, 1)
    original, served = tmp_path / "store.zarr", tmp_path / "served" / "store.zarr"
    copy_store(str(original), str(served))
    asked: list[Counter[str]] = []
    with serving(served.parent) as server:
        url = f"{server.url}/store.zarr"
        for manifest, against in ((False, None), (True, None), (False, original)):
            server.log.clear()
            assert verify(url, manifest=manifest, against=against).problems == ()
            asked.append(Counter(path for path, _, _ in server.log if _is_data(path)))
        assert sum(asked[0].values()) >= 4
        assert asked[1] == asked[2] == asked[0]
        shard = next(path for path in files(served) if _is_data(path.as_posix()))
        shard.write_bytes(shard.read_bytes()[:-1] + b"?")
        keys = {problem.key for problem in verify(url, manifest=True).problems}
        assert shard.relative_to(served).as_posix() in keys


def _is_data(path: str) -> bool:
    is_shard = "/embedding/c/" in path and "/digests/" not in path
    return is_shard or path.endswith(".parquet")


def test_stores_without_digests_are_listed_by_their_manifest(
    folder: Path, address: str, tmp_path: Path
) -> None:
    """Of format 0.1: what the manifest says; without one, the error says what is missing."""
    golden = next(path.parent for path in sorted(GOLDEN.rglob("zarr.json")))
    served = folder / "old.zarr"
    copy_store(str(golden), str(served))
    assert recorded_digests((served / "zarr.json").read_bytes(), str.encode) is None
    copy_store(f"{address}/old.zarr", str(tmp_path / "back.zarr"))
    assert objects(tmp_path / "back.zarr") == objects(golden)
    (folder / manifest_name("old.zarr")).unlink()
    with pytest.raises(StoreError, match=r"cannot be listed .*old\.zarr\.manifest\.json"):
        copy_store(f"{address}/old.zarr", str(tmp_path / "more.zarr"))


def test_web_servers_are_not_written_to(address: str, tmp_path: Path) -> None:
    """A destination that only reads is refused in words; so is a source that is not there."""
    KINDS["unsharded"](tmp_path, 1)
    with pytest.raises(StoreError, match="which only reads"):
        copy_store(str(tmp_path / "store.zarr"), f"{address}/new.zarr")
    with pytest.raises(StoreError, match=r"no zarr\.json"):
        copy_store(f"{address}/nothing.zarr", str(tmp_path / "copy.zarr"))
