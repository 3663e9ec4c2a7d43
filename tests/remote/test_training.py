"""Samples for training of a store on a server."""

from pathlib import Path

import numpy as np

import geoembz
from tests.map.conftest import MakeStore, make_store  # noqa: F401 - the same fixture
from tests.publish.conftest import Server
from tests.train.conftest import load
from tests.train.test_order import AS_FORKED


@AS_FORKED
def test_patches(bucket: Server, make_store: MakeStore, tmp_path: Path) -> None:  # noqa: F811
    """Those of a local copy, in this process and in forked ones, which ask the server anew."""
    store = make_store(pca=8)
    url = f"s3://{bucket.bucket}/a/train.zarr"
    geoembz.publish(store.url, url, stac=False)
    local, remote = geoembz.patches(store.url, 10), geoembz.patches(url, 10)
    np.testing.assert_array_equal(remote[:], local[:])
    batches = list(remote.batches(8, workers=2))
    for (_, found), batch in zip(load(remote, batches, 2, "fork"), batches, strict=True):
        np.testing.assert_array_equal(found, local[batch])
