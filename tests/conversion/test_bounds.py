"""What an input decides is bounded: planning of huge rasters, wide blocks, open files, servers."""

import resource
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._convert.sampling import PixelRoles, draw_sample, read_shape
from geoembz._geo.grid import Blocks, Window, pick, split
from geoembz._work import executors
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import open_source
from geoembz.store.layout import MOST_SHARDS, choose_layout


def virtual(path: Path, height: int, width: int, bands: int) -> Path:
    """Write a virtual raster of any size, all zero, in a few hundred bytes."""
    band = '<VRTRasterBand dataType="Float32" band="{}"/>'
    path.write_text(
        f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}"><SRS>EPSG:32632</SRS>'
        "<GeoTransform>500000,10,0,5300000,0,-10</GeoTransform>"
        f"{''.join(map(band.format, range(1, bands + 1)))}</VRTDataset>"
    )
    return path


def in_order(task: Callable[[Window], Any], windows: Sequence[Window]) -> list[Any]:
    return [task(window) for window in windows]


def test_a_huge_raster_is_sampled_in_bounded_memory_and_time(tmp_path: Path) -> None:
    """Of 10¹³ pixels only the blocks that are read are made."""
    source = open_source(virtual(tmp_path / "huge.vrt", 4 * 10**6, 2 * 10**6, 8))
    started = time.monotonic()
    tracemalloc.start()
    try:
        sample = draw_sample(source, PixelRoles(0, source.grid.shape), 1000, in_order)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sum(block.shape[1] for block in sample) >= 500
    assert peak < 100 * 2**20
    assert time.monotonic() - started < 20


def test_many_bands_are_opened_in_time(tmp_path: Path) -> None:
    """What the bands declare is asked once, not once for each: 20,000 took hours."""
    started = time.monotonic()
    assert open_source(virtual(tmp_path / "deep.vrt", 8, 8, 20_000)).dimension == 20_000
    assert time.monotonic() - started < 20


def test_a_plan_that_does_not_fit_is_refused_in_words(tmp_path: Path) -> None:
    """Before anything is read."""
    raster = virtual(tmp_path / "huge.vrt", 4 * 10**6, 2 * 10**6, 2)
    with pytest.raises(InvalidConfigError, match=r"makes .* shards of .*take a larger shard"):
        geoembz.convert(raster, tmp_path / "out.zarr", recipe="int8", chunk=256, shard=256)
    assert not (tmp_path / "out.zarr").exists()
    layout = choose_layout((4 * 10**6, 2 * 10**6), 8, (128, 128))
    assert len(Blocks(layout.shape, layout.shard)) <= MOST_SHARDS


def test_tasks_are_made_as_they_are_needed() -> None:
    """Of 10¹⁰ shards few are made ahead; none begins after a failure."""
    blocks, seen = Blocks((10**6, 10**6), (10, 10)), []

    def fail(window: Window) -> None:
        seen.append(window)
        if len(seen) == 12:
            raise SourceError("a.tif: damaged")

    with pytest.raises(SourceError, match="damaged"):
        executors.run_tasks(fail, blocks, workers=1)
    assert seen == list(blocks[:12])
    some = pick(blocks[:20], lambda block: block.col >= 50)
    assert executors.run_tasks(lambda block: block.col, some, workers=2) == list(range(50, 200, 10))


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (8, 8), (9, 17)])
@pytest.mark.parametrize("block", [(1, 1), (2, 3), (8, 8), (20, 20)])
def test_blocks_are_those_of_split(shape: tuple[int, int], block: tuple[int, int]) -> None:
    blocks = Blocks(shape, block)
    assert list(blocks) == blocks[:] == list(split(Window(0, 0, *shape), block))
    with pytest.raises(IndexError):
        blocks[len(blocks)]


@pytest.mark.parametrize(
    ("rows", "cols", "dimension"), [(64, 1024, 2048), (1, 10**6, 2048), (512, 512, 65_536)]
)
def test_blocks_are_read_in_parts(rows: int, cols: int, dimension: int) -> None:
    """However large a block of the file is, 128 MB are read at once."""
    source: Any = SimpleNamespace(
        block_shape=(rows, cols),
        dimension=dimension,
        dtype=np.dtype(np.float32),
        grid=SimpleNamespace(shape=(10**6, cols)),
    )
    height, width = read_shape(source)
    assert min(height, width) >= 1
    assert height * width * dimension * 4 <= 128 * 2**20


def test_a_process_may_open_as_many_files_as_the_system_allows() -> None:
    """Sixty-four workers keep up to 24 files open each; the usual soft limit is 1,024."""
    code = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))\n"
        "from geoembz.sources.gdal import new_token, open_handle\n"
        "open_handle(new_token(), object)\n"
        "print(*resource.getrlimit(resource.RLIMIT_NOFILE))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    soft, hard = map(int, ended.stdout.split())
    assert hard == resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert soft == (65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536))


def test_local_processes_serve_nobody_else() -> None:
    """The scheduler's web pages have no password: they are for this machine."""
    import psutil

    from geoembz._work.cluster import open_cluster

    with open_cluster("local", 1):
        me = psutil.Process()
        listening = [
            connection.laddr.ip
            for process in (me, *me.children(recursive=True))
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        ]
    assert listening
    assert set(listening) <= {"127.0.0.1", "::1"}
