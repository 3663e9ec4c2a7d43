"""The things `benchmarks.sampling` compares, each to be run in a process of its own.

``python -m benchmarks.sampling_cases CASE STORE NUMBER`` prints the seconds that it took, as JSON.
"""

import json
import shutil
import sys
import time
from pathlib import Path

ZONES = {"EPSG:32632": -0.8, "EPSG:32633": -0.2}
"""Where each zone's raster begins: so far from their border, in its own widths."""

_BLOCK = 512


def make(store: Path, side: int) -> float:
    """Convert two rasters that overlap at the border of their zones, 12 degrees east."""
    import rasterio
    from pyproj import Transformer

    import geoembz
    from benchmarks.rasters import RasterSpec, generate

    spec, sources = RasterSpec(side, "pixel"), []
    if not spec.path.exists():
        generate(spec, spec.path)
    for number, (crs, start) in enumerate(ZONES.items()):
        x, y = Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(12.0, 47.0)
        left, top = round(x, -1) + round(start * side) * 10, round(y, -1) + side * 5
        sources.append(store.with_name(f"{number}.tif"))
        shutil.copy(spec.path, sources[-1])
        with rasterio.open(sources[-1], "r+") as raster:
            raster.crs, raster.transform = crs, rasterio.Affine(10, 0, left, 0, -10, top)
    geoembz.convert(sources, store, recipe="pca64-int8")
    for source in sources:
        source.unlink()
    return 0.0


def points(store: Path, count: int, out: Path | None = None) -> float:
    """Sample random points of a box that holds both zones, and some space around them."""
    import numpy as np

    import geoembz
    from geoembz._geo import box_around
    from geoembz.store.grids import open_readers

    grids = [reader.attributes.grid for reader in open_readers(store)]
    boxes = np.array([box_around(grid.bbox, grid.crs_wkt, "OGC:CRS84") for grid in grids])
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    places = np.random.default_rng(0).uniform(low, high, (count, 2))
    started = time.perf_counter()
    sampled = geoembz.sample(store, places, out=out, overwrite=True)
    taken = time.perf_counter() - started
    assert sampled.found.mean() > 0.5
    return taken


def all_pixels(store: Path) -> float:
    """Decode every block of both zones."""
    from geoembz._geo.grid import split
    from geoembz.store.grids import open_readers

    started = time.perf_counter()
    for reader in open_readers(store):
        for block in split(reader.attributes.grid.window, (_BLOCK, _BLOCK)):
            reader.read(block, "original")
    return time.perf_counter() - started


def main() -> None:
    """Run one case."""
    case, path, number = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    if case == "make":
        seconds = make(path, number)
    elif case == "all-pixels":
        seconds = all_pixels(path)
    else:
        out = path.with_name("out.parquet") if case == "points-to-file" else None
        seconds = points(path, number, out)
    print(json.dumps({"seconds": seconds}))


if __name__ == "__main__":
    main()
