"""What a person waits for in the viewer: requests, bytes and seconds, as Chromium makes them.

    python -m benchmarks.viewer [--size N … | --store PATH] [--smoke]

A generated `pca64-int8` store with ``--prefix-chunks 8 --overviews``, as the documentation
recommends, lies beside its page on a server that waits 50 ms before each answer. Counted are the
first complete picture of the whole extent, and then what `geoembz.query` (which a click calls)
reads until the similarity map of the whole extent stands; the page's own files count apart. The
source is never on disk: blocks of the demonstration's scene, each with an offset and noise of its
own, are made as the conversion asks for them. The store lies in the temporary folder (``TMPDIR``):
10,000² pixels take 7 to 9 GB there, and most of the time. ``--store`` looks at one that was
made before; it must be of this scene.

Besides: seconds until `window.geoembz.ready` of the demonstration's store, served on loopback by
`geoembz.view`, and what the page weighs gzipped.
"""

import gzip
import json
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

import geoembz
from benchmarks.browsing import browse, what_is_missing
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.serving import Served, Traffic, serving
from benchmarks.timing import peak_bytes, seconds
from geoembz._demo.model import Model
from geoembz._demo.scene import CRS, ORIGIN, PIXEL_SIZE_M, Scene
from geoembz._geo.grid import Window
from geoembz._view import built_page
from geoembz.store import StoreReader

if TYPE_CHECKING:
    import xarray as xr

LATENCY_S = 0.05
DIMENSION, BLOCK = 128, 512
STORE, MARK = "a.zarr", "mark"
DEMO_SIZE = 512
PICTURE = (Target("<=", 20), Target("<=", 4))
MAP = (None, Target("<=", 20))
READY = Target("<=", 2)
BUNDLE = Target("<=", 700)

# When all is drawn: the page says so twice, as a look may ask for tiles that the first one did not.
_CALM = (
    "const busy = document.getElementById('busy');"
    "let calm = 0;"
    "for (let n = 0; calm < 5; n++) {"
    "  if (n > 12000) throw new Error('not drawn in five minutes');"
    "  calm = busy.hidden ? calm + 1 : 0;"
    "  await new Promise((done) => setTimeout(done, 25));"
    "}"
)


def main() -> None:
    """Measure all sizes, then the demonstration's store."""
    options = parse_options(__doc__, sizes=(10_000,), smoke=(512,), takes_store=True)
    if missing := what_is_missing():
        print(f"skipped: {missing}")
        return
    rows: list[Row] = []
    for size in () if options.store else options.size:
        with tempfile.TemporaryDirectory(prefix="geoembz-viewer-") as folder:
            rows += measure(Path(folder), size)
    if options.store:
        with tempfile.TemporaryDirectory(prefix="geoembz-viewer-") as folder:
            (Path(folder) / STORE).symlink_to(options.store.resolve())
            rows += observe(Path(folder), StoreReader.open(str(options.store)).shape[0])
    with tempfile.TemporaryDirectory(prefix="geoembz-viewer-") as folder:
        rows += demo(Path(folder), 128 if options.smoke else DEMO_SIZE, options.repeat)
    publish("viewer", rows, options)


def measure(folder: Path, size: int) -> Iterator[Row]:
    """Make the store, then look at it."""
    label, store = f"{size} x {size}", folder / STORE
    array = lazy_array(Scene.draw(BLOCK, 0), size)
    options: dict[str, Any] = {"recipe": "pca64-int8", "crs": CRS, "prefix_chunks": 8}
    converted = seconds(lambda: geoembz.convert(array, store, **options))
    levels = seconds(lambda: geoembz.overviews(store))
    print(f"{label}: converted in {converted:.0f} s, overviews in {levels:.0f} s", flush=True)
    yield Row(label, "convert, generating included, s", converted, "s")
    yield Row(label, "overviews, s", levels, "s")
    yield Row(label, "convert, peak memory", peak_bytes() / 1e6, "MB")
    yield from observe(folder, size)


def observe(folder: Path, size: int) -> Iterator[Row]:
    """Put the page beside a store, and look at it over a slow link."""
    label, store = f"{size} x {size}", folder / STORE
    stored = sum(path.stat().st_size for path in store.rglob("*") if path.is_file())
    yield Row(label, "store", stored / 1e6, "MB")
    for name, content in built_page(STORE, STORE).items():
        (folder / name).write_bytes(content)
    (folder / MARK).write_text("")
    with serving(folder, LATENCY_S) as served:
        yield from look(label, served, example(Scene.draw(BLOCK, 0), size))


