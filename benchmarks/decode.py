"""Decoding a whole store, and a window, against the floor, against a copy and against Zarr.

A 512-d raster is converted with ``--pca 64 --int8`` in both layouts. Then, in fresh processes that
take turns: the store in each space through ``geoembz.open``, ``np.copyto`` of such an output into
freshly allocated memory, the codec layout and the codes through zarr-python; one window of a store
of 10,000² pixels; and dask threads times BLAS threads. Floors are what takes longest alone on two
threads (`benchmarks.floors`).
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.convert import prepare
from benchmarks.rasters import RasterSpec
from benchmarks.report import Row, Run, Target, median, parse_options, publish, rows_of, run_process

DIMENSION = 512
COMPONENTS = 64
THREADS = (1, 2)
_MODULE = "benchmarks.decode_cases"

FLOORS = (
    # what, its parts that each take that long at least, bound
    ("decode", ("product", "fill"), 1.3),
    ("reduced", ("decompress", "fill-reduced"), 1.3),
    ("codes", ("decompress", "fill-codes"), 1.3),
)
RATIOS: tuple[tuple[str, str, str, Target | None], ...] = (
    # what, numerator, denominator, bound
    ("speed of a copy", "copy", "decode", None),
    ("speed of the codec layout", "codec-layout", "decode", Target(">=", 4.0)),
    ("reduced: speed of a copy", "copy-reduced", "reduced", None),
    ("codes: time of zarr-python", "codes", "zarr-codes", Target("<=", 1.1)),
    ("window: time of raw read and GEMM", "window", "zarr-window", Target("<=", 1.3)),
    ("BLAS on 2 threads: time of 1", "dask-2-blas-2", "dask-2-blas-1", Target("<=", 1.1)),
)


def main() -> None:
    """Measure all sizes."""
    options = parse_options(__doc__, sizes=(1024,), smoke=(128,))
    rows: list[Row] = []
    for size in options.size:
        runs = measure(RasterSpec(size, "pixel", DIMENSION), options.repeat)
        rows += judge(f"{DIMENSION}d {size}", runs)
    publish("decode", rows, options)


def measure(spec: RasterSpec, repeat: int) -> dict[str, Run]:
    """Return the medians of each case."""
    prepare(spec)
    with tempfile.TemporaryDirectory(dir=spec.path.parent) as folder:
        plain, codec, wide = (str(Path(folder) / f"{name}.zarr") for name in "abc")
        run_process(_MODULE, "make-plain", plain, str(spec.path))
        run_process(_MODULE, "make-codec", codec, str(spec.path))
        run_process(_MODULE, "make-wide", wide, plain)
        cases = {
            case: (_MODULE, *arguments)
            for case, arguments in _cases(plain, codec, wide, str(spec.size)).items()
        } | _floors(plain, spec.size)
        runs: dict[str, list[Run]] = {case: [] for case in cases}
        for _ in range(repeat):
            for case, command in cases.items():
                runs[case].append(run_process(*command))
    return {case: median(results) for case, results in runs.items()}


def _cases(plain: str, codec: str, wide: str, size: str) -> dict[str, list[str]]:
    """Return the arguments of every case; what is compared stands side by side."""
    return {
        "copy": ["copy", str(DIMENSION), size],
        "decode": ["decode", plain],
        "codec-layout": ["codec-layout", codec],
        "copy-reduced": ["copy", str(COMPONENTS), size],
        "reduced": ["reduced", plain],
        "codes": ["codes", plain],
        "zarr-codes": ["zarr-codes", plain],
        "window": ["window", wide],
        "zarr-window": ["zarr-window", wide],
        **{
            f"dask-{workers}-blas-{blas}": ["dask", plain, str(workers), str(blas)]
            for workers in THREADS
            for blas in THREADS
        },
    }


def _floors(plain: str, size: int) -> dict[str, tuple[str, ...]]:
    """Return the command of every part that floors are made of."""
    lengths = {"fill": ("float32", DIMENSION), "fill-reduced": ("float32", COMPONENTS)}
    fills = {**lengths, "fill-codes": ("int8", COMPONENTS)}
    parts: dict[str, tuple[object, ...]] = {
        # A last row of ones adds the mean.
        "product": ("product", DIMENSION, COMPONENTS + 1, size**2),
        "decompress": ("decompress", plain),
        **{case: ("copy", dtype, length, size) for case, (dtype, length) in fills.items()},
    }
    return {case: ("benchmarks.floors", *map(str, part)) for case, part in parts.items()}


def judge(label: str, runs: dict[str, Run]) -> Iterator[Row]:
    """Return numbers and ratios."""
    for case, run in runs.items():
        yield from rows_of(f"{label} {case}", run)
    for case, parts, limit in FLOORS:
        floor = max(runs[part].seconds for part in parts)
        ratio = runs[case].seconds / floor
        yield Row(label, f"{case} over the floor", ratio, "x", Target("<=", limit))
    for what, upper, lower, bound in RATIOS:
        yield Row(label, what, runs[upper].seconds / runs[lower].seconds, "x", bound)


if __name__ == "__main__":
    main()
