"""A killed command that adds to a store is named to whoever adds something else; then it ends."""

import re
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.conversion.test_overviews import CUT, Floats, Killed
from tests.trees import objects


def die(done: int, _total: int) -> None:
    """End a command after its first shard."""
    if done:
        raise Killed


def refusal(source: list[Path], store: Path) -> str:
    """Return what is said to whoever appends a date."""
    with pytest.raises(InvalidConfigError) as refused:
        geoembz.append(store, source, time="2025")
    return str(refused.value)


@pytest.fixture(params=[1, 2], ids=["one grid", "two grids"])
def zones(
    request: pytest.FixtureRequest, scene: Floats, make_raster: MakeRaster, tmp_path: Path
) -> list[Path]:
    """Return rasters of one UTM zone, or of two."""
    return [
        make_raster(tmp_path / f"{zone}.tif", scene, crs=f"EPSG:326{zone}")
        for zone in (31, 32)[: request.param]
    ]


@pytest.fixture
def store(zones: list[Path], tmp_path: Path) -> Path:
    """Return a store of 2024, whose overviews were killed."""
    store = tmp_path / "a b.zarr"
    geoembz.convert(zones, store, pca=5, time="2024", **CUT)
    shutil.copytree(store, tmp_path / "whole.zarr")
    with pytest.raises(Killed):
        geoembz.overviews(store, levels=2, workers=1, progress=die)
    return store


def test_killed_overviews_are_finished_by_the_command_that_an_append_names(
    zones: list[Path], store: Path, tmp_path: Path
) -> None:
    """For the store, not for one of its grids; then the date can be appended."""
    said = refusal(zones, store)
    assert "holds unfinished overviews of 2 levels; finish them with" in said
    (command,) = re.findall(r"`geoembz (.*?)`", said)
    assert command == f"overviews '{store}' --levels 2"
    assert CliRunner().invoke(app, ["overviews", str(store), "--levels", "2"]).exit_code == 0
    whole = tmp_path / "whole.zarr"
    for place in (store, whole):
        if place == whole:
            geoembz.overviews(whole, levels=2)
        geoembz.append(place, zones, time="2025")
    assert objects(store) == objects(whole)


def test_killed_overviews_are_given_up_by_deleting_what_an_append_names(
    zones: list[Path], store: Path, tmp_path: Path
) -> None:
    """After that the store is as it was."""
    (place,) = re.findall(r"or give that up: delete (.*)$", refusal(zones, store))
    shutil.rmtree(place)
    for kept in (store, tmp_path / "whole.zarr"):
        geoembz.append(kept, zones, time="2025")
    assert objects(store) == objects(tmp_path / "whole.zarr")


def test_a_killed_append_is_named_to_overviews(zones: list[Path], tmp_path: Path) -> None:
    """With its date."""
    store = tmp_path / "a.zarr"
    geoembz.convert(zones, store, pca=5, time="2024", **CUT)
    with pytest.raises(Killed):
        geoembz.append(store, zones, time="2025", workers=1, progress=die)
    named = rf"holds an unfinished append of 2025-01-01; .*`geoembz append {store} … --time 2025-01"
    with pytest.raises(InvalidConfigError, match=named):
        geoembz.overviews(store)
    geoembz.append(store, zones, time="2025")
    geoembz.overviews(store)
    name = "utm31n" if len(zones) > 1 else ""
    assert StoreReader.open(str(store / name)).attributes.levels
