"""Fit an encoding on an array of vectors, without any raster or store."""

import numpy as np
from numpy.typing import NDArray

from geoembz import Encoding


def correlated_vectors(count: int, dimension: int, seed: int) -> NDArray[np.float32]:
    """Return vectors whose spectrum decays as a foundation model's does."""
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(dimension, dimension)))[0]
    strengths = 1.0 / np.arange(1, dimension + 1)
    return ((rng.normal(size=(count, dimension)) * strengths) @ axes).astype(np.float32)


def main() -> None:
    """Compare what four recipes lose on vectors that the fit has not seen."""
    train, test = np.split(correlated_vectors(count=4000, dimension=128, seed=0), 2)
    for recipe in ("int8", "pca64-int8", "pca64-int4", "pca64-binary"):
        encoding = Encoding.fit(train, recipe, seed=0)
        decoded = encoding.decode(encoding.encode(test), space="original")
        rmse = float(np.sqrt(np.mean((decoded - test) ** 2)))
        print(f"{recipe:12} {encoding.bytes_per_vector:4} bytes per vector, RMSE {rmse:.4f}")


if __name__ == "__main__":
    main()
