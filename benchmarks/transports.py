"""What the ways to fetch chunks from S3 cost: ours and Zarr's, through s3fs and through obstore.

    eval "$(bash tests/integration/s3-server.sh start /tmp/s3-store 0)"
    python -m benchmarks.transports [--size N] [--repeat N] [--smoke]

Stores are put to the server of ``AWS_ENDPOINT_URL`` and read through a proxy in another process,
which waits 50 ms before each answer and counts. All read the same codes: ours (`StoreReader`, on
s3fs, and on obstore in its place), and the array alone by zarr-python, by s3fs or obstore, with its
default and its fused pipeline and with more requests at once. Everything is opened anew for each
task, in turns; clients and connections stay. Needs obstore for what bears its name.
"""

import asyncio
import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync
from zarr.storage import FsspecStore

import geoembz
from benchmarks.proxy import passing_on
from benchmarks.rasters import RasterSpec, generate
from benchmarks.remote import LATENCY_S, WINDOW, scatter
from benchmarks.report import Row, parse_options, publish
from benchmarks.serving import ServedApart, Traffic
from geoembz._geo.grid import Window
from geoembz._objects.obstore_parts import SETTING
from geoembz._objects.ranges import in_flight
from geoembz._objects.stores import s3_options
from geoembz.store import StoreReader
from geoembz.store import open as store_open

BUCKET, POINTS = "geoembz-transports", 1_000
OURS = "ours, s3fs"
FUSED = {"codec_pipeline.path": "zarr.core.codec_pipeline.FusedCodecPipeline"}
MANY = {"async.concurrency": in_flight()}


class Way(Protocol):
    """A way to read a store's codes."""

    def open(self) -> Any:
        """Open the store anew."""
        ...

    def window(self, opened: Any, window: Window) -> NDArray[Any]:
        """Read a window."""
        ...

    def points(self, opened: Any, points: NDArray[np.float64]) -> None:
        """Read what scattered points need, all at once."""
        ...


@dataclass(frozen=True)
class Ours:
    """`StoreReader`; its chunks may come through obstore, all else through s3fs.

    Parameters
    ----------
    url
        Of the store.
    client
        As ``GEOEMBZ_S3`` names it.
    """

    url: str
    client: str

    def open(self) -> StoreReader:
        """Open it, as a process does that knows no encoding yet."""
        store_open._known = store_open._KnownArrays()  # noqa: SLF001 - nobody else forgets
        return StoreReader.open(self.url)

    def window(self, opened: StoreReader, window: Window) -> NDArray[Any]:
        """Read codes."""
        os.environ[SETTING] = self.client
        return opened.read_codes(window)

    def points(self, opened: StoreReader, points: NDArray[np.float64]) -> None:
        """Sample codes."""
        os.environ[SETTING] = self.client
        geoembz.sample(opened, points, crs=opened.attributes.grid.crs_wkt, space="codes")


