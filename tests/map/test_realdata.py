"""Classes, clusters and similarity of real embeddings: the figures of docs/explanation/maps.md."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

import geoembz
from tests.map.conftest import read_tiff

GALILEO = "galileo_s2"
ACCURACIES = {"float32": 0.9641, "pca64-int8": 0.9633, "pca16-int4": 0.9549, "rot-binary": 0.9451}
SAME = {"float32": 1.0, "pca64-int8": 0.9973, "pca16-int4": 0.9751, "rot-binary": 0.9528}
WINDOW = 12
"""Pixels of the windows that the model looked at the scene in: README.txt beside the raster."""

pytestmark = pytest.mark.realdata


def convert(shared_data: Path, tmp_path: Path, recipe: str) -> Path:
    """Convert the Galileo raster."""
    store = tmp_path / f"{recipe}.zarr"
    source = shared_data / GALILEO / "galileo_nano_s2_patch1_128d_float32.tif"
    geoembz.convert(source, store, recipe=recipe)
    return store


def classify(shared_data: Path, tmp_path: Path, recipe: str) -> geoembz.ModelMap:
    """Learn from 25 polygons."""
    return geoembz.map_classify(
        convert(shared_data, tmp_path, recipe),
        tmp_path / f"{recipe}.tif",
        labels=shared_data / GALILEO / "labels.tif",
        groups=str(shared_data / GALILEO / "polygon_id.tif"),
    )


@pytest.mark.parametrize(
    "recipe", ["pca64-int8", *(pytest.param(r, marks=pytest.mark.slow) for r in ACCURACIES)]
)
def test_accuracy_on_polygons_held_out(recipe: str, shared_data: Path, tmp_path: Path) -> None:
    """Of a store as of the source, within the interval, which is that of 25 polygons."""
    held_out = classify(shared_data, tmp_path, recipe).held_out
    accuracy = held_out.scores["accuracy"]
    assert (held_out.split, held_out.folds, held_out.units) == ("grouped", 5, 25)
    assert held_out.tested == held_out.trained == 2370
    assert accuracy.value == pytest.approx(ACCURACIES[recipe], abs=0.005)
    assert accuracy.ci95 is not None
    assert accuracy.ci95[0] < ACCURACIES["float32"] < accuracy.ci95[1]
    assert 0.85 < accuracy.ci95[0] < 0.92


@pytest.mark.slow
def test_maps_are_alike(shared_data: Path, tmp_path: Path) -> None:
    """Share of the pixels that have the class that they have from float32."""
    maps = {}
    for recipe in SAME:
        classify(shared_data, tmp_path, recipe)
        maps[recipe] = read_tiff(tmp_path / f"{recipe}.tif")
    for recipe, same in SAME.items():
        assert (maps[recipe] == maps["float32"]).mean() == pytest.approx(same, abs=0.005)


def test_clusters_are_places_in_a_window(shared_data: Path, tmp_path: Path) -> None:
    """Off the water, the place in the model's window tells the cluster of most pixels."""
    store = convert(shared_data, tmp_path, "pca64-int8")
    geoembz.map_cluster(store, tmp_path / "k.tif", k=12)
    (found,) = read_tiff(tmp_path / "k.tif")
    land = found[60:]
    rows, cols = np.indices(land.shape)
    places = (rows + 60) % WINDOW * WINDOW + cols % WINDOW
    right = sum(np.bincount(land[places == n]).max() for n in range(WINDOW**2))
    assert right / land.size == pytest.approx(0.98, abs=0.02)
    assert np.bincount(land.ravel()).max() / land.size < 0.2


SIMILAR = {
    "float32": {"mean": 0.745, "difference": 0.820, "logistic": 0.989},
    "pca64-int8": {"mean": 0.746, "difference": 0.820, "logistic": 0.987},
    "rot-binary": {"mean": 0.685, "difference": 0.747, "logistic": 0.938},
}
"""Area under the ROC curve of scores, by recipe and by what the query is made of."""


@pytest.mark.slow
@pytest.mark.parametrize("recipe", SIMILAR)
def test_scores_tell_a_class_from_others(recipe: str, shared_data: Path, tmp_path: Path) -> None:
    """Ten examples of a class, and thirty others; judged on the polygons that have neither."""
    store = convert(shared_data, tmp_path, recipe)
    labels, polygons = (
        read_tiff(shared_data / GALILEO / f"{name}.tif")[0] for name in ("labels", "polygon_id")
    )
    for query, wanted in SIMILAR[recipe].items():
        areas = [
            area_under_curve(store, tmp_path / "map.tif", labels, polygons, each, half, query)
            for each in (1, 2, 3, 4)
            for half in (0, 1)
        ]
        assert np.mean(areas) == pytest.approx(wanted, abs=0.005), query


def area_under_curve(
    store: Path,
    out: Path,
    labels: NDArray[np.uint8],
    polygons: NDArray[np.uint8],
    each: int,
    half: int,
    query: str,
) -> float:
    """Take examples in every other polygon of each class; judge on the others."""
    taken = {c: np.unique(polygons[labels == c])[half::2] for c in (1, 2, 3, 4)}
    rng = np.random.default_rng(0)
    like = np.argwhere((labels == each) & np.isin(polygons, taken[each]))
    others = np.concatenate([ids for c, ids in taken.items() if c != each])
    unlike = np.argwhere((labels > 0) & (labels != each) & np.isin(polygons, others))
    tile = geoembz.open(store)
    places = [
        [(float(tile.x[col]), float(tile.y[row])) for row, col in rng.choice(pixels, n, False)]
        for pixels, n in ((like, 10), (unlike, 30))
    ]
    geoembz.map_similar(
        store,
        out,
        like=places[0],
        unlike=None if query == "mean" else places[1],
        crs="EPSG:4326",
        rule="logistic" if query == "logistic" else "mean",
        overwrite=True,
    )
    judged = (labels > 0) & ~np.isin(polygons, np.concatenate(list(taken.values())))
    return float(roc_auc_score(labels[judged] == each, read_tiff(out)[0][judged]))
