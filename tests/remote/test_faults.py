"""Conversions into a bucket whose server fails for a while, or for good."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._objects import faults, stores
from geoembz.errors import StoreError
from tests.conversion.logged import SHARDS, convert_logged
from tests.publish.conftest import Server
from tests.publish.fault_proxy import STALL_S, Proxy, Request, fault_proxy
from tests.remote.conftest import download, forget_clients
from tests.trees import objects

pytestmark = [
    pytest.mark.slow,
    pytest.mark.usefixtures("short_pauses"),
    pytest.mark.parametrize("server", ["moto"], indirect=True),
]

STORM_REQUESTS = 6


@pytest.fixture
def proxy(bucket: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Put a proxy before the server, and be less patient than we are by default."""
    with fault_proxy(bucket.endpoint) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        monkeypatch.setattr(stores, "_READ_SECONDS", STALL_S / 3)
        forget_clients()
        yield made
        forget_clients()


@pytest.mark.parametrize(
    ("fault", "seed"),
    [
        ("SlowDown", 0),
        pytest.param("SlowDown", 1, marks=pytest.mark.long),
        ("InternalError", 2),
        ("drop", 3),
        pytest.param("drop", 4, marks=pytest.mark.long),
        ("stall", 5),
    ],
)
def test_a_storm_is_ridden_out(
    fault: str, seed: int, raster_with_holes: Path, bucket: Server, proxy: Proxy, tmp_path: Path
) -> None:
    """A run of requests fails, wherever it begins; the store is that of a quiet day."""
    begin = int(np.random.default_rng(seed).integers(5, 2 * SHARDS))
    proxy.fault = lambda request: fault if 0 <= request.number - begin < STORM_REQUESTS else None
    url = f"s3://{bucket.bucket}/out.zarr"
    convert_logged(raster_with_holes, url, tmp_path / "log")
    assert len(proxy.requests) > begin + STORM_REQUESTS
    convert_logged(raster_with_holes, tmp_path / "local", tmp_path / "other")
    assert objects(download(bucket, "out.zarr", tmp_path / "copy")) == objects(tmp_path / "local")
    assert sorted((tmp_path / "log").read_text()) == sorted((tmp_path / "other").read_text())


@pytest.mark.parametrize(("fault", "seed"), [("SlowDown", 0), ("drop", 1)])
def test_a_server_that_never_recovers(
    fault: str,
    seed: int,
    raster_with_holes: Path,
    bucket: Server,
    proxy: Proxy,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """After bounded patience one error, and no store; later the same command does the rest."""
    monkeypatch.setattr(faults, "ATTEMPTS", 2)
    forget_clients()
    point = int(np.random.default_rng(10 + seed).integers(3, SHARDS - 4))
    recorded: list[str] = []

    def fail(request: Request) -> str | None:
        if request.method == "PUT" and "/.geoembz/shards/" in request.path:
            recorded.append(request.path)
        return fault if len(recorded) > point else None

    proxy.fault = fail
    url, log = f"s3://{bucket.bucket}/out.zarr", tmp_path / "log"
    with pytest.raises(StoreError, match="run the same command again"):
        convert_logged(raster_with_holes, url, log, workers=2)
    proxy.fault = lambda _: None
    keys = bucket.list_keys()
    assert not [key for key in keys if key.endswith("out.zarr/zarr.json")]
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(url)
    prefix = "out.zarr/.geoembz/shards/"
    done = {key.removeprefix(prefix).removesuffix(".json") for key in keys if prefix in key}
    assert len(done) == point
    log.unlink()
    forget_clients()
    convert_logged(raster_with_holes, url, log)
    assert done.isdisjoint(log.read_text().split())
    convert_logged(raster_with_holes, tmp_path / "local", tmp_path / "other")
    assert objects(download(bucket, "out.zarr", tmp_path / "copy")) == objects(tmp_path / "local")