@dataclass(frozen=True)
class Plain:
    """The array by zarr-python, without encoding or digests.

    Parameters
    ----------
    store
        What Zarr reads from.
    local
        The same store on this machine, which says where the chunks of points are.
    settings
        Of Zarr.
    """

    store: Any
    local: StoreReader
    settings: Mapping[str, Any] = field(default_factory=dict)

    def open(self) -> zarr.Array[Any]:
        """Open the array."""
        with zarr.config.set(dict(self.settings)):
            found = zarr.open_group(self.store, mode="r")["embedding"]
            assert isinstance(found, zarr.Array)
            return found

    def window(self, opened: zarr.Array[Any], window: Window) -> NDArray[Any]:
        """Read codes."""
        with zarr.config.set(dict(self.settings)):
            return np.asarray(opened[:, *window.slices])

    def points(self, opened: zarr.Array[Any], points: NDArray[np.float64]) -> None:
        """Read every chunk that a point lies in, all of them under way together."""
        height, width = opened.chunks[-2:]
        rows, cols = self.local.attributes.grid.rows_cols(points[:, 0], points[:, 1])
        places = {(int(r // height), int(c // width)) for r, c in zip(rows, cols, strict=True)}
        windows = [
            (slice(None), slice(r * height, (r + 1) * height), slice(c * width, (c + 1) * width))
            for r, c in sorted(places)
        ]

        async def read() -> None:
            array = opened._async_array  # noqa: SLF001 - no public name
            await asyncio.gather(*(array.getitem(window) for window in windows))

        with zarr.config.set(dict(self.settings)):
            sync(read())


def obstore_at(endpoint: str, prefix: str) -> Any:
    """Return obstore's client; None where it is not installed."""
    try:
        from obstore.store import S3Store
    except ImportError:
        return None
    return S3Store(
        BUCKET,
        prefix=prefix,
        endpoint=endpoint,
        access_key_id=os.environ["AWS_ACCESS_KEY_ID"],
        secret_access_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ.get("AWS_REGION", "us-east-1"),
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )


def ways(endpoint: str, prefix: str, local: StoreReader) -> dict[str, Way]:
    """Return the ways to read a store that a server has."""
    from zarr.storage import ObjectStore

    url = f"s3://{BUCKET}/{prefix}"
    plain = FsspecStore.from_url(url, storage_options=s3_options(), read_only=True)
    found: dict[str, Way] = {
        OURS: Ours(url, "s3fs"),
        "zarr, s3fs": Plain(plain, local),
        "zarr, s3fs, 48 at once": Plain(plain, local, MANY),
        "zarr, s3fs, fused": Plain(plain, local, FUSED),
        "zarr, s3fs, fused, 48 at once": Plain(plain, local, FUSED | MANY),
    }
    client = obstore_at(endpoint, prefix)
    if client is None:
        return found
    objects = ObjectStore(client, read_only=True)
    return found | {
        "ours, obstore": Ours(url, "obstore"),
        "zarr, obstore": Plain(objects, local),
        "zarr, obstore, 48 at once": Plain(objects, local, MANY),
        "zarr, obstore, fused": Plain(objects, local, FUSED),
        "zarr, obstore, fused, 48 at once": Plain(objects, local, FUSED | MANY),
    }


@dataclass(frozen=True)
class Cost:
    """What one task took: on the way, by the clock, and of this process' processors."""

    traffic: Traffic
    seconds: float
    processor: float


def measure(served: ServedApart, task: Callable[[], object]) -> Cost:
    """Return the cost of a task."""
    before = served.traffic
    began, worked = time.perf_counter(), time.process_time()
    task()
    taken = time.perf_counter() - began, time.process_time() - worked
    return Cost(served.traffic - before, *taken)


def tasks(way: Way, side: int, points: NDArray[np.float64]) -> dict[str, Callable[[], object]]:
    """Return the tasks of a way, whose store was opened for each of them beforehand."""
    half, quarter = side // 2, side // 4
    near, many, one = way.open(), way.open(), way.open()
    window = Window(quarter, quarter, min(WINDOW, half), min(WINDOW, half))
    return {
        "open": way.open,
        "a point": lambda: way.window(one, Window(half, half, 1, 1)),
        f"a window of {window.width} x {window.height}": lambda: way.window(near, window),
        f"{len(points):,} points": lambda: way.points(many, points),
    }


def rows_of(
    served: ServedApart, prefix: str, local: StoreReader, repeat: int, count: int
) -> Iterator[Row]:
    """Yield what each task costs each way: medians, and seconds by those of ours."""
    points, side = scatter(local, count), local.shape[0]
    every = ways(served.url, prefix, local)
    window = Window(side // 4, side // 4, 8, 8)
    for way in every.values():  # that they read the same; and their connections
        np.testing.assert_array_equal(way.window(way.open(), window), local.read_codes(window))
        way.points(way.open(), points)
    found: dict[tuple[str, str], list[Cost]] = defaultdict(list)
    for _ in range(repeat):
        for name, way in every.items():
            for case, task in tasks(way, side, points).items():
                found[case, name].append(measure(served, task))
    for (case, name), costs in found.items():
        yield from _rows(f"{case}, {name}", costs, found[case, OURS])


def _rows(case: str, costs: Sequence[Cost], ours: Sequence[Cost]) -> Iterator[Row]:
    pairs = zip(costs, ours, strict=True)
    yield Row(case, "requests", statistics.median(c.traffic.requests for c in costs), "")
    yield Row(case, "bytes", statistics.median(c.traffic.size_bytes for c in costs) / 1e6, "MB")
    yield Row(case, "time", statistics.median(c.seconds for c in costs), "s")
    yield Row(case, "processor", statistics.median(c.processor for c in costs), "s")
    yield Row(case, "time / ours", statistics.median(c.seconds / o.seconds for c, o in pairs), "")


def main() -> None:
    """Measure, print and write the CSV."""
    options = parse_options(__doc__, sizes=[1024], smoke=[128])
    endpoint, count = os.environ["AWS_ENDPOINT_URL"], 50 if options.smoke else POINTS
    rows = [Row("machine", "load average at the start", os.getloadavg()[0], "")]
    import s3fs

    s3fs.S3FileSystem(**s3_options()).mkdirs(BUCKET, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for size in options.size:
            raster = Path(scratch) / f"{size}.tif"
            generate(RasterSpec(size, "pixel", 128), raster)
            for name, access in (("default", None), ("points", "points")):
                store = Path(scratch) / f"{size}-{name}.zarr"
                how: dict[str, Any] = {"recipe": "pca64-int8", "access": access}
                geoembz.convert(raster, store, **how)
                geoembz.publish(store, f"s3://{BUCKET}/{store.name}", overwrite=True, stac=False)
                with passing_on(endpoint, LATENCY_S) as served:
                    os.environ["AWS_ENDPOINT_URL"] = served.url
                    local = StoreReader.open(store)
                    found = rows_of(served, store.name, local, options.repeat, count)
                    rows += [replace(row, case=f"{store.stem}, {row.case}") for row in found]
                os.environ["AWS_ENDPOINT_URL"] = endpoint
    publish("transports", rows, options, keep=True)


if __name__ == "__main__":
    main()
