"""Reading codes of a local store: our reader against Zarr's pipelines, batched and fused.

64 components of int8 in a square raster, read whole and in windows. Zarr reads the very array that
our reader falls back to, with its checks of untrusted codecs, so that the pipeline alone differs.
All sides take turns in one process; the median counts.
"""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import zarr

import geoembz
from benchmarks.rasters import RasterSpec, generate
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import in_turns
from geoembz._geo.grid import Window
from geoembz.store import StoreReader

N_COMPONENTS, WINDOW, WINDOWS = 64, 256, 16
TARGET = Target(">=", 1.25)
"""Zarr's time by ours from which our own reader is worth its lines (issue 14)."""

_PIPELINE = "zarr.core.codec_pipeline."
PIPELINES: dict[str, dict[str, Any]] = {
    "batched": {"codec_pipeline.path": f"{_PIPELINE}BatchedCodecPipeline"},
    "fused, 1 thread": {
        "codec_pipeline.path": f"{_PIPELINE}FusedCodecPipeline",
        "codec_pipeline.max_workers": 1,
    },
    "fused, 2 threads": {
        "codec_pipeline.path": f"{_PIPELINE}FusedCodecPipeline",
        "codec_pipeline.max_workers": 2,
    },
}


def main() -> None:
    """Measure all sides at all sizes."""
    options = parse_options(__doc__, sizes=(1024,), smoke=(64,))
    with tempfile.TemporaryDirectory() as folder:
        rows = [row for size in options.size for row in measure(Path(folder), size, options.repeat)]
    publish("pipelines", rows, options)


def measure(folder: Path, size: int, repeat: int) -> Iterator[Row]:
    """Yield Zarr's time as a multiple of ours, whole and in windows."""
    source, store = folder / f"{size}.tif", str(folder / f"{size}.zarr")
    generate(RasterSpec(size, "pixel", 2 * N_COMPONENTS), source)
    geoembz.convert(source, store, pca=N_COMPONENTS, quantizer="int8")
    side = min(WINDOW, size)
    starts = np.random.default_rng(0).integers(0, size - side + 1, (WINDOWS, 2))
    parts = {
        "whole": [Window(0, 0, size, size)],
        f"windows of {side}": [Window(int(row), int(col), side, side) for row, col in starts],
    }
    for what, windows in parts.items():
        calls: dict[str, Callable[[], object]] = {"ours": _ours(store, windows)}
        calls |= {name: _zarrs(store, windows, settings) for name, settings in PIPELINES.items()}
        seconds = in_turns(calls, repeat)
        for pipeline in PIPELINES:
            target = TARGET if pipeline == "fused, 2 threads" else None
            ratio = seconds[pipeline] / seconds["ours"]
            yield Row(f"{size} x {size}, {what}", f"{pipeline}, by ours", ratio, "x", target)


def _ours(store: str, windows: list[Window]) -> Callable[[], object]:
    reader = StoreReader.open(store)
    return lambda: [reader.read_codes(window) for window in windows]


def _zarrs(store: str, windows: list[Window], settings: dict[str, Any]) -> Callable[[], object]:
    with zarr.config.set(settings):
        array = StoreReader.open(store).codes

    def read() -> object:
        with zarr.config.set(settings):
            return [array[(slice(None), *window.slices)] for window in windows]

    return read


if __name__ == "__main__":
    main()
