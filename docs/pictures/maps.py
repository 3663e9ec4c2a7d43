"""Draw the pictures of the pages on maps: ``python docs/pictures/maps.py``.

The demo's scene: classes learned from a tenth of its labels and how sure the model is of them, and
the clusters of its vectors.
"""

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np
import rasterio
from numpy.typing import NDArray

import geoembz

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.patches import Patch

HERE = Path(__file__).parent
LABELS, CLUSTERS = 2_000, 8


def main() -> None:
    """Make the scene, its store, the maps and the pictures."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        scene = geoembz.demo.write_demo(folder)
        store = folder / "demo.zarr"
        geoembz.convert(scene.embedding, store, recipe="pca64-int8")
        learned = geoembz.map_classify(
            store, folder / "cover.tif", labels=scene.labels, samples=LABELS, probabilities=True
        )
        print(learned.to_table())
        with rasterio.open(folder / "cover-probabilities.tif") as raster:
            draw_classes(folder / "cover.tif", learned.map, raster.read().max(axis=0))
        clusters = geoembz.map_cluster(store, folder / "clusters.tif", k=CLUSTERS)
        print(clusters.to_table())
        draw_clusters(folder / "clusters.tif", clusters.map)


def draw_classes(path: Path, summary: geoembz.MapSummary, certainty: NDArray[np.float32]) -> None:
    """Draw the classes, and the probability of the likeliest of each pixel."""
    figure, axes = plt.subplots(1, 2, figsize=(9.6, 5.2), layout="constrained")
    axes[0].imshow(coloured(path, summary), interpolation="nearest")
    axes[0].set_title("classes", fontsize=10)
    legend(axes[0], summary)
    image = axes[1].imshow(certainty, cmap="magma", vmin=0.3, vmax=1, interpolation="nearest")
    axes[1].set_title("probability of that class", fontsize=10)
    figure.colorbar(image, ax=axes[1], orientation="horizontal", shrink=0.7, pad=0.02)
    save(figure, axes, "map-classes.png")


def draw_clusters(path: Path, summary: geoembz.MapSummary) -> None:
    """Draw the clusters with their colours."""
    figure, axis = plt.subplots(figsize=(5.6, 5.8), layout="constrained")
    axis.imshow(coloured(path, summary), interpolation="nearest")
    legend(axis, summary)
    save(figure, np.array([axis]), "map-clusters.png")


def coloured(path: Path, summary: geoembz.MapSummary) -> NDArray[np.uint8]:
    """Return a map of classes as red, green and blue, white without data."""
    table = np.full((256, 3), 255, np.uint8)
    for each in summary.bands.classes:
        table[each.value] = each.colour
    with rasterio.open(path) as raster:
        return table[raster.read(1)]


def legend(axis: plt.Axes, summary: geoembz.MapSummary) -> None:
    """Write what the colours mean below a map."""
    patches = [
        Patch(color=np.array(each.colour) / 255, label=each.name) for each in summary.bands.classes
    ]
    where = {"loc": "upper center", "bbox_to_anchor": (0.5, 0)}
    axis.legend(handles=patches, ncols=4, fontsize=7.5, frameon=False, **where)


def save(figure: plt.Figure, axes: NDArray[np.object_], name: str) -> None:
    """Write a picture of few colours."""
    from PIL import Image

    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.savefig(HERE / name, dpi=100, bbox_inches="tight")
    Image.open(HERE / name).convert("RGB").quantize(160).save(HERE / name, optimize=True)


if __name__ == "__main__":
    main()
