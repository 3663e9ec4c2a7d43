"""Data that tests of several modules share: real rasters where they are, tiny ones everywhere."""

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.measure import long_cases

REPOSITORY = Path(__file__).resolve().parents[1]
EXPERIMENT = "experiment"
"""Name of a test's property that holds what came of it, in figures."""

DEFAULT_TRANSFORM = (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0)


class MakeRaster(Protocol):
    """Write a GeoTIFF; see `make_raster`."""

    def __call__(
        self,
        path: Path,
        values: NDArray[np.generic],
        *,
        crs: str | None = "EPSG:32632",
        transform: tuple[float, float, float, float, float, float] = DEFAULT_TRANSFORM,
        nodata: float | None = None,
        blocksize: int | None = None,
        interleave: str = "pixel",
        **profile: Any,
    ) -> Path:
        """Return `path` once it is written."""
        ...


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the checkout that the tests run in."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of real embeddings: ``$GEOEMBZ_SHARED_DATA``, else ``../shared/data``.

    The data are not ours to publish, so they are never in the repository; a test that needs them
    is skipped, saying so, where the folder is absent.
    """
    override = os.environ.get("GEOEMBZ_SHARED_DATA")
    folder = Path(override) if override else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"real data: no folder {folder}; set GEOEMBZ_SHARED_DATA to where they are")
    return folder


@pytest.fixture(scope="session")
def make_raster() -> MakeRaster:
    """Write an array ``(D, h, w)`` as GeoTIFF: 10 m UTM pixels unless told otherwise.

    `blocksize` (a multiple of 16, in pixels) makes it tiled, None striped; `interleave` is
    ``pixel`` or ``band``; other keywords go to the GTiff driver (``compress="deflate"`` …).
    """

    def write(
        path: Path,
        values: NDArray[np.generic],
        *,
        crs: str | None = "EPSG:32632",
        transform: tuple[float, float, float, float, float, float] = DEFAULT_TRANSFORM,
        nodata: float | None = None,
        blocksize: int | None = None,
        interleave: str = "pixel",
        **profile: Any,
    ) -> Path:
        import rasterio

        count, height, width = values.shape
        if blocksize is not None:
            profile |= {"tiled": True, "blockxsize": blocksize, "blockysize": blocksize}
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            count=count,
            height=height,
            width=width,
            dtype=values.dtype,
            crs=crs,
            transform=rasterio.Affine(*transform),
            nodata=nodata,
            interleave=interleave,
            **profile,
        ) as raster:
            raster.write(values)
        return path

    return write


N_WORKERS = 2
"""Of `cluster`."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Run a scheduler and two workers with one thread each in this process, reached by TCP."""
    from distributed import LocalCluster

    with LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=N_WORKERS,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        dashboard_address=":0",
    ) as running:
        yield running


@pytest.fixture(scope="session", autouse=True)
def _heed_ctrl_c() -> None:
    """Let tests interrupt what they start: shells let their background jobs ignore SIGINT."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def rng() -> np.random.Generator:
    """Random numbers that are the same in every run."""
    return np.random.default_rng(20_240_501)


def pytest_xdist_auto_num_workers() -> int:
    """Let ``-n logical`` be one process more than processors: a quarter of the time is waiting."""
    return (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave cases that take long, beside a first one that does the same, to longer runs.

    The first case of a test, and every fourth one of the list, is for `.ci/run`. What it runs on
    Ceph's gateway it does not run on moto too, unless the default run does.
    """
    items.sort(key=lambda item: item.path.name != "test_docs.py")  # a page takes a minute: begin
    listed, functions = long_cases(), set()
    names = {item.nodeid for item in items}
    for item in items:
        function = item.nodeid.partition("[")[0]
        if (number := listed.get(item.nodeid)) is not None:
            is_slow = number % 4 == 0 or function not in functions
            item.add_marker(pytest.mark.slow if is_slow else pytest.mark.long)
        functions.add(function)
        gateway = item.nodeid.replace("moto", "gateway")
        if gateway != item.nodeid and gateway in names and item.get_closest_marker("slow"):
            item.add_marker(pytest.mark.long)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which S3 servers the tests ran on, and what came of experiments, whoever ran them."""
    reports = [
        report for key in ("passed", "failed") for report in terminalreporter.getreports(key)
    ]
    said = [entry for report in reports for entry in report.user_properties]
    servers = Counter(value for name, value in said if name == "S3 server")
    for server, count in sorted(servers.items()):
        terminalreporter.write_line(f"S3 server of {count} tests: {server}")
    for value in [value for name, value in said if name == EXPERIMENT]:
        terminalreporter.write_line(f"experiment: {value}")