def lazy_array(scene: Scene, size: int) -> "xr.DataArray":
    """Return the scene repeated, as an array ``(band, y, x)`` of which dask makes blocks."""
    import dask.array as da
    import xarray as xr

    model = Model.draw(DIMENSION)
    sides = tuple(min(BLOCK, size - start) for start in range(0, size, BLOCK))
    values = da.map_blocks(  # type: ignore[no-untyped-call]
        partial(make_block, scene, model, sides),
        chunks=((DIMENSION,), sides, sides),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    centres = (np.arange(size) + 0.5) * PIXEL_SIZE_M
    coords = {"y": ORIGIN[1] - centres, "x": ORIGIN[0] + centres}
    return xr.DataArray(values, coords, ("band", "y", "x"), name="embedding")


def make_block(
    scene: Scene, model: Model, sides: tuple[int, ...], block_id: tuple[int, ...]
) -> NDArray[np.float32]:
    """Return the vectors of one block: the scene's, with noise and an offset of their own."""
    _, row, col = block_id
    rng = np.random.default_rng([row, col])
    window = Window(0, 0, sides[row], sides[col])
    values = model.embed(scene.landscape, window, rng)
    values += 0.1 * values.std() * rng.normal(size=(DIMENSION, 1, 1)).astype(np.float32)
    values[:, ~scene.valid[window.slices]] = np.nan
    return values


def example(scene: Scene, size: int) -> tuple[float, float]:
    """Return longitude and latitude of a pixel with data, in the block nearest to the middle."""
    from pyproj import Transformer

    start = size // 2 // BLOCK * BLOCK
    side = min(BLOCK, size - start)
    rows, cols = np.nonzero(scene.valid[:side, :side])
    middle = len(rows) // 2
    x = ORIGIN[0] + (start + cols[middle] + 0.5) * PIXEL_SIZE_M
    y = ORIGIN[1] - (start + rows[middle] + 0.5) * PIXEL_SIZE_M
    lon, lat = Transformer.from_crs(CRS, "OGC:CRS84", always_xy=True).transform(x, y)
    return float(lon), float(lat)


def look(label: str, served: Served, place: tuple[float, float]) -> Iterator[Row]:
    """Open the page, ask what is like a place, and tell what each took."""
    question = json.dumps({"for": [place], "k": 10})
    # A request of a name of its own marks in the server's log where one part ends.
    drawn = f"{_CALM} const took = performance.now(); await fetch('{MARK}'); return took;"
    asked = f"const start = performance.now(); const best = await geoembz.query({question});"
    steps = [
        {"evaluate": f"await geoembz.ready; {drawn}"},
        {"evaluate": f"{asked} {_CALM} return [best.length, performance.now() - start];"},
    ]
    seen = browse(f"{served.url}/index.html", steps, timeout_s=900)
    if seen.said:
        raise RuntimeError(f"the page said: {seen.said}")
    picture_ms, (found, map_ms) = seen.results
    if not found:
        raise RuntimeError(f"nothing is like {place}: there is no similarity map")
    end = next(n for n, (path, _, _) in enumerate(served.log) if path == f"/{MARK}")
    before, after = served.log[:end], served.log[end + 1 :]
    yield from counted(label, "page's files", traffic(before, of_store=False))
    yield from counted(label, "first picture", traffic(before, of_store=True), picture_ms, PICTURE)
    yield from counted(label, "similarity map", traffic(after, of_store=True), map_ms, MAP)


def traffic(log: list[tuple[str, str, int]], *, of_store: bool) -> Traffic:
    """Count the requests of the store, or of all else."""
    sizes = [size for path, _, size in log if path.startswith(f"/{STORE}/") == of_store]
    return Traffic(len(sizes), sum(sizes))


def counted(
    label: str,
    what: str,
    found: Traffic,
    took_ms: float | None = None,
    targets: tuple[Target | None, Target | None] = (None, None),
) -> Iterator[Row]:
    """Return the rows of one part: requests, bytes and seconds."""
    yield Row(label, f"{what}, requests", found.requests, "", targets[0])
    yield Row(label, f"{what}, MB", found.size_bytes / 1e6, "MB", targets[1])
    if took_ms is not None:
        yield Row(label, f"{what}, s", took_ms / 1e3, "s")


def demo(folder: Path, size: int, repeat: int) -> Iterator[Row]:
    """Open the demonstration's store as `geoembz view` does; the median of browsers counts."""
    files = geoembz.write_demo(folder, size=size)
    store = folder / "demo.zarr"
    geoembz.convert(files.embedding, store, recipe="pca64-int8")
    step: dict[str, Any] = {"evaluate": "await geoembz.ready; return performance.now();"}
    with geoembz.view(store, browser=False) as viewer:
        took_ms = [browse(viewer.url, [step]).results[0] for _ in range(max(repeat, 1))]
    label = f"demo, {size} x {size}"
    yield Row(label, "ready, s", float(np.median(took_ms)) / 1e3, "s", READY)
    page = built_page(STORE, STORE)
    loaded = [content for name, content in page.items() if name != "LICENSES.txt"]
    weight = sum(len(gzip.compress(content, 9)) for content in loaded)
    yield Row("page", "gzipped, kB", weight / 1e3, "kB", BUNDLE)


if __name__ == "__main__":
    main()
