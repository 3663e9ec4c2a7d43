"""The three things `benchmarks.convert` compares, each to be run in a process of its own.

``python -m benchmarks.convert_cases CASE SRC DST SMALL`` prints the seconds that the case took, as
JSON. Whatever writes a store first converts the raster SMALL: what it imports on the way is loaded
before the clock starts.
"""

import json
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

WORKERS = 2
N_COMPONENTS = 64
READ_CASES: dict[str, dict[str, Any]] = {
    # How a reader could group tiles of 256 px into windows; the fastest is the floor.
    "read-256x256": {"rows": 256, "cols": 256},
    "read-256x512": {"rows": 256, "cols": 512},
    "read-512x512": {"rows": 512, "cols": 512},
    # GDAL's unbuffered path for uncompressed pixel-interleaved files, off unless asked for.
    "read-256x256-direct": {"rows": 256, "cols": 256, "GTIFF_DIRECT_IO": "YES"},
}


def ours(source: Path, destination: Path, workers: int = WORKERS) -> float:
    """Convert with ``--pca 64 --int8``; int8 is taken as numbers, as by hand."""
    import geoembz

    started = time.perf_counter()
    geoembz.convert(
        source,
        destination,
        pca=N_COMPONENTS,
        quantizer="int8",
        product="raster",
        workers=workers,
        overwrite=True,
    )
    return time.perf_counter() - started


def read(source: Path, *, rows: int, cols: int, **gdal: Any) -> float:
    """Merely read the file, each thread with a handle and a buffer of its own."""
    import numpy as np
    import rasterio
    from rasterio.windows import Window as RasterWindow

    from geoembz._geo.grid import Window, split
    from geoembz.sources.gdal import BLOCK_CACHE_BYTES

    with rasterio.open(source) as raster:
        count, height, width = raster.count, raster.height, raster.width
    windows = iter(list(split(Window(0, 0, height, width), (rows, cols))))
    lock = threading.Lock()

    def work() -> None:
        settings = rasterio.Env(GDAL_CACHEMAX=BLOCK_CACHE_BYTES, **gdal)
        with settings, rasterio.open(source) as raster:
            buffer = np.empty((count, rows, cols), dtype=raster.dtypes[0])
            while True:
                with lock:
                    window = next(windows, None)
                if window is None:
                    return
                region = RasterWindow(window.col, window.row, window.width, window.height)
                raster.read(window=region, out=buffer[:, : window.height, : window.width])

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def by_hand(source: Path, destination: Path) -> float:
    """Do what a user writes today with rioxarray, scikit-learn and ``to_zarr``."""
    import dask
    import numpy as np
    import rioxarray
    import xarray as xr
    from sklearn.decomposition import PCA

    started = time.perf_counter()
    dask.config.set(scheduler="threads", num_workers=WORKERS)
    data: Any = rioxarray.open_rasterio(source, chunks={"band": -1, "y": 512, "x": 512}, lock=False)
    step = max(1, int((data.sizes["y"] * data.sizes["x"] / 100_000) ** 0.5))
    sample = data[:, ::step, ::step].stack(pixel=("y", "x")).transpose("pixel", "band").values
    sample = sample[np.isfinite(sample).all(axis=1)]
    pca = PCA(N_COMPONENTS).fit(sample)
    components = pca.transform(sample)
    low, high = components.min(axis=0), components.max(axis=0)
    scale = (high - low) / 254

    def encode(block: Any) -> Any:
        pixels = block.reshape(-1, block.shape[-1])
        valid = np.isfinite(pixels).all(axis=1)
        codes = np.full((len(pixels), N_COMPONENTS), -128, dtype=np.int8)
        if valid.any():
            steps = np.rint((pca.transform(pixels[valid]) - low) / scale) - 127
            codes[valid] = np.clip(steps, -127, 127)
        return codes.reshape(*block.shape[:-1], N_COMPONENTS)

    codes = xr.apply_ufunc(
        encode,
        data,
        input_core_dims=[["band"]],
        output_core_dims=[["component"]],
        dask="parallelized",
        output_dtypes=[np.int8],
        dask_gufunc_kwargs={"output_sizes": {"component": N_COMPONENTS}},
    ).transpose("component", "y", "x")
    codes.attrs.clear()
    dataset = codes.to_dataset(name="embedding").assign(
        scale=("component", scale),
        mean=("dimension", pca.mean_),
        projection=(("component", "dimension"), pca.components_),
    )
    dataset.drop_encoding().to_zarr(destination, mode="w", consolidated=False)
    return time.perf_counter() - started


def main() -> None:
    """Run one case and print its seconds."""
    case, source, destination, small = sys.argv[1], *map(Path, sys.argv[2:])
    if case in READ_CASES:
        seconds = read(source, **READ_CASES[case])
    else:
        writers: dict[str, Any] = {
            "ours": ours,
            "ours-1-worker": partial(ours, workers=1),
            "by-hand": by_hand,
        }
        convert = writers[case]
        convert(small, destination.with_name("small.zarr"))
        seconds = convert(source, destination)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
