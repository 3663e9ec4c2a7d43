"""Speed of fitting and encoding the codec family, as ratios to plain work of the same size.

Encoding 10⁶ vectors by `pca64-int8` is held against one matrix product of the same shapes; 256
Lloyd codebooks against the PCA of the sample that they come from. Both sides of a ratio run in
turns in one process; the fastest of each counts. The ratio of processor times, both sides with BLAS
on one thread, depends less on what else the machine is doing. Packing is in `benchmarks.packing`.
`--size` is the square root of the number of vectors that are encoded.
"""

import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from benchmarks.report import Row, Target, parse_options, publish
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._projection import Moments, fit_projection
from geoembz.encoding._quantization import fit_quantizer

DIMENSION, COMPONENTS = 512, 64
LLOYD_COMPONENTS, LLOYD_SAMPLES = 256, 200_000


def main() -> None:
    """Measure encoding for all sizes, then the fit."""
    options = parse_options(__doc__, sizes=(1000,), smoke=(48,))
    samples = 4096 if options.smoke else LLOYD_SAMPLES
    rows = [row for size in options.size for row in encoding(size**2, options.repeat)]
    publish("family_speed", [*rows, *fitting(samples, options.repeat)], options)


def encoding(count: int, repeat: int) -> Iterator[Row]:
    """Return the speed of `Encoding.encode` as a share of the product's."""
    rows = np.random.default_rng(0).standard_normal((count, DIMENSION), dtype=np.float32)
    fitted = Encoding.fit(rows[:8192], f"pca{COMPONENTS}-int8")
    matrix = fitted.projection.matrix
    assert matrix is not None
    product = np.empty((count, COMPONENTS), dtype=np.float32)
    case = f"{fitted.recipe} {count} x {DIMENSION}"
    calls = [lambda: np.matmul(rows, matrix.T, out=product), lambda: fitted.encode(rows)]
    plain, ours = fastest(calls, repeat, time.perf_counter)
    yield Row(case, "product", plain, "s")
    yield Row(case, "encode", ours, "s")
    yield Row(case, "encode, speed of the product", plain / ours, "x", Target(">=", 0.5))
    with single_threaded_blas():  # whose threads wait busily
        plain, ours = fastest(calls, repeat, time.process_time)
    yield Row(case, "product, cpu time", plain, "s")
    yield Row(case, "encode, cpu time", ours, "s")
    yield Row(case, "encode, speed of the product by cpu time", plain / ours, "x")


def fitting(count: int, repeat: int) -> Iterator[Row]:
    """Return the time of Lloyd codebooks in times of the PCA fit."""
    rng = np.random.default_rng(1)
    spread = np.geomspace(1, 0.01, DIMENSION, dtype=np.float32)[:, np.newaxis]
    values = spread * rng.standard_normal((DIMENSION, count), dtype=np.float32)
    with single_threaded_blas():  # as `EncodingFitter` does
        scores = fit_projection(Moments.of(values), "pca", LLOYD_COMPONENTS).projection.transform(
            values
        )
        pca, lloyd = fastest(
            [
                lambda: fit_projection(Moments.of(values), "pca", LLOYD_COMPONENTS),
                lambda: fit_quantizer("int4", scores, "lloyd"),
            ],
            repeat,
            time.perf_counter,
        )
    case = f"{LLOYD_COMPONENTS} components, {count} samples"
    yield Row(case, "pca fit", pca, "s")
    yield Row(case, "lloyd int4", lloyd, "s")
    yield Row(case, "lloyd int4, times of the pca fit", lloyd / pca, "x", Target("<=", 10))


def fastest(
    calls: Sequence[Callable[[], object]], repeat: int, clock: Callable[[], float]
) -> list[float]:
    """Return the seconds of each call at its fastest; a first round, which warms up, is extra."""
    rounds = []
    for _ in range(repeat + 1):
        seconds = []
        for call in calls:
            started = clock()
            call()
            seconds.append(clock() - started)
        rounds.append(seconds)
    return [min(times) for times in zip(*rounds[1:], strict=True)]


if __name__ == "__main__":
    main()
