"""What reading from a server with 50 ms latency costs: requests, bytes, and seconds.

    python -m benchmarks.remote [--size N …] [--store STORE] [--smoke]

A store is served by another process on this machine, and opened anew for each task: a point, a
window, scattered points. Requests and bytes are counted there. Seconds are compared with the same
requests one after the other (their number times the latency), and, of many points, with the floor:
the touched chunks, their places known, fetched by as many connections and thrown away. Packages are
imported and connections made before points are timed.
"""

import http.client
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

import geoembz
from benchmarks.rasters import RasterSpec, generate
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.serving import ServedApart, Traffic, serving_apart
from benchmarks.timing import seconds
from geoembz._geo.grid import Window
from geoembz._objects.ranges import IN_FLIGHT
from geoembz.store import StoreReader
from geoembz.store.chunk_form import ChunkForm, Piece

LATENCY_S = 0.05
WINDOW = 256


@dataclass(frozen=True)
class Cost:
    """What one task took."""

    traffic: Traffic
    seconds: float


def measure(served: ServedApart, task: Callable[[], object]) -> Cost:
    """Return the cost of a task."""
    before = served.traffic
    taken = seconds(task)
    return Cost(served.traffic - before, taken)


def scatter(reader: StoreReader, count: int) -> NDArray[np.float64]:
    """Return random places within a store, in its CRS, shape ``(count, 2)``."""
    xmin, ymin, xmax, ymax = reader.attributes.grid.bbox
    return np.random.default_rng(0).uniform((xmin, ymin), (xmax, ymax), (count, 2))


def rows_of(served: ServedApart, name: str, local: Path, counts: list[int]) -> Iterator[Row]:
    """Yield what each task costs."""
    url = f"{served.url}/{name}"
    reader = StoreReader.open(local)
    half = reader.shape[0] // 2
    opened: list[StoreReader] = []
    cost = measure(served, lambda: opened.append(StoreReader.open(url)))
    yield from costs("open", cost, Target("<=", 6))
    cost = measure(served, lambda: opened[0].read(Window(half, half, 1, 1), "original"))
    yield from costs("a point", cost, Target("<=", 3))
    (fresh,) = [StoreReader.open(url)]
    window = Window(half // 2, half // 2, min(WINDOW, half), min(WINDOW, half))
    cost = measure(served, lambda: fresh.read(window, "original"))
    yield from costs(f"a window of {window.width} x {window.height}", cost, None)
    for count in counts:
        yield from rows_of_points(served, url, reader, count)


def rows_of_points(served: ServedApart, url: str, local: StoreReader, count: int) -> Iterator[Row]:
    """Yield what the vectors of scattered points cost, and what their chunks alone do."""
    case, points = f"{count:,} points", scatter(local, count)
    crs = local.attributes.grid.crs_wkt
    geoembz.sample(StoreReader.open(url), points[:200], crs=crs)  # imports, and connections
    fresh = StoreReader.open(url)
    cost = measure(served, lambda: geoembz.sample(fresh, points, crs=crs))
    yield from costs(case, cost, None)
    floor = measure(served, lambda: fetch_touched(url, local, points))
    yield Row(case, "touched chunks alone, requests", floor.traffic.requests, "")
    yield Row(case, "touched chunks alone, bytes", floor.traffic.size_bytes / 1e6, "MB")
    yield Row(case, "time / that of the touched chunks", cost.seconds / floor.seconds, "")


def costs(case: str, cost: Cost, most: Target | None) -> Iterator[Row]:
    """Yield the rows of one task."""
    yield Row(case, "requests", cost.traffic.requests, "", most)
    yield Row(case, "bytes", cost.traffic.size_bytes / 1e6, "MB")
    yield Row(case, "time", cost.seconds, "s")
    yield Row(case, "of serial latency", cost.seconds / (cost.traffic.requests * LATENCY_S), "")


def fetch_touched(url: str, reader: StoreReader, points: NDArray[np.float64]) -> None:
    """Fetch the chunks that hold some points, whose places are known, and throw them away."""
    form = ChunkForm.of(reader.codes)
    assert form is not None
    rows, cols = map(np.floor, reader.attributes.grid.rows_cols(points[:, 0], points[:, 1]))
    rows_each, cols_each = form.chunk[-2:]
    chunks = {(int(r) // rows_each, int(c) // cols_each) for r, c in zip(rows, cols, strict=True)}
    wanted = []
    for row, col in sorted(chunks):
        spans = form.spans(
            (slice(None),) * (len(form.chunk) - 2)
            + (
                slice(row * rows_each, (row + 1) * rows_each),
                slice(col * cols_each, (col + 1) * cols_each),
            )
        )
        for part in form.objects(spans):
            path = Path(reader.url) / part.key
            if path.exists():
                index = form.parse_index(part.key, path.read_bytes()[-form.index_bytes :])
                wanted += [piece for piece in form.pieces(part, index) if piece.n_bytes]
    local, host = threading.local(), urlsplit(url).netloc

    def fetch(piece: Piece) -> None:
        if not hasattr(local, "connection"):
            local.connection = http.client.HTTPConnection(host)
        first, last = piece.offset, piece.offset + (piece.n_bytes or 0) - 1
        path = f"{urlsplit(url).path}/{piece.key}"
        local.connection.request("GET", path, headers={"Range": f"bytes={first}-{last}"})
        local.connection.getresponse().read()

    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(fetch, wanted))


def main() -> None:
    """Measure, print and write the CSV."""
    options = parse_options(__doc__, sizes=[2048], smoke=[128], takes_store=True)
    counts = [50] if options.smoke else [1_000, 100_000]
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as scratch:
        stores = [options.store] if options.store else []
        for size in [] if options.store else options.size:
            raster, store = Path(scratch) / f"{size}.tif", Path(scratch) / f"s{size}.zarr"
            generate(RasterSpec(size, "pixel", 128), raster)
            geoembz.convert(raster, store, recipe="pca64-int8")
            raster.unlink()
            stores.append(store)
        for store in stores:
            with serving_apart(store.parent, LATENCY_S) as served:
                found = rows_of(served, store.name, store, counts)
                rows += [replace(row, case=f"{store.stem}, {row.case}") for row in found]
    publish("remote", rows, options, keep=True)


if __name__ == "__main__":
    main()
