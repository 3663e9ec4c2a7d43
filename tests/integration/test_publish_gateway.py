"""A publish survives the death of the real gateway. Needs Ceph; skipped, saying so, without it."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from geoembz.errors import StoreError
from geoembz.publish import RetryPolicy, publish, verify_against
from tests.publish.conftest import S3_SERVER, Server, start_gateway, use_server, wipe_gateway

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.fixture(scope="module")
def mortal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """Run a gateway of our own, so that its death ends nobody else's test."""
    directory = str(tmp_path_factory.mktemp("mortal"))
    endpoint = None if os.environ.get("S3_SERVER") == "moto" else start_gateway(directory)
    if endpoint is None:
        pytest.skip("Ceph's gateway cannot be installed here")
    yield directory, endpoint
    wipe_gateway(directory)


def kill_gateway(directory: str) -> None:
    """Kill the gateway that the script started in this directory, and no other."""
    pid = int((Path(directory) / "run" / "rgw.pid").read_text().split()[0])
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("after", [1, 3, 6])
def test_gateway_killed_while_publishing(
    store: Path,
    mortal: tuple[str, str],
    after: int,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed after some objects: a clear error, no visible store; restarted, the rest follows."""
    directory, endpoint = mortal
    use_server(monkeypatch)
    request.node.user_properties.append((S3_SERVER, "Ceph RADOS Gateway, killed"))
    server = Server("gateway", endpoint, f"geoembz-killed-{after}")
    server.make_bucket(server.bucket)

    def progress(done: int, _: int) -> None:
        if done == after:
            kill_gateway(directory)

    url = f"s3://{server.bucket}/out.zarr"
    policy = RetryPolicy(attempts=3, first_pause_s=0.05, longest_pause_s=0.1)
    with pytest.raises(StoreError, match="same command again"):
        publish(str(store), url, endpoint_url=endpoint, workers=1, policy=policy, progress=progress)
    assert start_gateway(directory) == endpoint
    assert "out.zarr/zarr.json" not in server.list_keys()
    report = publish(str(store), url, endpoint_url=endpoint)
    assert report.n_skipped == after
    assert verify_against(url, str(store), endpoint_url=endpoint) == []
