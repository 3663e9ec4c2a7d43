"""Map what is like some places, and what changed there within a year."""

from pathlib import Path

import numpy as np
import rasterio

import geoembz

files = geoembz.demo.write_demo(Path("demo"), size=96, later=True)
geoembz.convert(files.embedding, "years.zarr", pca=32, time="2024")
geoembz.append("years.zarr", str(files.later), time="2025")

store = geoembz.open("years.zarr")
crs = store.attrs["proj:code"]
place = float(store.x[48]), float(store.y[48])
similar = geoembz.map_similar("years.zarr", "like.tif", like=[place], crs=crs, time="2024")
print(similar.to_table())

change = geoembz.map_change("years.zarr", "change.tif", start="2024", end="2025")
print(change.to_table())

with rasterio.open("change.tif") as raster:
    distance, score = raster.read()
row, col = np.unravel_index(np.nanargmax(score), score.shape)
print(f"most unusual: z = {score[row, col]:.1f} at x {store.x[col]:.0f}, y {store.y[row]:.0f}")
