"""Overviews of a store on a server, which cannot rename."""

from pathlib import Path

import pytest

import geoembz
from geoembz._objects.tree import ObjectTree
from tests.conversion.test_overviews import CUT
from tests.publish.conftest import Server, moto, moto_endpoint, server
from tests.trees import objects

__all__ = ["moto", "moto_endpoint", "server"]

pytestmark = pytest.mark.slow


class Killed(BaseException):
    """Stands for SIGKILL: nothing may catch it."""


@pytest.mark.parametrize("server", ["moto"], indirect=True)
def test_levels_come_and_go_on_with_dates_on_a_server(
    server: Server,
    raster: Path,
    raster_with_holes: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same bytes as on this machine, after an interruption too."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    near, far = tmp_path / "a.zarr", f"s3://{server.bucket}/a.zarr"
    for store in (near, far):
        geoembz.convert(raster, store, recipe="pca5-int8", time="2020", **CUT)

    def progress(done: int, _total: int) -> None:
        if done >= 3:
            raise Killed

    with pytest.raises(Killed):
        geoembz.overviews(far, levels=2, workers=1, progress=progress)
    for store in (near, far):
        geoembz.overviews(store, levels=2)
        geoembz.append(store, raster_with_holes, time="2021")
        geoembz.append(store, raster, time="2021", replace_date=True)
        geoembz.overviews(store, levels=1, overwrite=True)
        assert not geoembz.verify(store).problems
    tree = ObjectTree(far)
    assert {key: tree.read(key) for key in tree.keys("")} == objects(near)
