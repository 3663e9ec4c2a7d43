"""Map classes from a few labels, see how good the map is, and apply the model to the next year."""

from pathlib import Path

import geoembz

files = geoembz.demo.write_demo(Path("demo"), size=96, later=True)
geoembz.convert(files.embedding, "demo.zarr", pca=32)
result = geoembz.map_classify(
    "demo.zarr", "cover.tif", labels=files.labels, samples=1000, save_model="cover.json"
)
print(result.to_table())

geoembz.convert(str(files.later), "later.zarr", basis="demo.zarr")
later = geoembz.map_classify("later.zarr", "later.tif", model="cover.json")
print(later.map.to_table())

print(geoembz.map_cluster("demo.zarr", "clusters.tif", k=6).to_table())
