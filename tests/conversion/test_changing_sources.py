"""Inputs that change while they are converted: refused in words, and no store of two inputs."""

import os
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.errors import SourceChangedError, SourceError
from tests.conftest import MakeRaster
from tests.sources.serving import serving_apart
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


def virtual_raster(path: Path, member: str) -> Path:
    """Write a virtual raster of 12 bands over one member, by a relative name or one of GDAL's."""
    relative = int(not member.startswith("/"))
    bands = "".join(
        f'<VRTRasterBand dataType="Float32" band="{band}"><SimpleSource>'
        f'<SourceFilename relativeToVRT="{relative}">{member}</SourceFilename>'
        f"<SourceBand>{band}</SourceBand></SimpleSource></VRTRasterBand>"
        for band in range(1, 13)
    )
    path.write_text(
        '<VRTDataset rasterXSize="45" rasterYSize="50"><SRS>EPSG:32632</SRS>'
        f"<GeoTransform>500000, 10, 0, 5300000, 0, -10</GeoTransform>{bands}</VRTDataset>"
    )
    return path


@pytest.mark.parametrize("member", ["a.tif", "inner.vrt", "/vsizip/{folder}/a.zip/a.tif"])
def test_a_member_of_a_virtual_raster(member: str, two: tuple[Path, Path], tmp_path: Path) -> None:
    """Its own few bytes stay the same; what it is read from does not, directly or through another.

    What was converted before is not taken up after a change, either.
    """
    changing = archived(tmp_path) if "vsizip" in member else two
    virtual_raster(tmp_path / "inner.vrt", "a.tif")
    virtual = virtual_raster(tmp_path / "a.vrt", member.format(folder=tmp_path))
    progress = after(5, lambda: rewrite(*changing))
    with pytest.raises(SourceChangedError, match=r"a\.(tif|zip): changed"):
        geoembz.convert(virtual, tmp_path / "out", progress=progress, **OPTIONS)


def archived(folder: Path) -> tuple[Path, Path]:
    """Put each of the two rasters into an archive, as `a.tif`."""
    files = folder / "a.zip", folder / "b.zip"
    for path, name in zip(files, ("a.tif", "b.tif"), strict=True):
        with zipfile.ZipFile(path, "w") as archive:
            archive.write(folder / name, "a.tif")
    return files


@pytest.mark.parametrize("door", ["{url}/a.tif", "/vsicurl/{url}/a.tif", "{folder}/a.vrt"])
def test_a_file_on_a_web_server(door: str, two: tuple[Path, Path], tmp_path: Path) -> None:
    """Without an ETag the server tells when the file was modified; members of a VRT count, too."""
    path, other = two

    def change() -> None:
        rewrite(path, other)
        os.utime(path, (1, 1))  # servers tell whole seconds

    with serving_apart(tmp_path) as url:
        virtual_raster(tmp_path / "a.vrt", f"/vsicurl/{url}/a.tif")
        source = door.format(url=url, folder=tmp_path)
        with pytest.raises(SourceChangedError, match=r"a\.tif: changed while it was converted"):
            geoembz.convert(source, tmp_path / "out", progress=after(5, change), **OPTIONS)
    assert not (tmp_path / "out").exists()


def test_a_server_that_is_gone_at_the_end(two: tuple[Path, Path], tmp_path: Path) -> None:
    """Nobody can say whether the file is the same: an error, and what is done is kept."""
    path, _ = two
    with ExitStack() as running:
        url = running.enter_context(serving_apart(path.parent))

        def stop(done: int, total: int) -> None:
            if done == total:
                running.close()

        with pytest.raises(SourceError, match=r"a\.tif: cannot be read"):
            geoembz.convert(f"{url}/a.tif", tmp_path / "out", progress=stop, **OPTIONS)
    assert list((tmp_path / "out" / ".geoembz").rglob("shards/*"))


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
