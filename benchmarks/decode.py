"""Decoding a whole store against copying its output, and against the codec layout through Zarr.

A 512-d raster is converted with ``--pca 64 --int8`` in both layouts; then, in fresh processes that
take turns: ``geoembz.open(…, space="original")``, ``np.copyto`` of an array of that size into
freshly allocated memory, and ``zarr.open_array(…)[...]`` of the codec layout.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks.convert import prepare
from benchmarks.rasters import RasterSpec
from benchmarks.report import Row, Run, Target, median, parse_options, publish, rows_of, run_process

DIMENSION = 512
COPY_TARGET = Target(">=", 0.4)
CODEC_TARGET = Target(">=", 4.0)
_MODULE = "benchmarks.decode_cases"


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
        plain, codec = (str(Path(folder) / f"{layout}.zarr") for layout in ("plain", "codec"))
        run_process(_MODULE, "make-plain", plain, str(spec.path))
        run_process(_MODULE, "make-codec", codec, str(spec.path))
        cases = {
            "decode": [plain],
            "codec-layout": [codec],
            "copy": [str(spec.dimension), str(spec.size)],
        }
        runs: dict[str, list[Run]] = {case: [] for case in cases}
        for _ in range(repeat):
            for case, arguments in cases.items():
                runs[case].append(run_process(_MODULE, case, *arguments))
    return {case: median(results) for case, results in runs.items()}


def judge(label: str, runs: dict[str, Run]) -> Iterator[Row]:
    """Return numbers and ratios."""
    for case, run in runs.items():
        yield from rows_of(f"{label} {case}", run)
    decode = runs["decode"].seconds
    yield Row(label, "speed of a copy", runs["copy"].seconds / decode, "x", COPY_TARGET)
    codec = runs["codec-layout"].seconds / decode
    yield Row(label, "speed of the codec layout", codec, "x", CODEC_TARGET)


if __name__ == "__main__":
    main()
