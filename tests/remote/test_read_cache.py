"""The cache on disk: what was read before is not fetched again, unless it has changed."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from benchmarks.proxy import passing_on
from benchmarks.serving import Served, Traffic, etag_of, serving
from geoembz._geo.grid import Window
from geoembz._objects.read_cache import ReadCache, cache_bytes, read_cache
from geoembz.errors import InvalidConfigError, MissingPackageError
from geoembz.store import StoreReader
from geoembz.store.open import _KnownArrays
from tests.products import unit_vectors, write_raster
from tests.publish.conftest import Server
from tests.remote.conftest import forget_clients

diskcache = pytest.importorskip("diskcache_community", reason="the extra `cache` is not installed")

SIDE, SHARDS, CHUNKS = 128, 4, 16
EVERYTHING = Window(0, 0, SIDE, SIDE)
READER = """
import sys
from geoembz._geo.grid import Window
from geoembz.store import StoreReader
print(StoreReader.open(sys.argv[1]).read_codes(Window(0, 0, 128, 128)).sum())
"""


@pytest.fixture(autouse=True)
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set up a cache for the test, and forget what this process has read."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GEOEMBZ_CACHE", str(folder))
    forget(monkeypatch)
    return folder


def forget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Begin as a new process does, with what is on the disk alone."""
    monkeypatch.setattr("geoembz.store.open._known", _KnownArrays())


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two stores of the same form, with other vectors, and one without shards."""
    folder = tmp_path_factory.mktemp("made")
    how: dict[str, Any] = {"recipe": "pca8-int8", "chunk": 32}
    for seed, name in enumerate(("one.zarr", "two.zarr")):
        raster = write_raster(folder / f"{seed}.tif", unit_vectors(SIDE, SIDE, 16, seed=seed))
        geoembz.convert(raster, folder / name, shard=64, **how)
    geoembz.convert(folder / "0.tif", folder / "plain.zarr", shard="none", **how)
    return folder


@pytest.fixture
def served(made: Path, tmp_path: Path) -> Iterator[Served]:
    (tmp_path / "www").mkdir()
    for name in ("one.zarr", "plain.zarr"):
        shutil.copytree(made / name, tmp_path / "www" / name)
    with serving(tmp_path / "www") as served:
        yield served


def read(served: Served, name: str, window: Window = EVERYTHING) -> tuple[np.ndarray, Traffic]:
    """Open a store and read it; return what came, and what that took without opening."""
    reader = StoreReader.open(f"{served.url}/{name}")
    before = served.traffic
    codes = reader.read_codes(window)
    return codes, served.traffic - before


def test_what_was_read_is_asked_for_once(
    served: Served, made: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then each shard is asked whether it has changed, and sends nothing."""
    first, taken = read(served, "one.zarr")
    assert taken.requests == 2 * SHARDS
    forget(monkeypatch)
    before = served.traffic
    again, taken = read(served, "one.zarr")
    assert taken == Traffic(SHARDS, 0)
    assert (served.traffic - before).requests == 1 + SHARDS, "the encoding is known by its hash"
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, StoreReader.open(made / "one.zarr").read_codes(EVERYTHING))


def test_other_windows_use_the_same_chunks(served: Served) -> None:
    """Chunks are kept singly, whatever request they came by."""
    read(served, "one.zarr", Window(0, 0, 64, 64))
    _, taken = read(served, "one.zarr", Window(32, 32, 64, 64))
    whole = sum(
        path.stat().st_size for path in (served.folder / "one.zarr").glob("embedding/c/*/*/*")
    )
    assert taken.requests == SHARDS + 3
    assert taken.size_bytes < 0.3 * whole


def test_a_reader_asks_again_each_time(served: Served) -> None:
    """Its index is kept, and all its chunks: one request a shard says that they still hold."""
    reader = StoreReader.open(f"{served.url}/one.zarr")
    reader.read_codes(EVERYTHING)
    for _ in range(2):
        before = served.traffic
        reader.read_codes(EVERYTHING)
        assert served.traffic - before == Traffic(SHARDS, 0)


def test_objects_without_an_index(served: Served) -> None:
    _, taken = read(served, "plain.zarr")
    assert taken.requests == CHUNKS
    _, taken = read(served, "plain.zarr")
    assert taken.requests == CHUNKS


@pytest.mark.parametrize("is_open", [False, True], ids=["opened anew", "open all the time"])
def test_nothing_is_of_a_former_version(
    served: Served, made: Path, monkeypatch: pytest.MonkeyPatch, is_open: bool
) -> None:
    """One shard is replaced on the server: its chunks come from there, the others' do not."""
    url = f"{served.url}/one.zarr"
    reader = StoreReader.open(url)
    old = reader.read_codes(EVERYTHING)
    key = "embedding/c/0/1/1"
    shard, tag = served.folder / "one.zarr" / key, etag_of(served.folder / "one.zarr" / key)
    shutil.copy(made / "two.zarr" / key, shard)
    os.utime(shard, ns=(1, 1))
    assert etag_of(shard) != tag
    if not is_open:
        forget(monkeypatch)
        reader = StoreReader.open(url)
    before = served.traffic
    found = reader.read_codes(EVERYTHING)
    assert (served.traffic - before).requests <= SHARDS + 3
    expected = old.copy()
    expected[:, 64:, 64:] = StoreReader.open(made / "two.zarr").read_codes(Window(64, 64, 64, 64))
    np.testing.assert_array_equal(found, expected)
    assert (found != old).any()


