"""A publish survives the death of the real gateway. Needs Ceph; skipped, saying so, without it."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from geoembz.errors import StoreError
from geoembz.publish import RetryPolicy, publish, verify_against
from tests.publish.conftest import SCRIPT, Server

pytestmark = [pytest.mark.server, pytest.mark.slow]


def kill_gateway(directory: str) -> None:
    """Kill the gateway that the script started in this directory, and no other."""
    pid = int((Path(directory) / "run" / "rgw.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("after", [1, 3, 6])
@pytest.mark.parametrize("server", ["gateway"], indirect=True)
def test_gateway_killed_while_publishing(
    store: Path, server: Server, gateway_directory: str, after: int
) -> None:
    """Killed after some objects: a clear error, no visible store; restarted, the rest follows."""
    if server.kind != "gateway":
        pytest.skip("Ceph's gateway cannot be installed here")

    def progress(done: int, _: int) -> None:
        if done == after:
            kill_gateway(gateway_directory)

    url = f"s3://{server.bucket}/out.zarr"
    policy = RetryPolicy(attempts=3, first_pause_s=0.05, longest_pause_s=0.1)
    with pytest.raises(StoreError, match="same command again"):
        publish(
            str(store), url, endpoint_url=server.endpoint, workers=1, policy=policy,
            progress=progress,
        )  # fmt: skip
    subprocess.run(
        ["bash", str(SCRIPT), "start", gateway_directory], check=True, capture_output=True
    )
    assert "out.zarr/zarr.json" not in server.list_keys()
    report = publish(str(store), url, endpoint_url=server.endpoint)
    assert report.n_skipped == after
    assert verify_against(url, str(store), endpoint_url=server.endpoint) == []
