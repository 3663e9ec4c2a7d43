"""Find places like a place, and map a class, from the codes alone."""

from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression

import geoembz

files = geoembz.demo.write_demo(Path("demo"), size=96)
geoembz.convert(files.embedding, "demo.zarr", pca=32)

tile = geoembz.open("demo.zarr")
query = tile.embedding[:, 50, 60].values
found = geoembz.search("demo.zarr", query, k=5)
print(found.to_table())

vectors = tile.embedding.values.reshape(tile.sizes["dimension"], -1).T
vectors = vectors[np.isfinite(vectors).all(axis=1)]
labels = (vectors @ query > np.median(vectors @ query)).astype(int)
model = LogisticRegression(max_iter=500).fit(vectors, labels)
mapped = geoembz.apply_model(model, "demo.zarr").predict("demo.zarr")
print(mapped.to_series().value_counts())
