"""A publish survives the death of the real gateway. Needs Ceph; skipped, saying so, without it."""

from pathlib import Path

import pytest

from geoembz._publish import RetryPolicy, copy_store, verify_against
from geoembz.errors import StoreError
from tests.integration.conftest import Gateway
from tests.publish.conftest import Server

pytestmark = [pytest.mark.server, pytest.mark.slow]


@pytest.mark.parametrize("after", [1, 3, 6])
def test_gateway_killed_while_publishing(
    store: Path, gateway: Gateway, bucket: Server, after: int
) -> None:
    """Killed after some objects: a clear error, no visible store; restarted, the rest follows."""

    def progress(done: int, _: int) -> None:
        if done == after:
            gateway.kill()

    url, endpoint = f"s3://{bucket.bucket}/out.zarr", gateway.endpoint
    policy = RetryPolicy(attempts=3, first_pause_s=0.05, longest_pause_s=0.1)
    with pytest.raises(StoreError, match="same command again"):
        copy_store(
            str(store), url, endpoint_url=endpoint, workers=1, policy=policy, progress=progress
        )
    gateway.restart()
    assert "out.zarr/zarr.json" not in bucket.list_keys()
    report = copy_store(str(store), url, endpoint_url=endpoint)
    assert report.n_skipped == after
    assert verify_against(url, str(store), endpoint_url=endpoint) == []
