"""Ctrl-C while the server does not answer: the command ends, and the same one goes on."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

import geoembz
from tests.forking import Forked
from tests.publish.conftest import Server
from tests.publish.fault_proxy import Request, fault_proxy
from tests.remote.conftest import download, forget_clients
from tests.trees import objects

WORDS = ("--pca", "5", "--chunk", "8", "--shard", "16", "--quiet")


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_does_not_wait_for_the_server(
    presses: int, raster: Path, bucket: Server, tmp_path: Path
) -> None:
    """Shards are on their way and nothing comes back; a second one waits for nothing at all."""
    asked, over = threading.Event(), threading.Event()

    def silent(request: Request) -> str | None:
        if request.method != "PUT" or "/embedding/c/" not in request.path or over.is_set():
            return None
        asked.set()
        over.wait(60)
        return "drop"

    url = f"s3://{bucket.bucket}/out.zarr"
    with fault_proxy(bucket.endpoint) as proxy:
        proxy.fault = silent
        with (tmp_path / "said").open("wb") as errors:
            process = Forked(
                ["-m", "geoembz", "convert", str(raster), url, *WORDS],
                env={**os.environ, "AWS_ENDPOINT_URL": proxy.url},
                stderr=errors,
            )
        try:
            assert asked.wait(60)
            for _ in range(presses):
                time.sleep(0.4)
                began = time.monotonic()
                process.send_signal(signal.SIGINT)
            process.wait(30)
            assert time.monotonic() - began < (4 if presses == 1 else 0.8)
            assert process.returncode == 130
            said = (tmp_path / "said").read_text()
            assert said.count("\n") == 1
            assert "run the same command again" in said
        finally:
            process.kill()
            process.wait()
            over.set()
    if presses == 2:
        return
    forget_clients()
    geoembz.convert(raster, url, pca=5, chunk=8, shard=16)
    geoembz.convert(raster, tmp_path / "fresh", pca=5, chunk=8, shard=16)
    assert objects(download(bucket, "out.zarr", tmp_path / "copy")) == objects(tmp_path / "fresh")
