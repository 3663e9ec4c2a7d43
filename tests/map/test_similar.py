"""`map similar`: the scores are those of plain NumPy on decoded vectors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from tests.map.conftest import MakeStore, place_of, read_tiff, vectors

RECIPES = (
    "pca8-int8", "pca8-int4", "pca8-binary", "rot-binary", "pca8-pq4x8", "pca8-rq2x8", "power2x60",
    "pca8w0.5-itq-binary", "l2-pca8-int8",
    "pca8w0.5-rot-int8", "pca8w0.5-pq4x8", "float32",
)  # fmt: skip
LIKE, UNLIKE = [(20, 20), (60, 45)], [(30, 5)]


def expected(
    values: NDArray[np.float64], query: NDArray[np.float64], metric: str
) -> NDArray[np.float64]:
    """Return scores by the formulas."""
    dots: NDArray[np.float64] = np.einsum("dyx,d->yx", values, query)
    if metric == "dot":
        return dots
    if metric == "euclidean":
        differences = values - query[:, np.newaxis, np.newaxis]
        return np.asarray(np.linalg.norm(differences, axis=0))
    return dots / np.linalg.norm(values, axis=0) / np.linalg.norm(query)


def mean_of(values: NDArray[np.float64], places: Any, metric: str) -> NDArray[np.float64]:
    """Return the mean of the vectors at pixels; for cosines, of their directions."""
    rows, cols = np.transpose(places)
    found = values[:, rows, cols]
    if metric == "cosine":
        found = found / np.linalg.norm(found, axis=0)
    return np.asarray(found.mean(axis=1))


@pytest.mark.parametrize("recipe", RECIPES)
def test_scores_are_those_of_decoded_vectors(
    recipe: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """Every metric of every kind of code, with counter-examples, to 1e-4 of the largest score."""
    reader = make_store(recipe=recipe)
    values = vectors(reader)
    metrics = ("cosine", "dot", "euclidean")
    for metric in metrics:
        out = tmp_path / f"{metric}.tif"
        summary = geoembz.map_similar(
            reader.url,
            out,
            like=[place_of(reader, *at) for at in LIKE],
            unlike=[place_of(reader, *at) for at in UNLIKE],
            crs="EPSG:32632",
            metric=metric,
        )
        query = mean_of(values, LIKE, metric) - mean_of(values, UNLIKE, metric)
        if reader.encoding.normalize:
            query = query / np.linalg.norm(query)
        wanted = expected(values, query, metric)
        (found,) = read_tiff(out)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        tolerance = 1e-4 * max(1.0, float(np.nanmax(np.abs(wanted))))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
        assert summary.valid_pixels == np.isfinite(wanted).sum()
        assert summary.figures.bands[0].most == pytest.approx(np.nanmax(wanted), abs=tolerance)
