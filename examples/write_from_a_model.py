"""Write a store from a model's inference loop, in two processes: no float raster in between.

The model is a small one of scikit-learn, fitted on the scene itself: patches of 5 x 5 pixels of all
bands are whitened by their principal components and mapped to 64 random Fourier features, which
approximate a Gaussian kernel. The scene is Sentinel-2's where the shared data are (or the path that
is given), else a generated one.
"""

import os
import sys
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from rasterio.windows import Window as Region
from sklearn.decomposition import PCA
from sklearn.kernel_approximation import RBFSampler
from sklearn.pipeline import Pipeline, make_pipeline

import geoembz

STORE, DIMENSION, SIDE, HALO = Path("from-a-model.zarr"), 64, 32, 2


def find_scene() -> Path:
    """Return the scene that is named, the real one where it is, or one that is generated."""
    if len(sys.argv) > 1:
        return Path(sys.argv[1])
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    folder = Path(os.environ.get("GEOEMBZ_SHARED_DATA", shared))
    real = folder / "galileo_s2" / "s2_l2a_12band.tif"
    return real if real.exists() else make_scene(Path("scene.tif"))


def make_scene(path: Path, size: int = 150) -> Path:
    """Write smooth reflectances of six bands: sums of waves, and noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:size, :size] / size
    waves = np.stack([np.sin(a * x + b * y + c) for a, b, c in rng.uniform(0, 20, size=(8, 3))])
    bands = np.tensordot(rng.normal(size=(6, 8)), waves, axes=1)
    values = 2000 + 400 * bands + 20 * rng.normal(size=bands.shape)
    profile: dict[str, Any] = {"driver": "GTiff", "dtype": "float32", "crs": "EPSG:32633"}
    profile |= {"count": 6, "height": size, "width": size}
    place = rasterio.Affine(10, 0, 500_000, 0, -10, 5_300_000)
    with rasterio.open(path, "w", transform=place, **profile) as scene:
        scene.write(values.astype("float32"))
    return path


def read_patches(scene: Path, window: geoembz.Window) -> NDArray[np.float32]:
    """Return the patch around each pixel of a window, ``(height, width, numbers)``."""
    side = 2 * HALO + 1
    region = Region(
        window.col - HALO, window.row - HALO, window.width + 2 * HALO, window.height + 2 * HALO
    )
    with rasterio.open(scene) as opened:
        bands = opened.read(window=region, boundless=True, out_dtype="float32")
    patches = sliding_window_view(bands, (side, side), axis=(1, 2))
    return np.moveaxis(patches, 0, 2).reshape(*window.shape, -1)


def embed(model: Pipeline, scene: Path, window: geoembz.Window) -> NDArray[np.float32]:
    """Run the model on a window; return embeddings ``(height, width, dimension)``."""
    patches = read_patches(scene, window)
    vectors: NDArray[np.float32] = model.transform(patches.reshape(window.size, -1)).astype("f4")
    return vectors.reshape(*window.shape, DIMENSION)


def work(
    writer: geoembz.Writer, model: Pipeline, scene: Path, windows: list[geoembz.Window]
) -> None:
    """Embed windows one after the other; each is on the disk once it is written."""
    for window in windows:
        writer.write(window, embed(model, scene, window))


def main() -> None:
    """Fit model and encoding, let two processes write, and finish."""
    scene = find_scene()
    with rasterio.open(scene) as opened:
        whole = geoembz.Window(0, 0, *opened.shape)
    pixels = read_patches(scene, whole).reshape(whole.size, -1)[::7]
    model = make_pipeline(
        PCA(16, whiten=True, random_state=0),
        RBFSampler(gamma=0.02, n_components=DIMENSION, random_state=0),
    ).fit(pixels)

    fitter = geoembz.Fitter("pca32-int8", DIMENSION, seed=0)  # batches, in bounded memory
    for start in range(0, len(pixels), 1000):
        fitter.update(model.transform(pixels[start : start + 1000]))
    with geoembz.create(
        STORE,
        encoding=fitter.fit(),
        like=scene,
        chunk=64,
        sources=[f"file:{scene.name}"],
        overwrite=True,
    ) as writer:
        windows = writer.missing(SIDE)  # after a crash: those that are still to do
        parts = [(writer, model, scene, windows[number::2]) for number in range(2)]
        with get_context("spawn").Pool(2) as pool:
            pool.starmap(work, parts)
        summary = writer.finish()
    print(summary.to_table())

    window = geoembz.Window(40, 60, 8, 8)
    place = {"y": slice(40, 48), "x": slice(60, 68)}
    stored = geoembz.open(STORE, space="original").isel(place)
    vectors = stored["embedding"].transpose("y", "x", ...).values
    expected = embed(model, scene, window)
    cosine = (vectors * expected).sum() / np.linalg.norm(vectors) / np.linalg.norm(expected)
    print(f"{len(windows)} windows of {SIDE} x {SIDE} from {scene.name}; cosine here {cosine:.4f}")


if __name__ == "__main__":
    main()
