"""Draw what recipes lose, and print the table beside it: ``python docs/pictures/recipes.py``.

A part of the demo's scene as it comes out of stores of several recipes, in the colours of the
original's principal directions, and below each what it lost, pixel by pixel.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
import rasterio
from numpy.typing import NDArray

import geoembz

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.colors import LogNorm

HERE = Path(__file__).parent
SIZE, SAMPLES = 256, 4_000
SHOWN = (slice(40, 168), slice(60, 188))
"""Rows and columns of the picture: a lake, a village, roads and fields."""
LOSSES = (0.0003, 0.3)
PICTURES = {
    "recipes-components.jpg": ("int8", "pca64-int8", "pca32-int8", "pca16-int8", "pca4-int8"),
    "recipes-bits.jpg": (
        *("pca64-int8", "pca64-int4-lloyd", "pca64-int2-lloyd", "pca64-itq-ternary"),
        "pca64-itq-binary",
    ),
    "recipes-eight-bytes.jpg": (
        *("pca8-int8", "pca16-int4-lloyd", "pca64-itq-binary", "pca32-rot-pq8x8", "pca64-rq8x8"),
    ),
}


@dataclass(frozen=True)
class Scene:
    """The original vectors, and how to turn vectors into colours."""

    vectors: NDArray[np.float32]
    mean: NDArray[np.float32]
    axes: NDArray[np.float32]
    stretch: NDArray[np.float64]

    @classmethod
    def read(cls, path: Path) -> "Scene":
        """Read a raster, and find its three principal directions."""
        with rasterio.open(path) as raster:
            vectors = raster.read()
        known = vectors[:, np.isfinite(vectors).all(axis=0)]
        mean = known.mean(axis=1)
        axes = np.linalg.eigh(np.cov(known))[1][:, :-4:-1].T.astype(np.float32)
        stretch = np.percentile(axes @ (known - mean[:, None]), (2, 98), axis=1)
        return cls(vectors, mean, axes, stretch)

    def paint(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the colours of vectors ``(dimension, y, x)``; white without data."""
        scores = np.tensordot(self.axes, vectors - self.mean[:, None, None], axes=1)
        low, high = self.stretch
        colours = np.clip((scores.transpose(1, 2, 0) - low) / (high - low), 0, 1)
        return np.nan_to_num(colours, nan=1.0)

    def lost_by(self, vectors: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return one less the cosine of what is left of both vectors without the mean."""
        one, other = (each - self.mean[:, None, None] for each in (self.vectors, vectors))
        lengths = np.linalg.norm(one, axis=0) * np.linalg.norm(other, axis=0)
        lost: NDArray[np.float32] = 1 - (one * other).sum(axis=0) / lengths
        return lost


def main() -> None:
    """Make the scene, its stores, the pictures and the table."""
    recipes = tuple(dict.fromkeys(recipe for row in PICTURES.values() for recipe in row))
    with tempfile.TemporaryDirectory() as name:
        files = geoembz.demo.write_demo(Path(name), size=SIZE)
        scene = Scene.read(files.embedding)
        decoded = {recipe: decode(files.embedding, Path(name), recipe) for recipe in recipes}
        print_table(files, recipes)
    for picture, row in PICTURES.items():
        draw(HERE / picture, scene, {recipe: decoded[recipe] for recipe in row})


def decode(source: Path, folder: Path, recipe: str) -> tuple[float, NDArray[np.float32]]:
    """Convert a raster, and return the bytes of a vector and what the store gives back."""
    store = folder / f"{recipe}.zarr"
    summary = geoembz.convert(source, store, recipe=recipe)
    return summary.bytes_per_embedding, geoembz.open(store)["embedding"].values


def print_table(files: geoembz.DemoFiles, recipes: tuple[str, ...]) -> None:
    """Print what each recipe keeps, on blocks of the scene that its fit has not seen."""
    evaluation = geoembz.evaluate(
        source=files.embedding, labels=files.labels, recipes=recipes, samples=SAMPLES
    )
    print(evaluation.to_table())


def draw(target: Path, scene: Scene, decoded: dict[str, tuple[float, NDArray[np.float32]]]) -> None:
    """Draw the original and each decoded scene, and below these what was lost."""
    figure, axes = plt.subplots(2, 1 + len(decoded), figsize=(11.4, 4.5), layout="constrained")
    axes[0, 0].imshow(scene.paint(scene.vectors)[SHOWN], interpolation="nearest")
    axes[0, 0].set_title(f"original\n{4 * len(scene.mean)} bytes", fontsize=9.5)
    note = "lost: 1 − cosine of\nwhat the mean leaves\n\nwhite: no data"
    axes[1, 0].text(0, 0.5, note, fontsize=9, va="center", transform=axes[1, 0].transAxes)
    image = None
    for (above, below), (recipe, (size, vectors)) in zip(axes.T[1:], decoded.items(), strict=True):
        lost = scene.lost_by(vectors)
        above.imshow(scene.paint(vectors)[SHOWN], interpolation="nearest")
        above.set_title(f"{recipe}\n{size:g} bytes", fontsize=9.5)
        norm = LogNorm(*LOSSES)
        image = below.imshow(lost[SHOWN], cmap="cividis", norm=norm, interpolation="nearest")
        below.set_title(f"mean {np.nanmean(lost):.4f}", fontsize=9)
    for axis in axes.flat:
        axis.set_axis_off()
    figure.colorbar(image, ax=axes[1, :], fraction=0.012, extend="both")
    figure.savefig(target, dpi=110, pil_kwargs={"quality": 82})
    plt.close(figure)


if __name__ == "__main__":
    main()
