"""Draw the first page's picture, a real landscape: ``python docs/pictures/wisconsin.py``.

AlphaEarth's vectors of 10 km in Wisconsin in 2024 (16 of the 64 bands), out of a store: their three
principal directions as red, green and blue; what is like a place; and eight groups. The data are
read from ../shared/data, or where GEOEMBZ_SHARED_DATA points; they are CC-BY-4.0, made by Google
and Google DeepMind.
"""

import os
import tempfile
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import rasterio

import geoembz

mpl.use("Agg")
import matplotlib.pyplot as plt

TARGET = Path(__file__).with_name("wisconsin.jpg")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
SOURCE = "aef_wisconsin/aef_2024_wisconsin_10km_16band_epsg4326_int8.tif"
PLACE = (700, 380)
"""Column and row of the place that the map in the middle is about."""


def main() -> None:
    """Make the store, the maps and the picture."""
    source = Path(os.environ.get("GEOEMBZ_SHARED_DATA", SHARED), SOURCE)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        store = folder / "wisconsin.zarr"
        geoembz.convert(source, store, recipe="pca16-int8")
        geoembz.preview(store, folder / "colours.png", size=1400)
        opened = geoembz.open(store)
        place = float(opened.x[PLACE[0]]), float(opened.y[PLACE[1]])
        geoembz.map_similar(store, folder / "like.tif", like=[place], crs=opened.attrs["proj:code"])
        groups = geoembz.map_cluster(store, folder / "groups.tif", k=8)
        with rasterio.open(folder / "like.tif") as raster:
            like = raster.read(1)
        with rasterio.open(folder / "groups.tif") as raster:
            table = np.full((256, 3), 255, np.uint8)
            for each in groups.map.bands.classes:
                table[each.value] = each.colour
            grouped = table[raster.read(1)]
        draw(plt.imread(folder / "colours.png"), like, grouped)


def draw(colours: Any, like: Any, grouped: Any) -> None:
    """Draw the three pictures side by side, without a margin."""
    figure, axes = plt.subplots(1, 3, figsize=(12.6, 3.1))
    figure.subplots_adjust(left=0, right=1, bottom=0, top=1, wspace=0.012)
    axes[0].imshow(colours, aspect="auto")
    axes[1].imshow(like, aspect="auto", cmap="magma", vmin=np.nanpercentile(like, 5), vmax=1)
    axes[1].plot(*PLACE, "o", color="none", markeredgecolor="white", markersize=11)
    axes[2].imshow(grouped, aspect="auto", interpolation="nearest")
    for axis in axes:
        axis.set_axis_off()
    figure.savefig(TARGET, dpi=110, pil_kwargs={"quality": 84})


if __name__ == "__main__":
    main()
