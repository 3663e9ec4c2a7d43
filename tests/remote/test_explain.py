"""`geoembz.explain` and `--explain`: what reading takes is counted, as the server counts it."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator

import numpy as np
import pytest
import typer

import geoembz
from benchmarks.proxy import passing_on
from benchmarks.serving import Served, Traffic, serving
from geoembz._cli import main
from geoembz._cli.app import app
from geoembz._geo.grid import Window
from geoembz._objects import explain as explaining
from geoembz._objects.explain import Explanation
from geoembz.store import StoreReader
from geoembz.store.open import _KnownArrays
from tests.products import unit_vectors, write_raster
from tests.publish.conftest import Server
from tests.remote.conftest import forget_clients

SIDE = 128
EVERYTHING = Window(0, 0, SIDE, SIDE)
READING = {
    "check seams", "export", "index", "info", "map change", "map classify", "map cluster",
    "map regress", "map similar", "preview", "sample", "search", "verify",
}  # fmt: skip


@pytest.fixture(autouse=True)
def unknown_encodings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every test read the encodings anew."""
    monkeypatch.setattr("geoembz.store.open._known", _KnownArrays())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serve a store of 2 x 2 shards, of 2 x 2 chunks each, whose codes know no nodata."""
    folder = tmp_path_factory.mktemp("explain")
    raster = write_raster(folder / "a.tif", unit_vectors(SIDE, SIDE, 16))
    geoembz.convert(raster, folder / "s.zarr", recipe="pca8-int8", chunk=32, shard=64)
    with serving(folder) as served:
        yield served


def total(report: Explanation) -> Traffic:
    return Traffic(report.requests, report.bytes)


def run(words: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert not ended.value.code


def test_a_web_server_counts_the_same(served: Served) -> None:
    """Opened and read once: each request in its stage."""
    before = served.traffic
    with geoembz.explain() as report:
        StoreReader.open(f"{served.url}/s.zarr").read(EVERYTHING, "original")
    assert total(report) == served.traffic - before
    assert report.stages["index"].requests == report.stages["chunks"].requests == 4
    assert report.stages["index"].bytes == 4 * (16 * 4 + 4)
    assert report.requests - 8 == report.stages["open"].requests <= 6
    assert {"decompress", "decode"} < report.stages.keys()
    assert report.stages["decode"].requests == 0
    assert all(0 < cost.seconds <= report.seconds for cost in report.stages.values())


def test_threads_are_counted(served: Served) -> None:
    """Of this block, whoever runs them; nothing after it."""
    reader = StoreReader.open(f"{served.url}/s.zarr")
    before = served.traffic
    with geoembz.explain() as report:
        threads = [
            threading.Thread(target=reader.read_codes, args=(Window(row, 0, 32, 32),))
            for row in (0, 32, 64, 96)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert total(report) == served.traffic - before
    assert report.requests == 2 + 4
    found = total(report)
    reader.read_codes(EVERYTHING)
    assert total(report) == found
    assert explaining._listening == ()


def test_blocks_may_lie_in_each_other(served: Served) -> None:
    reader = StoreReader.open(f"{served.url}/s.zarr")
    with geoembz.explain() as outer:
        reader.read_codes(Window(0, 0, 1, 1))
        with geoembz.explain() as inner:
            reader.read_codes(Window(64, 64, 1, 1))
    assert (outer.requests, inner.requests) == (4, 2)


def test_a_local_store_counts_reads_of_files(served: Served) -> None:
    store = served.folder / "s.zarr"
    with geoembz.explain() as report:
        StoreReader.open(store).read_codes(EVERYTHING)
    shards = [path.stat().st_size for path in store.glob("embedding/c/*/*/*")]
    assert report.stages["index"].requests == 4
    assert report.stages["chunks"].requests == 16
    assert report.stages["index"].bytes + report.stages["chunks"].bytes == sum(shards)
    assert report.stages["open"].bytes > (store / "zarr.json").stat().st_size


def test_verify_reads_each_object(served: Served) -> None:
    """Those whose digests are compared count as `digests`."""
    store = served.folder / "s.zarr"
    with geoembz.explain() as report:
        assert not geoembz.verify(store).problems
    shards = [path.stat().st_size for path in store.glob("embedding/c/*/*/*")]
    assert report.stages["digests"].bytes >= sum(shards)


def test_an_encoding_is_read_once(served: Served) -> None:
    """Opened again, only the root's document is asked for; its hash says whose arrays are meant."""
    StoreReader.open(f"{served.url}/s.zarr")
    with geoembz.explain() as report:
        again = StoreReader.open(f"{served.url}/s.zarr")
    assert report.requests == 1
    here = StoreReader.open(served.folder / "s.zarr")
    np.testing.assert_array_equal(
        again.read(EVERYTHING, "original"), here.read(EVERYTHING, "original")
    )


