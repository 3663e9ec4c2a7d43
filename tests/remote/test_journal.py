"""The journal in a bucket: removing it costs a request for each thousand records, not for each."""

import pytest

from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz.store.journal import Journal
from tests.publish.conftest import Server
from tests.publish.fault_proxy import fault_proxy
from tests.remote.conftest import forget_clients

N_RECORDS = 50


def test_records_are_removed_together(bucket: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few requests remove many records; keys are those of the listing."""
    tree = ObjectTree(f"s3://{bucket.bucket}/out.zarr")
    for row in range(N_RECORDS):
        Journal(tree).record(Window(row, 0, 1, 1), {"row": row})
    tree.write("zarr.json", b"{}")
    assert tree.keys() == list(tree.sizes())
    assert Journal(tree).finished() == {(row, 0): {"row": row} for row in range(N_RECORDS)}
    with fault_proxy(bucket.endpoint) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        forget_clients()
        Journal(ObjectTree(f"s3://{bucket.bucket}/out.zarr")).clear()
        assert [request.method for request in proxy.requests].count("POST") == 1
        assert len(proxy.requests) <= 6
    assert bucket.list_keys() == ["out.zarr/zarr.json"]
