"""A conversion survives the death of the real gateway. Needs Ceph; skipped, saying so, without."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz.errors import StoreError
from geoembz.store import remote
from tests.conversion.logged import SHARDS, convert_logged
from tests.integration.test_publish_gateway import kill_gateway
from tests.publish.conftest import SCRIPT, Server
from tests.remote.conftest import download, forget_clients
from tests.trees import objects

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("server", ["gateway"], indirect=True)
def test_gateway_killed_while_converting(
    seed: int,
    raster_with_holes: Path,
    bucket: Server,
    gateway_directory: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Killed after some shards: one error, no store; restarted, only the rest is done."""
    if bucket.kind != "gateway":
        pytest.skip("Ceph's gateway cannot be installed here")
    monkeypatch.setattr(remote, "_ATTEMPTS", 2)
    point = int(np.random.default_rng(seed).integers(1, SHARDS - 4))
    url, log = f"s3://{bucket.bucket}/out.zarr", tmp_path / "log"

    def progress(done: int, _: int) -> None:
        if done == point:
            kill_gateway(gateway_directory)

    forget_clients()
    with pytest.raises(StoreError, match="run the same command again"):
        convert_logged(raster_with_holes, url, log, workers=1, progress=progress)
    subprocess.run(
        ["bash", str(SCRIPT), "start", gateway_directory], check=True, capture_output=True
    )
    forget_clients()
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(url)
    log.unlink()
    convert_logged(raster_with_holes, url, log)
    convert_logged(raster_with_holes, tmp_path / "local", tmp_path / "other")
    assert len(log.read_text().split()) == len((tmp_path / "other").read_text().split()) - point
    assert objects(download(bucket, "out.zarr", tmp_path / "copy")) == objects(tmp_path / "local")
