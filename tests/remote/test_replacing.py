"""`append --replace` on a server, killed with SIGKILL: the old date, or told; then the new one."""

import signal
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._convert.append import append
from geoembz._verify import verify
from geoembz.errors import StoreError
from tests import forking
from tests.conversion.stopped import OPTIONS
from tests.publish.conftest import Server
from tests.remote.conftest import download, forget_clients
from tests.trees import objects

pytestmark = pytest.mark.filterwarnings("ignore:.*the basis captures:geoembz.errors.BasisWarning")
REPLACES = ["appends=true", 'time="2020"', "replace_date=true"]


@pytest.mark.parametrize(
    ("place", "number"),
    [
        ("copy", 17),
        *(
            pytest.param(place, number, marks=pytest.mark.slow)
            for place, number in [("shard", 11), ("root", 1), ("complete", 1), ("copy", 1)]
        ),
    ],
)
def test_killed_while_a_date_is_replaced(
    place: str,
    number: int,
    raster: Path,
    raster_with_holes: Path,
    bucket: Server,
    tmp_path: Path,
) -> None:
    """Before the first copy every object is as it was; after it, each pixel is one of the two."""
    url, local = f"s3://{bucket.bucket}/out.zarr", tmp_path / "local.zarr"
    for store in (url, local):
        geoembz.convert(raster_with_holes, store, time="2020", **OPTIONS)
    first = objects(download(bucket, "out.zarr", tmp_path / "first"))
    before = geoembz.open(local)["embedding"].values[0]
    append(local, raster, time="2020", replace_date=True)
    after = geoembz.open(local)["embedding"].values[0]
    command = ["-m", "tests.conversion.stopped", "SIGKILL", place, str(number), str(raster), url]
    assert forking.run([*command, *REPLACES]) == -signal.SIGKILL
    forget_clients()
    there = objects(download(bucket, "out.zarr", tmp_path / "there"))
    if place != "copy" or number == 1:
        assert first.items() <= there.items()
        np.testing.assert_array_equal(geoembz.open(url)["embedding"].values[0], before)
    else:
        assert ".geoembz" in {problem.key for problem in verify(url).problems}
        try:
            read = geoembz.open(url)["embedding"].values[0]
        except StoreError:
            read = before
        one, other = (np.isclose(read, known, equal_nan=True).all(0) for known in (before, after))
        assert (one | other).all()
    append(url, raster, time="2020", replace_date=True)
    assert objects(download(bucket, "out.zarr", tmp_path / "ended")) == objects(local)
