"""Inputs that change while they are converted: refused in words, and no store of two inputs."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.errors import SourceChangedError
from tests.conftest import MakeRaster
from tests.trees import names, objects

OPTIONS: dict[str, Any] = {"chunk": 8, "shard": 16, "workers": 1}

type Change = Callable[[Path, Path], None]


def rewrite(path: Path, other: Path) -> None:
    """Write over a file in place."""
    path.write_bytes(other.read_bytes())


def replace(path: Path, other: Path) -> None:
    """Put another file in a file's place, as old as the first."""
    status = path.stat()
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.replace(path)


def after(shards: int, change: Callable[[], None]) -> Callable[[int, int], None]:
    """Return a progress callback that changes something after so many shards."""

    def progress(done: int, _total: int) -> None:
        if done == shards:
            change()

    return progress


@pytest.fixture
def two(scene: NDArray[np.float32], make_raster: MakeRaster, tmp_path: Path) -> tuple[Path, Path]:
    """Write two rasters of one size."""
    files = tmp_path / "a.tif", tmp_path / "b.tif"
    for path, values in zip(files, (scene, -scene), strict=True):
        make_raster(path, values, blocksize=16)
    return files


@pytest.mark.parametrize("checksum", [False, True])
@pytest.mark.parametrize("change", [rewrite, replace])
def test_a_raster_that_changes(
    change: Change, checksum: bool, two: tuple[Path, Path], tmp_path: Path
) -> None:
    """The conversion is refused; nothing of it is taken up by the next one."""
    path, other = two
    progress = after(5, lambda: change(path, other))
    with pytest.raises(SourceChangedError, match=r"a\.tif: changed while it was converted"):
        geoembz.convert(path, tmp_path / "out", checksum=checksum, progress=progress, **OPTIONS)
    assert not (tmp_path / "out").exists()
    geoembz.convert(path, tmp_path / "out", **OPTIONS)
    geoembz.convert(path, tmp_path / "fresh", **OPTIONS)
    assert objects(tmp_path / "out") == objects(tmp_path / "fresh")


def test_an_old_store_survives(two: tuple[Path, Path], tmp_path: Path) -> None:
    """With --overwrite the store is what it was."""
    path, other = two
    geoembz.convert(path, tmp_path / "out", quantizer="int4", **OPTIONS)
    before = objects(tmp_path / "out")
    progress = after(5, lambda: rewrite(path, other))
    with pytest.raises(SourceChangedError):
        geoembz.convert(path, tmp_path / "out", overwrite=True, progress=progress, **OPTIONS)
    assert objects(tmp_path / "out") == before
    assert names(tmp_path) == ["a.tif", "b.tif", "out"]


def test_a_member_of_a_virtual_raster(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Its own few bytes stay the same; what it is read from does not."""
    path, other = two
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="1">a.tif</SourceFilename><SourceBand>{band}</SourceBand>'
        "</SimpleSource></VRTRasterBand>"
        for band in range(1, 13)
    )
    virtual = tmp_path / "a.vrt"
    virtual.write_text(
        '<VRTDataset rasterXSize="45" rasterYSize="50"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000, 10, 0, 5300000, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )
    progress = after(5, lambda: rewrite(path, other))
    with pytest.raises(SourceChangedError, match=r"a\.tif: changed"):
        geoembz.convert(virtual, tmp_path / "out", progress=progress, **OPTIONS)


def test_an_appended_date(two: tuple[Path, Path], tmp_path: Path) -> None:
    """The store is what it was, and has no journal."""
    path, other = two
    geoembz.convert(path, tmp_path / "out", time="2020", **OPTIONS)
    before = objects(tmp_path / "out")
    progress = after(5, lambda: rewrite(path, other))
    with pytest.raises(SourceChangedError):
        geoembz.append(tmp_path / "out", path, time="2021", workers=1, progress=progress)
    assert objects(tmp_path / "out") == before


def test_a_table(tmp_path: Path) -> None:
    """Between its passes a table stays the same, or there is no store."""
    rng = np.random.default_rng(0)
    for name in "ab":
        columns = {f"X_{index}": rng.normal(size=200).astype(np.float32) for index in range(4)}
        places = {"lat": rng.uniform(40, 41, 200), "lon": rng.uniform(8, 9, 200)}
        pq.write_table(pa.table(places | columns), tmp_path / f"{name}.parquet")
    path, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    progress = after(1, lambda: rewrite(path, other))
    with pytest.raises(SourceChangedError, match=r"a\.parquet: changed"):
        geoembz.convert(path, tmp_path / "out", progress=progress)
    assert not (tmp_path / "out").exists()
