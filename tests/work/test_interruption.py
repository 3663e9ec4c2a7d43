"""Ctrl-C ends what reads on a cluster, whatever its workers wait for."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

import geoembz
from benchmarks.serving import RangeHandler, serving
from tests.conftest import MakeRaster

PATIENCE_S = 60.0

COMMANDS = {
    "search": ["search", "STORE", "--vector", "query.npy"],
    "verify": ["verify", "STORE"],
    "sample": ["sample", "STORE", "points.csv", "--crs", "EPSG:32632"],
}


class Stalling(RangeHandler):
    """Tells that somebody asks for codes, and does not answer."""

    asked: ClassVar = threading.Event()
    released: ClassVar = threading.Event()

    def do_GET(self) -> None:  # noqa: N802 - the name that the base looks for
        """Send what is no shard."""
        if "/embedding/c/" in self.path and "/digests/" not in self.path:
            self.asked.set()
            self.released.wait(PATIENCE_S)
        super().do_GET()


@pytest.mark.slow
@pytest.mark.parametrize("name", COMMANDS)
def test_ctrl_c_ends_the_command_and_its_processes(
    name: str, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """A terminal sends it to all of them: one line, exit code 130, and nobody is left."""
    values = np.random.default_rng(0).normal(size=(4, 40, 40)).astype(np.float32)
    source = make_raster(tmp_path / "source.tif", values)
    geoembz.convert(source, tmp_path / "out.zarr", recipe="int8", chunk=8, shard=16)
    np.save(tmp_path / "query.npy", values[:, 3, 3])
    (tmp_path / "points.csv").write_text("x,y\n500105,5299895\n500305,5299695\n")
    Stalling.asked.clear()
    Stalling.released.clear()
    with serving(tmp_path, handler=Stalling) as served:
        words = [word.replace("STORE", f"{served.url}/out.zarr") for word in COMMANDS[name]]
        words += ["--scheduler", "local", "--workers", "2", "--quiet"]
        process = subprocess.Popen(
            [sys.executable, "-m", "geoembz", *words],
            cwd=tmp_path,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        try:
            assert Stalling.asked.wait(PATIENCE_S)
            began = time.monotonic()
            os.killpg(process.pid, signal.SIGINT)
            _, said = process.communicate(timeout=PATIENCE_S)
            assert time.monotonic() - began < 10
            assert process.returncode == 130, said
            where = "run the same command again to go on where it stopped"
            assert said.splitlines() == [f"geoembz: interrupted; {where}"], said
            wait_until_gone(process.pid)
        finally:
            Stalling.released.set()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def wait_until_gone(group: int) -> None:
    """Return once no process of a group runs."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError(f"processes of group {group} still run")
