"""Time an evaluation without labels: ``python -m benchmarks.evaluate``.

100,000 vectors of 512 numbers over 12 recipes; target: 3 minutes and 3 GB on 2 cores.
"""

import argparse
import platform
import resource
import sys
import time

import numpy as np
from numpy.typing import NDArray

from geoembz import Evaluation, __version__
from geoembz.assess import Sample
from geoembz.assess.run import evaluate_sample

RECIPES = (
    "int8",
    "int4",
    "int4-lloyd",
    "binary",
    "rot-binary",
    "float32",
    "pca128-int8",
    "pca64-int8",
    "pca32-int8",
    "pca64-int4-lloyd",
    "pca64-rot-pq16x8",
    "pca32-rot-pq8x8",
)
MOST_SECONDS, MOST_BYTES = 180.0, 3e9


def draw(n_rows: int, dimension: int) -> NDArray[np.float32]:
    """Draw vectors whose variance falls over 64 directions, with noise in all."""
    rng = np.random.default_rng(0)
    scales = np.geomspace(3, 0.3, 64, dtype=np.float32)
    scores = rng.standard_normal((n_rows, 64), dtype=np.float32) * scales
    axes = rng.standard_normal((64, dimension), dtype=np.float32)
    noise = rng.standard_normal((n_rows, dimension), dtype=np.float32)
    return (scores @ axes + noise + 1).astype(np.float32)


def peak_bytes() -> int:
    """Return the largest resident memory of this process."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def main() -> None:
    """Measure once and print; exit 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    options = parser.parse_args()
    sample = Sample(draw(options.rows, options.dimension))
    started, cpu_started = time.perf_counter(), time.process_time()
    evaluation: Evaluation = evaluate_sample(sample, RECIPES)
    seconds, memory = time.perf_counter() - started, peak_bytes()
    cpu = time.process_time() - cpu_started
    print(evaluation.to_table())
    print(f"geoembz {__version__}, {platform.machine()}, Python {platform.python_version()}")
    print(
        f"{len(RECIPES)} recipes: {seconds:.0f} s ({cpu:.0f} s of CPU), peak {memory / 1e9:.2f} GB"
    )
    if seconds > MOST_SECONDS or memory > MOST_BYTES:
        sys.exit(1)


if __name__ == "__main__":
    main()
