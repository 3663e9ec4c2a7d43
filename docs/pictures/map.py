"""Draw the picture of the page on maps: ``python docs/pictures/map.py``.

The demo's scene and the same place a year later, in one store: what is like grassland, how
unusual each pixel's change is, and where the land was really made to change.
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
from matplotlib.colors import ListedColormap

TARGET = Path(__file__).with_name("map.jpg")
GRASS = [(10.33294, 46.92683), (10.34534, 46.92902), (10.34262, 46.92536)]
CEREAL = [(10.33887, 46.93306), (10.31475, 46.93496)]
UNUSUAL = 3.5


def main() -> None:
    """Make the scene, the store, its maps and the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = geoembz.write_demo(folder / "years", size=256, later=True)
        store = folder / "years.zarr"
        geoembz.convert(files.embedding, store, pca=64, time="2024")
        geoembz.append(store, folder / "years" / "later.tif", time="2025")
        places = {"like": GRASS, "unlike": CEREAL}
        geoembz.map_similar(store, folder / "like.tif", time="2024", **places)
        geoembz.map_change(store, folder / "change.tif", start="2024", end="2025")
        scene = geoembz.open(store).isel(time=0, dimension=slice(3))["embedding"].values
        changed = read(folder / "years" / "changed.tif")
        draw(scene, read(folder / "like.tif"), read(folder / "change.tif", 2), changed)


def read(path: Path, band: int = 1) -> NDArray[np.float32]:
    """Read a band, NaN where there is none."""
    with rasterio.open(path) as raster:
        return raster.read(band, masked=True).astype(np.float32).filled(np.nan)


def draw(
    scene: NDArray[np.float32],
    like: NDArray[np.float32],
    scores: NDArray[np.float32],
    changed: NDArray[np.float32],
) -> None:
    """Draw the four beside each other, two by two."""
    low, high = np.nanpercentile(scene, [2, 98], axis=(1, 2))
    colours = np.clip((scene.transpose(1, 2, 0) - low) / (high - low), 0, 1)
    figure, axes = plt.subplots(2, 2, figsize=(7.2, 6.6), layout="constrained")
    (one, two), (three, four) = axes
    one.imshow(np.nan_to_num(colours, nan=1.0))
    one.set_title("three numbers of the vectors of 2024", fontsize=10)
    alike = two.imshow(like, cmap="viridis")
    two.set_title("like grass, unlike cereal: cosine", fontsize=10)
    unusual = three.imshow(scores, cmap="magma", vmin=-1, vmax=3 * UNUSUAL)
    three.contour(np.nan_to_num(scores) > UNUSUAL, [0.5], colors="tab:cyan", linewidths=0.5)
    three.set_title(f"2024 to 2025: z-score, outlined above {UNUSUAL}", fontsize=10)
    truth = ListedColormap(["#e8e8e8", "#c81e5a"])
    four.imshow(changed, cmap=truth, vmin=0, vmax=1, interpolation="nearest")
    four.set_title("changed by the demo (white: not known)", fontsize=10)
    for shown, axis in ((alike, two), (unusual, three)):
        figure.colorbar(shown, ax=axis, shrink=0.8)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    figure.savefig(TARGET, dpi=100, pil_kwargs={"quality": 80})


if __name__ == "__main__":
    main()
