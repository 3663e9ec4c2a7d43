"""Draw the picture of README and the first page: ``python docs/pictures/overview.py``.

One scene of the demo as it came and out of stores of fewer and fewer bytes: its three principal
directions as red, green and blue, stretched alike, and below them what each store lost.
"""

import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import rasterio
from numpy.typing import NDArray

import geoembz

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm

TARGET = Path(__file__).with_name("overview.jpg")
RECIPES = ("pca64-int8", "pca64-int4-lloyd", "pca32-rot-int4-lloyd", "rot-binary")
SIZE = 256
LOSSES = (0.0001, 0.1)


def main() -> None:
    """Make the scene, its stores and the picture."""
    with tempfile.TemporaryDirectory() as folder:
        scene = geoembz.demo.write_demo(Path(folder), size=SIZE).embedding
        with rasterio.open(scene) as raster:
            original = raster.read().reshape(raster.count, -1)
        decoded = {}
        for recipe in RECIPES:
            store = Path(folder, f"{recipe}.zarr")
            summary = geoembz.convert(scene, store, recipe=recipe)
            vectors = geoembz.open(store)["embedding"].values.reshape(len(original), -1)
            decoded[f"{recipe}\n{summary.bytes_per_embedding} bytes"] = vectors
    draw(original, decoded)


def draw(original: NDArray[np.float32], decoded: dict[str, NDArray[np.float32]]) -> None:
    """Draw the original above the legend, and each decoded scene above its loss."""
    paint = painter(original)
    figure, axes = plt.subplots(2, 1 + len(decoded), figsize=(11, 4.7), layout="constrained")
    columns: dict[str, NDArray[np.float32]] = {
        f"original, float32\n{len(original) * 4} bytes": original,
        **decoded,
    }
    losses: Any = None
    for (above, below), (title, vectors) in zip(axes.T, columns.items(), strict=True):
        above.imshow(paint(vectors))
        above.set_title(title, fontsize=9.5)
        if vectors is not original:
            loss = 1.0 - cosine(original, vectors)
            norm = LogNorm(*LOSSES)
            losses = below.imshow(loss.reshape(SIZE, SIZE), cmap="cividis", norm=norm)
            below.set_title(f"mean loss {np.nanmean(loss):.4f}", fontsize=9)
    for axis in axes.flat:
        axis.set_axis_off()
    axes[1, 0].text(
        *(0.0, 0.5, "loss = 1 − cosine\n(original, decoded)\n\nwhite: no data"),
        fontsize=9.5,
        va="center",
        transform=axes[1, 0].transAxes,
    )
    figure.colorbar(losses, ax=axes[1, :], fraction=0.012, extend="both")
    figure.savefig(TARGET, dpi=110, pil_kwargs={"quality": 85})


def painter(original: NDArray[np.float32]) -> Any:
    """Return what turns vectors into colours, with the original's directions and stretch."""
    valid = np.isfinite(original).all(axis=0)
    mean = original[:, valid].mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(np.cov(original[:, valid]))
    low, high = np.percentile(axes[:, :-4:-1].T @ (original[:, valid] - mean), (2, 98), axis=1)

    def paint(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        scores = axes[:, :-4:-1].T @ (vectors - mean)
        colours = np.clip((scores.T - low) / (high - low), 0, 1)
        colours[~np.isfinite(colours).all(axis=1)] = 1.0
        return np.asarray(colours.reshape(SIZE, SIZE, 3), dtype=np.float64)

    return paint


def cosine(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the cosine similarity of vectors in columns."""
    lengths = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
    similarity: NDArray[np.float32] = (one * other).sum(axis=0) / lengths
    return similarity


if __name__ == "__main__":
    main()
