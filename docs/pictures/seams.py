"""Draw the picture of the page on seams: ``python docs/pictures/seams.py``.

A smooth landscape in nine tiles, of which the one in the middle is offset by one usual step and the
one in its north-west by two: its first components, and what `geoembz check seams` finds.
"""

import tempfile
from pathlib import Path

import matplotlib as mpl
import numpy as np

import geoembz
from tests.seams.conftest import EDGES, offset, scene, write_tiles

mpl.use("Agg")
import matplotlib.pyplot as plt

TARGET = Path(__file__).with_name("seams.jpg")
SEED = 11


def main() -> None:
    """Make the tiles, a store of them, the report and the picture."""
    values = scene(SEED)
    planted = {(1, 1): offset(values, 1.0, SEED), (0, 0): offset(values, 2.0, SEED + 1)}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tiles = write_tiles(folder / "tiles", values, planted)
        geoembz.convert(tiles, folder / "a.zarr", chunk=32, shard=64)
        report = geoembz.check_seams(folder / "a.zarr")
        print(report.to_table())
        dataset = geoembz.open(folder / "a.zarr")
        draw(dataset["embedding"].values, report, float(dataset.x[0]), float(dataset.y[0]))


def draw(values: np.ndarray, report: geoembz.SeamReport, left: float, top: float) -> None:
    """Draw the components, and the borders over them."""
    low, high = np.percentile(values[:3], [2, 98], axis=(1, 2))
    picture = np.clip((values[:3].transpose(1, 2, 0) - low) / (high - low), 0, 1)
    figure, axes = plt.subplots(1, 2, figsize=(9, 4.6), layout="constrained")
    axes[0].imshow(picture)
    axes[0].set_title("three components of the store", fontsize=10)
    axes[1].imshow(picture.mean(axis=2), cmap="gray", alpha=0.35)
    for border in report.borders:
        xmin, ymin, xmax, ymax = border.bbox
        x = (np.array([xmin, xmax]) - left) / 10
        y = (top - np.array([ymin, ymax])) / 10
        if border.kind == "shard":
            axes[1].plot(x, y, color="tab:blue", linewidth=0.8, linestyle=":")
        elif border.is_seam:
            axes[1].plot(x, y, color="tab:red", linewidth=1 + 2 * border.effect)
            axes[1].text(x.mean(), y.mean(), f"{border.effect:.2f}", fontsize=8, ha="center")
        else:
            axes[1].plot(x, y, color="tab:green", linewidth=1.2)
    axes[1].set_title("seams red, clean borders green, shards dotted", fontsize=10)
    for axis in axes:
        axis.set(xticks=[], yticks=[], xlim=(0, EDGES[-1] - 1), ylim=(EDGES[-1] - 1, 0))
    figure.savefig(TARGET, dpi=110, pil_kwargs={"quality": 82})


if __name__ == "__main__":
    main()