def test_a_deleted_object_is_not_there(served: Served) -> None:
    """Even if the cache has all of it."""
    read(served, "one.zarr")
    (served.folder / "one.zarr" / "embedding/c/0/1/1").unlink()
    with pytest.raises(geoembz.GeoembzError, match="embedding/c/0/1/1"):
        read(served, "one.zarr")


def test_damaged_entries_are_read_anew(
    served: Served, cache_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Cut, changed, or gone: what the server has comes."""
    first, _ = read(served, "one.zarr")
    files = sorted(cache_folder.rglob("*.val"), key=lambda path: path.stat().st_size)
    assert len(files) >= CHUNKS
    cut, changed, gone = files[-3:]
    cut.write_bytes(cut.read_bytes()[:-1])
    content = bytearray(changed.read_bytes())
    content[100] ^= 1
    changed.write_bytes(content)
    gone.unlink()
    again, taken = read(served, "one.zarr")
    np.testing.assert_array_equal(first, again)
    assert SHARDS < taken.requests <= SHARDS + 3
    assert "damaged" in caplog.text
    _, taken = read(served, "one.zarr")
    assert taken.requests == SHARDS, "and was put back"


def test_the_limit_is_held(
    served: Served, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was used longest ago goes; what is too large is not kept."""
    monkeypatch.setenv("GEOEMBZ_CACHE_SIZE", "1MB")
    cache = read_cache()
    assert cache is not None
    for number in range(40):
        cache.put(f"entry {number}", bytes(50_000))
        assert cache.get("entry 0") is not None, "it is used all the time"
    cache.put("large", bytes(200_000))
    assert cache.get("large") is None
    assert cache.get("entry 1") is None
    assert cache.get("entry 39") is not None
    assert sum(path.stat().st_size for path in cache_folder.rglob("*.val")) <= 1_100_000


@pytest.mark.slow
def test_two_processes_share_it(served: Served) -> None:
    """At the same time, and one after the other; both read the same."""
    command = [sys.executable, "-c", READER, f"{served.url}/one.zarr"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(2)]
    said = [process.communicate()[0] for process in running]
    assert [process.returncode for process in running] == [0, 0]
    before = served.traffic
    said.append(subprocess.run(command, capture_output=True, check=True).stdout)
    assert len(set(said)) == 1
    assert (served.traffic - before).requests == 1 + SHARDS


def test_what_is_no_entry_is_not_believed(cache_folder: Path) -> None:
    """Somebody else's pickle is not even looked into."""
    cache = read_cache()
    assert cache is not None
    cache.put("name", b"content")
    foreign = diskcache.Cache(str(cache_folder))
    (key,) = foreign
    foreign[key] = {"not": "bytes"}
    assert cache.get("name") is None


def test_explain_tells_of_it(served: Served) -> None:
    """Beside what was asked of the server, and not in its sum."""
    read(served, "one.zarr")
    before = served.traffic
    with geoembz.explain() as report:
        read(served, "one.zarr")
    taken = served.traffic - before
    assert (report.requests, report.bytes) == (taken.requests, taken.size_bytes)
    assert report.stages["cache"].requests >= CHUNKS
    assert "chunks" not in report.stages


def test_s3_answers_whether_it_has_changed(
    made: Path, bucket: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    geoembz.publish(made / "one.zarr", f"s3://{bucket.bucket}/cached")
    with passing_on(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget_clients()
        url = f"s3://{bucket.bucket}/cached"
        first = StoreReader.open(url).read_codes(EVERYTHING)
        forget(monkeypatch)
        before = proxy.traffic
        again = StoreReader.open(url).read_codes(EVERYTHING)
        taken = proxy.traffic - before
    forget_clients()
    assert taken.requests == 1 + SHARDS
    assert taken.size_bytes == len(bucket.get("cached/zarr.json"))
    np.testing.assert_array_equal(first, again)


def test_without_a_setting_there_is_none(
    served: Served, cache_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GEOEMBZ_CACHE")
    assert read_cache() is None
    read(served, "one.zarr")
    _, taken = read(served, "one.zarr")
    assert taken.requests == 2 * SHARDS
    assert not cache_folder.exists()


@pytest.mark.parametrize(
    ("text", "size"),
    [("", 10**10), ("500MB", 5 * 10**8), ("1.5 GB", 15 * 10**8), ("2000000", 2 * 10**6)],
)
def test_sizes(text: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOEMBZ_CACHE_SIZE", text)
    assert cache_bytes() == size


@pytest.mark.parametrize("text", ["much", "-1", "10 KB", "1e9", "100"])
def test_what_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEOEMBZ_CACHE_SIZE", text)
    with pytest.raises(InvalidConfigError, match=f"GEOEMBZ_CACHE_SIZE={text}: expected a size"):
        cache_bytes()


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidConfigError, match=r"GEOEMBZ_CACHE=.*expected a folder"):
        ReadCache(str(tmp_path / "file"), 10**6)


def test_a_missing_package_is_named(
    cache_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "diskcache_community", None)
    with pytest.raises(MissingPackageError, match=r"pip install 'geoembz\[cache\]'"):
        ReadCache(str(cache_folder), 10**6)
