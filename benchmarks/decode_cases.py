"""The things `benchmarks.decode` compares, each to be run in a process of its own.

``python -m benchmarks.decode_cases CASE PATH [SOURCE]`` prints the seconds that the case took, as
JSON. A first pixel is read before the clock starts, for what is imported on the way. The stores are
made by the cases ``make-plain`` and ``make-codec``.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Literal

N_COMPONENTS = 64


def make(path: str, layout: Literal["plain", "codec"], source: str) -> float:
    """Convert `source` with ``--pca 64 --int8``."""
    import geoembz

    started = time.perf_counter()
    geoembz.convert(source, path, pca=N_COMPONENTS, quantizer="int8", layout=layout, overwrite=True)
    return time.perf_counter() - started


def decode(path: str) -> float:
    """Decode a whole store to float32 of the original dimension."""
    import geoembz

    geoembz.open(path)["embedding"][:, :1, :1].load()
    started = time.perf_counter()
    values = geoembz.open(path, space="original")["embedding"].values
    seconds = time.perf_counter() - started
    check(values)
    return seconds


def read_codec(path: str) -> float:
    """Read a store of the codec layout with Zarr alone."""
    import numpy as np
    import zarr

    zarr.open_array(f"{path}/embedding", mode="r")[:, :1, :1]
    started = time.perf_counter()
    values = np.asarray(zarr.open_array(f"{path}/embedding", mode="r")[...])
    seconds = time.perf_counter() - started
    check(values)
    return seconds


def check(values: Any) -> None:
    """Refuse to time anything but float32 of the original dimension."""
    if values.dtype != "float32" or values.shape[-3] <= N_COMPONENTS:
        raise SystemExit(f"got {values.dtype} {values.shape}; expected decoded float32 vectors")


def copy(dimension: int, size: int) -> float:
    """Copy such an output into freshly allocated memory, page faults included."""
    import numpy as np

    values = np.random.default_rng(0).random((dimension, size, size), dtype=np.float32)
    started = time.perf_counter()
    fresh = np.empty_like(values)
    np.copyto(fresh, values)
    return time.perf_counter() - started


def run(case: str, arguments: Sequence[str]) -> float:
    """Run one case by name."""
    if case == "copy":
        return copy(*map(int, arguments))
    if case.startswith("make-"):
        layout: Literal["plain", "codec"] = "codec" if case == "make-codec" else "plain"
        return make(arguments[0], layout, arguments[1])
    return {"decode": decode, "codec-layout": read_codec}[case](arguments[0])


def main() -> None:
    """Run the case of the command line and print its seconds."""
    print(json.dumps({"seconds": run(sys.argv[1], sys.argv[2:])}))


if __name__ == "__main__":
    main()
