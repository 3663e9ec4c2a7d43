"""Convert a small GeoTIFF of embeddings, then read a window of vectors back."""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio
from numpy.typing import NDArray

import geoembz

BANDS, HEIGHT, WIDTH = 32, 96, 128


def write_raster(path: Path) -> NDArray[np.float32]:
    """Write smooth random embeddings with a corner of nodata; return them."""
    rng = np.random.default_rng(0)
    fields = np.cumsum(rng.normal(size=(8, HEIGHT, WIDTH)), axis=1)
    mixed = np.einsum("kyx,kd->dyx", fields, rng.normal(size=(8, BANDS)))
    vectors = np.asarray(mixed, dtype=np.float32)
    vectors[:, :16, :16] = np.nan
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        count=BANDS,
        height=HEIGHT,
        width=WIDTH,
        dtype="float32",
        crs="EPSG:32632",
        transform=rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000),
    ) as raster:
        raster.write(vectors)
    return vectors


def main() -> None:
    """Convert, open lazily, and compare one window with its source."""
    with TemporaryDirectory() as folder:
        source, store = Path(folder, "embedding.tif"), Path(folder, "embedding.zarr")
        vectors = write_raster(source)
        summary = geoembz.convert(source, store, pca=8, quantizer="int8")
        print(f"{summary.bytes_in} bytes became {summary.bytes_stored}")

        embedding = geoembz.open(store)["embedding"]
        window = embedding.isel(y=slice(32, 64), x=slice(32, 64)).to_numpy()
        error = np.abs(window - vectors[:, 32:64, 32:64]).max()
        print(f"largest error in the window: {error:.3f} of {np.nanmax(np.abs(vectors)):.1f}")


if __name__ == "__main__":
    main()
