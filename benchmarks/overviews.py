"""Overviews against the conversion: time, bytes, and how far a level is from the means of floats.

    python -m benchmarks.overviews [--size N …] [--smoke]

A raster is converted to `pca64-int8` and gets overviews, in turns; the median seconds count. Beside
them stands the processor time of both, which says more where other programs run.
The cosine of a level is that between its decoded vectors and the means of the float vectors that
they cover, over every pixel of the level; that of the store is the same at full resolution.
"""

import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
from numpy.typing import NDArray

import geoembz
from benchmarks.rasters import RasterSpec, generate
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import seconds
from geoembz._geo.grid import Window, split
from geoembz.store import StoreReader

JUDGED_SIZE = 2048
MOST_TIME, MOST_BYTES = 0.35, 0.34
_BLOCK = 512


def main() -> None:
    """Measure all sizes."""
    options = parse_options(__doc__, sizes=(JUDGED_SIZE,), smoke=(128,))
    rows: list[Row] = []
    for size in options.size:
        spec = RasterSpec(size, "pixel")
        if not spec.path.exists():
            generate(spec, spec.path)
        with tempfile.TemporaryDirectory(prefix="geoembz-overviews-") as folder:
            rows += measure(spec, Path(folder) / "a.zarr", options.repeat)
    publish("overviews", rows, options)


def measure(spec: RasterSpec, store: Path, repeat: int) -> Iterator[Row]:
    """Convert and add overviews so many times, then compare."""
    label, judged = f"{spec.size} x {spec.size}", spec.size == JUDGED_SIZE
    taken: dict[str, list[float]] = {"convert": [], "overviews": []}
    processor: dict[str, list[float]] = {"convert": [], "overviews": []}
    for _ in range(max(repeat, 1) + 1):  # the first one warms up
        shutil.rmtree(store, ignore_errors=True)
        began = time.process_time()
        convert = seconds(lambda: geoembz.convert(spec.path, store, recipe="pca64-int8"))
        converted = time.process_time()
        plain = _size(store)
        taken["convert"].append(convert)
        taken["overviews"].append(seconds(lambda: geoembz.overviews(store)))
        processor["convert"].append(converted - began)
        processor["overviews"].append(time.process_time() - converted)
    times = {name: median(found[1:]) for name, found in taken.items()}
    for name, value in times.items():
        yield Row(label, f"{name}, s", value, "s")
    ratio = times["overviews"] / times["convert"]
    yield Row(label, "overviews / convert", ratio, "x", _at_most(MOST_TIME, judged=judged))
    used = {name: median(found[1:]) for name, found in processor.items()}
    for name, value in used.items():
        yield Row(label, f"{name}, processor time, s", value, "s")
    yield Row(
        label, "overviews / convert, processor time", used["overviews"] / used["convert"], "x"
    )
    added = _size(store) / plain - 1
    yield Row(label, "bytes added", added, "x", _at_most(MOST_BYTES, judged=judged))
    levels = StoreReader.open(str(store)).attributes.levels
    base = mean_cosine(spec.path, store, 1)
    yield Row(label, "cosine, full resolution", base, "")
    for level in levels:
        cosine = mean_cosine(spec.path, store, level.factor)
        target = Target(">=", base) if judged else None
        yield Row(label, f"cosine, level {level.factor}", cosine, "", target)


def mean_cosine(raster: Path, store: Path, factor: int) -> float:
    """Return the mean cosine of a level's vectors with the means of the floats below them."""
    reader = StoreReader.open(str(store))
    total, count = 0.0, 0
    number = factor.bit_length() - 1
    level = reader.at_level(number)
    with rasterio.open(raster) as source:
        for block in split(Window(0, 0, *reader.shape), (_BLOCK, _BLOCK)):
            place = rasterio.windows.Window(block.col, block.row, block.width, block.height)
            wanted = averaged(source.read(window=place), factor)
            above = Window(block.row // factor, block.col // factor, *wanted.shape[1:])
            found = level.read(above, "original")
            lengths = np.linalg.norm(wanted, axis=0) * np.linalg.norm(found, axis=0)
            cosines = (wanted * found).sum(axis=0) / lengths
            total += float(np.nansum(cosines))
            count += int(np.isfinite(cosines).sum())
    return total / count


def averaged(values: NDArray[np.float32], factor: int) -> NDArray[np.float64]:
    """Return the means of the valid vectors in squares, NaN where there is none."""
    height, width = (-(-side // factor) for side in values.shape[1:])
    whole = np.full((len(values), height * factor, width * factor), np.nan)
    whole[:, : values.shape[1], : values.shape[2]] = values
    squares = whole.reshape(-1, height, factor, width, factor)
    counts = np.isfinite(squares).sum(axis=(2, 4))
    with np.errstate(invalid="ignore"):
        return np.asarray(np.nansum(squares, axis=(2, 4)) / counts)


def _size(store: Path) -> int:
    return sum(path.stat().st_size for path in store.rglob("*") if path.is_file())


def _at_most(limit: float, *, judged: bool) -> Target | None:
    return Target("<=", limit) if judged else None


if __name__ == "__main__":
    main()
