"""Generate the rasters that the benchmarks read, once, in bounded memory.

The scene is the demonstration's (`geoembz.demo.scene`), repeated; only the sensor's noise is new in
every tile. Run as ``python -m benchmarks.rasters PATH --size N …``.
"""

import argparse
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TILE = 256
_SCENE = 512
_GDAL_CACHE_BYTES = 64 * 2**20

_DEFLATE = {"compress": "deflate", "zlevel": 6, "num_threads": "all_cpus"}
_ZSTD = {"compress": "zstd", "zstd_level": 9, "num_threads": "all_cpus"}

LAYOUTS: dict[str, dict[str, Any]] = {
    "pixel": {"interleave": "pixel"},
    "band": {"interleave": "band"},
    "band-deflate": {"interleave": "band", **_DEFLATE},
    "pixel-zstd": {"interleave": "pixel", **_ZSTD},
    # As AlphaEarth Foundations publishes: square roots of unit vectors' components, as int8.
    "aef": {"interleave": "pixel", **_DEFLATE, "dtype": "int8", "nodata": -128},
}


@dataclass(frozen=True)
class RasterSpec:
    """One generated raster: `size` x `size` px, tiles of 256 px, float32 or (layout `aef`) int8.

    Parameters
    ----------
    size
        Height and width, in pixels.
    layout
        A key of `LAYOUTS`.
    dimension
        Number of bands.
    """

    size: int
    layout: str
    dimension: int = 128

    @property
    def path(self) -> Path:
        """Where the cache keeps it."""
        return cache_directory() / f"landscape-{self.layout}-{self.dimension}d-{self.size}.tif"

    @property
    def pixel_bytes(self) -> int:
        """Size of the numbers in it, uncompressed, in bytes."""
        return self.size**2 * self.vector_bytes

    @property
    def vector_bytes(self) -> int:
        """Size of one vector, uncompressed, in bytes."""
        return self.dimension * (1 if LAYOUTS[self.layout].get("dtype") == "int8" else 4)


def cache_directory() -> Path:
    """Return where rasters stay between runs: ``$GEOEMBZ_BENCH_CACHE`` or a temporary folder."""
    default = Path(tempfile.gettempdir()) / "geoembz-bench"
    directory = Path(os.environ.get("GEOEMBZ_BENCH_CACHE", default))
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def generate(spec: RasterSpec, path: Path, seed: int = 0) -> None:
    """Write the raster tile by tile; the file gets its name once it is complete."""
    import numpy as np
    import rasterio
    from rasterio.transform import from_origin
    from rasterio.windows import Window as RasterWindow

    from geoembz._demo.model import Model
    from geoembz._demo.scene import CRS, ORIGIN, PIXEL_SIZE_M, Scene
    from geoembz._geo.grid import Window, split

    scene, model = Scene.draw(_SCENE, seed), Model.draw(spec.dimension)
    profile = {
        "driver": "GTiff",
        "dtype": "float32",
        "nodata": float("nan"),
        "count": spec.dimension,
        "height": spec.size,
        "width": spec.size,
        "crs": CRS,
        "transform": from_origin(*ORIGIN, PIXEL_SIZE_M, PIXEL_SIZE_M),
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "bigtiff": "if_safer",
        **LAYOUTS[spec.layout],
    }
    partial = path.with_suffix(f".{os.getpid()}.tif")
    with (
        rasterio.Env(GDAL_CACHEMAX=_GDAL_CACHE_BYTES),
        rasterio.open(partial, "w", **profile) as raster,
    ):
        for tile in split(Window(0, 0, spec.size, spec.size), (TILE, TILE)):
            rng = np.random.default_rng([seed, tile.row, tile.col])
            part = Window(tile.row % _SCENE, tile.col % _SCENE, *tile.shape)
            values = model.embed(scene.landscape, part, rng)
            values[:, ~scene.valid[part.slices]] = np.nan
            if profile["dtype"] == "int8":
                unit = values / np.linalg.norm(values, axis=0)
                steps = np.rint(np.sign(unit) * np.sqrt(np.abs(unit)) * 127.5).clip(-127, 127)
                values = np.where(np.isfinite(steps), steps, -128).astype(np.int8)
            raster.write(values, window=RasterWindow(tile.col, tile.row, tile.width, tile.height))
    partial.replace(path)


def main() -> None:
    """Generate one raster, unless it is there."""
    parser = argparse.ArgumentParser(description=generate.__doc__)
    parser.add_argument("path", type=Path)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--layout", choices=LAYOUTS, default="pixel")
    parser.add_argument("--dimension", type=int, default=128)
    options = parser.parse_args()
    spec = RasterSpec(options.size, options.layout, options.dimension)
    if not options.path.exists():
        generate(spec, options.path)


if __name__ == "__main__":
    main()
