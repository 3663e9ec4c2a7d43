"""`map regress`: numbers are those of the model on decoded vectors, tested where it never was."""

from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._evaluate.metrics.neighbours import cosine_neighbours
from geoembz._map.model_file import load_model
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.map.conftest import MakeStore, read_tiff, vectors
from tests.map.labelling import KINDS, quantity, truth, write_points
from tests.rows import rows

CASES = [
    (recipe, model)
    for recipe in ("pca8-int8", "rot-binary", "pca8-rot-pq4x8", "l2-pca8-int8", "int8")
    for model in ("ridge", "knn")
]
DEFAULT = [("pca8-int8", "ridge"), ("pca8-rot-pq4x8", "knn")]


@pytest.mark.parametrize(("recipe", "model"), rows(CASES, DEFAULT))
def test_numbers_are_those_of_the_model(
    recipe: str, model: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """On decoded vectors, by its own formula, to 1e-4 of their spread."""
    reader = make_store(recipe=recipe)
    points = write_points(tmp_path / "q.csv", reader, quantity(reader))
    saved, out = tmp_path / "m.json", tmp_path / "m.tif"
    result = geoembz.map_regress(reader.url, out, labels=points, model=model, save_model=saved)
    values = vectors(reader)
    valid = np.isfinite(values[0])
    x, trained = values[:, valid].T, load_model(saved)
    if trained.linear is not None:
        wanted = x @ trained.linear.weights[0] + trained.linear.bias[0]
    else:
        assert trained.references is not None
        assert trained.answers is not None
        known = reader.encoding.decode(trained.references)
        wanted = trained.answers[cosine_neighbours(x, known, 5).indices].mean(axis=1)
    (found,) = read_tiff(out)
    assert np.isnan(found[~valid]).all()
    close = np.isclose(found[valid], wanted, rtol=0, atol=1e-4 * np.ptp(wanted))
    assert close.mean() > (0.99 if model == "knn" else 0.99999)
    scores = result.held_out.scores
    assert set(scores) == {"r2", "rmse"}
    assert result.map.bands.names == ("kind",)
    assert scores["r2"].value is not None
    assert scores["r2"].value > (0.99 if model == "ridge" else 0.5)
    assert "R²" in result.to_table()


def test_whole_numbers_are_quantities_here(store: StoreReader, tmp_path: Path) -> None:
    """A value that occurs once is no class of one member, and is not left out."""
    heights = np.round(np.nan_to_num(quantity(store)) * 1000).astype(int)
    points = write_points(tmp_path / "q.csv", store, heights)
    result = geoembz.map_regress(store.url, tmp_path / "m.tif", labels=points)
    assert result.held_out.trained + sum(result.held_out.left_out.values()) == 300
    assert set(result.held_out.left_out) <= {"labelled pixel without an embedding"}
    assert not result.held_out.classes


def test_intervals_are_those_of_evaluate(make_store: MakeStore, tmp_path: Path) -> None:
    """R² and RMSE are the baseline's of the same points."""
    reader = make_store(recipe="float32")
    points = write_points(tmp_path / "l.csv", reader, quantity(reader))
    result = geoembz.map_regress(reader.url, tmp_path / "m.tif", labels=points)
    same = geoembz.evaluate(
        source=tmp_path / "store.tif", labels=points, recipes=["int8"], tasks=["regression"]
    ).baseline["tasks"]["regression"]
    scores = result.held_out.scores
    assert scores["r2"].value == pytest.approx(same["r2"], abs=1e-9)
    assert scores["rmse"].value == pytest.approx(same["rmse"], rel=1e-6)
    for score in scores.values():
        assert score.ci95 is not None
        assert score.value is not None
        assert score.ci95[0] <= score.value <= score.ci95[1]


def test_texts_are_refused(store: StoreReader, tmp_path: Path) -> None:
    """Saying what they are, and that there are maps of classes."""
    points = write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[truth(store)])
    with pytest.raises(InvalidConfigError, match=r"the labels are text, such as '.*map classify"):
        geoembz.map_regress(store.url, tmp_path / "m.tif", labels=points)
    with pytest.raises(InvalidConfigError, match="expected one of ridge, knn, or"):
        geoembz.map_regress(store.url, tmp_path / "m.tif", labels=points, model="logistic")
