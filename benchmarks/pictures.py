"""Draw the documentation's pictures: ``python -m benchmarks.pictures``.

The demo scene before and after, what `geoembz evaluate` plots of it, and the article's Pareto plot
from the numbers in ``benchmarks/results/article.json``.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray

import geoembz
from benchmarks.article_numbers import COMBINED
from benchmarks.article_tables import NUMBERS, REPOSITORY
from geoembz._evaluate import Evaluation
from geoembz._evaluate.plots import (
    COLOURS,
    Point,
    class_plot,
    draw_panel,
    panels,
    pareto_plot,
    svg,
)

FOLDER = REPOSITORY / "docs/pictures"
RECIPES = (
    "int8",
    "pca32-int4-lloyd",
    "pca64-rot-pq16x8",
    "rot-binary",
    "pca16-binary",
    "pca4-binary",
)
SMALLEST = 4
"""Bytes of the smallest recipe whose losses are drawn; smaller ones would take the whole scale."""

ARTICLE_SIZES = {
    "int8": 1024,
    "int4": 512,
    "pca128-int8": 128,
    "pca64-int8": 64,
    "pca32-int8": 32,
    "pca16-int4": 8,
}
"""Bytes of the configurations in the article's table for DINOv3."""


def draw_scene(embedding: Path, store: Path) -> None:
    """Draw a scene, its decoded self and where they differ."""
    with rasterio.open(embedding) as raster:
        original = raster.read().astype(np.float32)
    decoded = geoembz.open(store)["embedding"].transpose("dimension", "y", "x").to_numpy()
    error = 1 - _cosine(original, decoded)
    images = {
        "original, 512 bytes a pixel": false_colours(original, original),
        "decoded, 64 bytes a pixel": false_colours(original, decoded),
        "1 − cosine": error,
    }
    with panels(3, 10.4, 3.5) as (figure, axes):
        for panel, (name, image) in zip(axes, images.items(), strict=True):
            shown = panel.imshow(image, cmap="cividis", interpolation="nearest")
            panel.set_title(name)
            panel.set_facecolor("#dddddd")
            panel.grid(visible=False)
            panel.set_xticks([])
            panel.set_yticks([])
        figure.colorbar(shown, shrink=0.8)
        figure.savefig(FOLDER / "demo.jpg", dpi=130, pil_kwargs={"quality": 80})


def draw_evaluation(evaluation: Evaluation) -> None:
    """Draw what a report shows: score over bytes, and losses per class."""
    (FOLDER / "evaluate-pareto.svg").write_text(pareto_plot(evaluation))
    results = [result for result in evaluation.recipes if result.bytes >= SMALLEST]
    drops = {result.recipe: result.tasks["knn"]["f1_drop"] for result in results[1:]}
    (FOLDER / "evaluate-classes.svg").write_text(class_plot(drops, "F1"))


def draw_article(numbers: dict[str, Any]) -> None:
    """Draw kNN accuracy over bytes on EuroSAT, here and in the article."""
    eurosat = numbers["eurosat"]
    points = []
    for entry in eurosat["recipes"]:
        if entry["bytes"] < SMALLEST:
            continue
        task = entry["tasks"].get("hamming", entry["tasks"]["knn"])
        low, high = (task["accuracy"] - task["delta"] + end for end in task["ci95"])
        points.append(Point(entry["recipe"], entry["bytes"], task["accuracy"], (low, high)))
    baseline = eurosat["baseline"]["tasks"]["knn"]["accuracy"]
    article = [Point(n, size, COMBINED[n][0] / 100) for n, size in ARTICLE_SIZES.items()]
    with panels(2, 10.4, 3.9, share_y=True) as (figure, (left, right)):
        for axes in (left, right):
            axes.set_xlim(3, 2600)
            axes.set_ylim(0.83, 0.96)
        draw_panel(figure, left, points, baseline, COLOURS[0])
        draw_panel(figure, right, article, COMBINED["float32"][0] / 100, COLOURS[1])
        left.set_title("here: EfficientNet-Lite0, 1,280 dimensions")
        right.set_title("the article: DINOv3, 1,024 dimensions")
        left.set_ylabel("kNN accuracy")
        (FOLDER / "article-pareto.svg").write_text(svg(figure))


def false_colours(fitted: NDArray[np.float32], shown: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the first three principal components of `fitted` as red, green and blue.

    The result has shape ``(y, x, 3)``. Both arrays have shape ``(dimension, y, x)``; pixels without
    data become white.
    """
    flat = fitted.reshape(len(fitted), -1)
    flat = flat[:, np.isfinite(flat).all(axis=0)]
    mean = flat.mean(axis=1, keepdims=True)
    axes = np.linalg.svd(np.cov(flat))[0][:, :3]
    low, high = np.quantile(axes.T @ (flat - mean), [0.02, 0.98], axis=1)
    scores = (axes.T @ (shown.reshape(len(shown), -1) - mean)).T
    scaled = np.clip((scores - low) / (high - low), 0, 1).reshape(*shown.shape[1:], 3)
    return np.asarray(np.where(np.isfinite(scaled), scaled, 1), np.float32)


def _cosine(left: NDArray[np.float32], right: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = np.linalg.norm(left, axis=0) * np.linalg.norm(right, axis=0)
    return np.asarray((left * right).sum(axis=0) / norms)


def main() -> None:
    """Draw everything."""
    FOLDER.mkdir(exist_ok=True)
    draw_article(json.loads(NUMBERS.read_text()))
    with TemporaryDirectory() as name:
        files = geoembz.demo.write_demo(Path(name))
        store = Path(name) / "demo.zarr"
        geoembz.convert(files.embedding, store, pca=64, quantizer="int8")
        draw_scene(files.embedding, store)
        evaluation = geoembz.evaluate(
            store, source=files.embedding, labels=files.labels, recipes=RECIPES, samples=6000
        )
        draw_evaluation(evaluation)
    for path in sorted(FOLDER.iterdir()):
        print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
