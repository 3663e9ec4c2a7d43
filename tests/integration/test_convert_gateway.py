"""A conversion survives the death of the real gateway. Needs Ceph; skipped, saying so, without."""

from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._objects import faults
from geoembz.errors import StoreError
from tests.conversion.logged import SHARDS, convert_logged
from tests.integration.conftest import Gateway
from tests.publish.conftest import Server
from tests.remote.conftest import download, forget_clients
from tests.trees import objects

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.usefixtures("short_pauses")]


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2))])
def test_gateway_killed_while_converting(
    seed: int,
    raster_with_holes: Path,
    gateway: Gateway,
    bucket: Server,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """Killed after some shards: one error, no store; restarted, only the rest is done."""
    monkeypatch.setattr(faults, "ATTEMPTS", 2)
    point = int(np.random.default_rng(seed).integers(1, SHARDS - 4))
    url, log = f"s3://{bucket.bucket}/out.zarr", tmp_path / "log"

    def progress(done: int, _: int) -> None:
        if done == point:
            gateway.kill()

    with pytest.raises(StoreError, match="run the same command again"):
        convert_logged(raster_with_holes, url, log, workers=1, progress=progress)
    gateway.restart()
    forget_clients()
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(url)
    log.unlink()
    convert_logged(raster_with_holes, url, log)
    convert_logged(raster_with_holes, tmp_path / "local", tmp_path / "other")
    assert len(log.read_text().split()) == len((tmp_path / "other").read_text().split()) - point
    assert objects(download(bucket, "out.zarr", tmp_path / "copy")) == objects(tmp_path / "local")
