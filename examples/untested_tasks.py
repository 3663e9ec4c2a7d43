"""Say what compression costs the tasks that the seed article left untested.

Regression, segmentation, retrieval and change detection on the demonstration's scene. Replace the
paths by your own embeddings and labels.
"""

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import rasterio

import geoembz

RECIPES = ["int8", "pca16-int4-lloyd", "pca8-binary"]


def write_like(path: Path, model: Path, values: np.ndarray) -> Path:
    """Write an image on the grid of another one."""
    with rasterio.open(model) as raster:
        profile = raster.profile | {"count": len(values), "dtype": values.dtype, "nodata": None}
    with rasterio.open(path, "w", **profile) as raster:
        raster.write(values)
    return path


def write_quantity(folder: Path, embedding: Path) -> Path:
    """Write something like a canopy height: smooth in the embedding, and noisy."""
    with rasterio.open(embedding) as raster:
        values = raster.read()
    rng = np.random.default_rng(0)
    height = 20 + np.einsum("d,dyx->yx", rng.normal(size=len(values)), values)
    noisy = height + 0.3 * rng.normal(size=height.shape)
    return write_like(folder / "height.tif", embedding, noisy[np.newaxis].astype(np.float32))


def main() -> None:
    """Evaluate one task after the other."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        files = geoembz.demo.write_demo(folder, size=128, dimension=64, later=True)
        height = write_quantity(folder, files.embedding)
        for task, labels, second in (
            ("regression", height, None),
            ("segmentation", files.labels, None),
            ("retrieval", files.labels, None),
            ("change", files.changed, files.later),
        ):
            evaluation = geoembz.evaluate(
                source=files.embedding,
                labels=labels,
                after=second,
                recipes=RECIPES,
                tasks=[task],
                samples=4000,
            )
            metric = evaluation.metrics[task]
            full = evaluation.baseline["tasks"][task][metric]
            print(f"{task}: {metric} {full:.3f} uncompressed")
            for result in evaluation.recipes:
                scores = result.tasks[task]
                print(f"  {result.recipe}, {result.bytes} bytes: {scores['text']}")


if __name__ == "__main__":
    main()
