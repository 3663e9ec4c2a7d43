"""A gateway that may be killed, and the scene of `tests.conversion`."""

import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conversion.conftest import holes, raster_with_holes, scene
from tests.publish.conftest import (
    S3_SERVER,
    Server,
    start_gateway,
    store,
    use_server,
    wipe_gateway,
)
from tests.remote.conftest import forget_clients, short_pauses

__all__ = ["holes", "raster_with_holes", "scene", "short_pauses", "store"]


N_BUCKETS = 8
"""Made at the start: for half a minute after its death a new gateway waits for the old one."""


@dataclass(frozen=True)
class Gateway:
    """Ceph's gateway, run by the tests of this folder alone, with buckets that are still empty."""

    directory: str
    endpoint: str
    buckets: list[str]

    def kill(self) -> None:
        """Kill it, its data stay."""
        pid = int((Path(self.directory) / "run" / "rgw.pid").read_text().split()[0])
        os.kill(pid, signal.SIGKILL)

    def restart(self) -> None:
        """Start it again where it was."""
        assert start_gateway(self.directory) == self.endpoint


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """Run a gateway of our own, so that its death ends nobody else's test."""
    directory = str(tmp_path_factory.mktemp("mortal"))
    endpoint = None if os.environ.get("S3_SERVER") == "moto" else start_gateway(directory)
    if endpoint is None:
        pytest.skip("Ceph's gateway cannot be installed here")
    buckets = [f"geoembz-{number}" for number in range(N_BUCKETS)]
    for bucket in buckets:
        Server("gateway", endpoint, bucket).make_bucket(bucket)
    yield Gateway(directory, endpoint, buckets)
    wipe_gateway(directory)


@pytest.fixture
def bucket(
    gateway: Gateway, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """Return an empty bucket of the gateway, named in the environment as a user does."""
    use_server(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", gateway.endpoint)
    request.node.user_properties.append((S3_SERVER, "Ceph RADOS Gateway, killed"))
    server = Server("gateway", gateway.endpoint, gateway.buckets.pop())
    forget_clients()
    yield server
    forget_clients()
