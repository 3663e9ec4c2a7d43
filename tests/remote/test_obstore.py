"""Parts of objects in S3 through obstore: the same bytes, versions and errors as through s3fs."""

import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import geoembz
from benchmarks.proxy import passing_on
from geoembz._geo.grid import Window
from geoembz._objects import obstore_parts
from geoembz.errors import GeoembzError, InvalidConfigError
from geoembz.store import StoreReader
from tests.products import unit_vectors, write_raster
from tests.publish.conftest import Server, _client
from tests.remote.conftest import forget_clients

SIDE, SHARDS = 128, 4
EVERYTHING = Window(0, 0, SIDE, SIDE)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("obstore")
    raster = write_raster(folder / "a.tif", unit_vectors(SIDE, SIDE, 16))
    geoembz.convert(raster, folder / "s.zarr", recipe="pca8-int8", chunk=32, shard=64)
    return folder / "s.zarr"


@pytest.fixture
def published(store: Path, bucket: Server, monkeypatch: pytest.MonkeyPatch) -> tuple[Server, str]:
    pytest.importorskip("obstore", reason="the extra `obstore` is not installed")
    geoembz.publish(store, f"s3://{bucket.bucket}/parts", stac=False)
    monkeypatch.setenv("GEOEMBZ_S3", "obstore")
    return bucket, f"s3://{bucket.bucket}/parts"


def test_it_reads_the_same_with_as_many_requests(
    published: tuple[Server, str],
    store: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """None of which goes to s3fs, as `explain` and the server count them."""
    server, url = published
    caplog.set_level(logging.INFO, "geoembz.obstore")
    with passing_on(server.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget_clients()
        reader = StoreReader.open(url)
        before = proxy.traffic
        with geoembz.explain() as report:
            codes = reader.read_codes(EVERYTHING)
        taken = proxy.traffic - before
    forget_clients()
    np.testing.assert_array_equal(codes, StoreReader.open(store).read_codes(EVERYTHING))
    assert taken.requests == 2 * SHARDS
    assert (report.requests, report.bytes) == (taken.requests, taken.size_bytes)
    assert "s3fs is asked" not in caplog.text


def test_a_lost_object_is_missed(published: tuple[Server, str]) -> None:
    server, url = published
    key = "parts/embedding/c/0/1/1"
    _client(server.endpoint).delete_object(Bucket=server.bucket, Key=key)
    with pytest.raises(GeoembzError, match="embedding/c/0/1/1"):
        StoreReader.open(url).read_codes(EVERYTHING)


def test_a_replaced_object_is_read_anew(published: tuple[Server, str], store: Path) -> None:
    """Its version is told, so the index that is kept is seen to be of a former one."""
    server, url = published
    reader = StoreReader.open(url)
    reader.read_codes(EVERYTHING)
    other = (store / "embedding/c/0/0/0").read_bytes()
    server.put("parts/embedding/c/0/1/1", other)
    found = reader.read_codes(Window(64, 64, 64, 64))
    expected = StoreReader.open(store).read_codes(Window(0, 0, 64, 64))
    np.testing.assert_array_equal(found, expected)


def test_errors_are_those_of_s3fs(
    published: tuple[Server, str],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """What fails is asked for by s3fs, which says what it is; here it succeeds."""
    caplog.set_level(logging.INFO, "geoembz.obstore")
    _, url = published
    reader = StoreReader.open(url)
    monkeypatch.setattr(obstore_parts, "_client", lambda *_: "no client")
    assert reader.read_codes(Window(0, 0, 1, 1)).size
    assert "so s3fs is asked" in caplog.text


def test_a_fork_goes_through_s3fs(
    published: tuple[Server, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The threads of obstore stay behind: a child would wait for them forever."""
    monkeypatch.setattr(obstore_parts, "_first_process", [-1])
    monkeypatch.setattr(obstore_parts, "_client", None)
    assert StoreReader.open(published[1]).read_codes(Window(0, 0, 1, 1)).size


def test_other_names_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not obstore_parts.is_chosen()
    monkeypatch.setenv("GEOEMBZ_S3", "boto")
    with pytest.raises(InvalidConfigError, match="GEOEMBZ_S3=boto: expected s3fs or obstore"):
        obstore_parts.is_chosen()


@pytest.mark.slow
def test_the_benchmark_of_transports_runs(bucket: Server, tmp_path: Path) -> None:
    """Tiny, and judging nothing; each way reads the same codes, or it fails."""
    command = [sys.executable, "-m", "benchmarks.transports", "--smoke", "--out", str(tmp_path)]
    subprocess.run(command, check=True, capture_output=True)
    assert "ours, s3fs" in (tmp_path / "transports.csv").read_text()