@pytest.mark.slow
def test_a_command_ends_in_silence(served: Served) -> None:
    """Connections are closed at the end; aiohttp would complain of those that are not."""
    command = [sys.executable, "-m", "geoembz", "info", f"{served.url}/s.zarr", "--quiet"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""


def test_search_computes(served: Served) -> None:
    with geoembz.explain() as report:
        geoembz.search(f"{served.url}/s.zarr", np.ones(16, np.float32))
    assert report.stages["compute"].seconds > 0


def test_s3_counts_the_same(
    served: Served, bucket: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a proxy does between botocore and the server."""
    geoembz.publish(served.folder / "s.zarr", f"s3://{bucket.bucket}/explained")
    with passing_on(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget_clients()
        before = proxy.traffic
        with geoembz.explain() as report:
            reader = StoreReader.open(f"s3://{bucket.bucket}/explained")
            reader.read_codes(EVERYTHING)
        assert total(report) == proxy.traffic - before
    assert report.stages["index"].requests == report.stages["chunks"].requests == 4
    forget_clients()


def test_the_command_prints_it(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """After the answer, beside it; with `--json` in it."""
    words = ["search", f"{served.url}/s.zarr", "--point", "9.004,47.85", "--explain"]
    run(words)
    capsys.readouterr()
    before = served.traffic
    run([*words, "--json"])
    taken = served.traffic - before
    answer = json.loads(capsys.readouterr().out)
    found = answer.pop("explain")
    assert (found["requests"], found["bytes"]) == (taken.requests, taken.size_bytes)
    assert sum(stage["requests"] for stage in found["stages"].values()) == taken.requests
    run(words)
    printed = capsys.readouterr()
    (row,) = [line.split() for line in printed.err.splitlines() if line.startswith("all")]
    assert row[1:3] == [f"{taken.requests:,}", f"{taken.size_bytes:,}"]
    assert "chunks" not in printed.out
    run(words[:-1])
    assert not capsys.readouterr().err


def test_commands_that_read_have_it() -> None:
    def flags(group: object, name: str = "") -> Iterator[str]:
        for each, command in vars(group).get("commands", {}).items():
            yield from flags(command, f"{name} {each}".strip())
        if any("--explain" in parameter.opts for parameter in vars(group)["params"]):
            yield name

    assert set(flags(typer.main.get_command(app))) == READING


def test_it_is_printed_as_a_table_and_in_notebooks() -> None:
    with geoembz.explain() as report, explaining.stage("index"):
        explaining.count(1234)
    heading, index, whole = str(report).splitlines()
    assert heading.split() == ["stage", "requests", "bytes", "seconds"]
    assert index.split()[:3] == ["index", "1", "1,234"]
    assert whole.split()[:3] == ["all", "1", "1,234"]
    assert "1,234" in report._repr_html_()


def test_nothing_is_kept_where_nobody_listens() -> None:
    """One object stands for every stage then."""
    assert explaining.stage("index") is explaining.stage("chunks")
