"""`map classify`: classes are those of the model on decoded vectors, and are honestly tested."""

import pickle
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._evaluate.metrics import probes
from geoembz._evaluate.metrics.neighbours import cosine_neighbours, majority_vote
from geoembz._map.bands import MapBands
from geoembz._map.classify import class_bands
from geoembz._map.model_file import load_model
from geoembz._map.models import ModelKernel, TrainedModel
from geoembz._predict.linear import probabilities
from geoembz.errors import GeoembzError, InvalidConfigError, SourceError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.map.conftest import MakeStore, content_of, read_tiff, vectors
from tests.map.labelling import KINDS, scattered, truth, write_points, write_polygons
from tests.rows import rows

RECIPES = (
    "pca8-int8", "pca8-int4", "rot-binary", "pca8-rot-pq4x8", "power2x20", "l2-pca8-int8",
    "pca8w0.5-rot-pq4x8", "float32", "int8",
)  # fmt: skip
CASES = [(recipe, model) for recipe in RECIPES for model in ("logistic", "ridge", "knn")]
DEFAULT = [("pca8-int8", "logistic"), ("rot-binary", "ridge"), ("pca8w0.5-rot-pq4x8", "knn")]


def flat(reader: StoreReader) -> NDArray[np.float64]:
    """Return the decoded vectors of all pixels that have one, shape ``(n, dimension)``."""
    values = vectors(reader).reshape(reader.encoding.dimension, -1)
    return values[:, np.isfinite(values[0])].T


@pytest.fixture
def labels(store: StoreReader, tmp_path: Path) -> Path:
    """Write 300 labelled points."""
    return write_points(tmp_path / "points.csv", store, np.append(KINDS, "")[truth(store)])


def shares(model: TrainedModel, reader: StoreReader) -> NDArray[np.float64]:
    """Return what a model says of each class, by its formulas on decoded vectors."""
    x = flat(reader)
    if model.linear is not None:
        outputs = model.linear.weights @ x.T + model.linear.bias[:, np.newaxis]
        return outputs if model.kind == "ridge" else probabilities(model.linear.link, outputs)
    assert model.references is not None
    assert model.answers is not None
    known = reader.encoding.decode(model.references)
    nearest = cosine_neighbours(x, known, 5).indices
    votes = model.answers[nearest]
    winner = majority_vote(model.answers, nearest)
    found = np.stack([(votes == number).mean(axis=1) for number in range(3)])
    assert (found.argmax(axis=0) == winner).all()
    return found


@pytest.mark.parametrize(("recipe", "model"), rows(CASES, DEFAULT))
def test_classes_are_those_of_the_model_on_decoded_vectors(
    recipe: str, model: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """On every kind of codes; where two classes are as good as equal, either will do."""
    reader = make_store(recipe=recipe)
    points = write_points(tmp_path / "l.csv", reader, np.append(KINDS, "")[truth(reader)])
    out, saved = tmp_path / "map.tif", tmp_path / "model.json"
    has_shares = model != "ridge"
    result = geoembz.map_classify(
        reader.url,
        out,
        labels=points,
        model=model,
        probabilities=has_shares,
        save_model=saved,
    )
    (found,) = read_tiff(out)
    valid = np.isfinite(vectors(reader)[0])
    assert (found[~valid] == 0).all()
    wanted = shares(load_model(saved), reader)
    ranked = np.sort(wanted, axis=0)
    clear = ranked[-1] - ranked[-2] > 1e-4
    assert clear.mean() > 0.9
    np.testing.assert_array_equal(found[valid][clear], wanted.argmax(axis=0)[clear] + 1)
    if has_shares:
        bands = read_tiff(tmp_path / "map-probabilities.tif")
        assert np.isnan(bands[:, ~valid]).all()
        close = np.isclose(bands[:, valid], wanted, atol=1e-4).all(axis=0)
        assert close.mean() > (0.99 if model == "knn" else 0.9999)  # equal distances may swap
    accuracy = result.held_out.scores["accuracy"].value
    assert accuracy is not None
    assert accuracy > 0.7


def test_accuracy_of_float32_is_that_of_evaluate(make_store: MakeStore, tmp_path: Path) -> None:
    """One protocol: the same rows, folds and fits as the baseline of `evaluate`."""
    reader = make_store(recipe="float32")
    points = write_points(tmp_path / "l.csv", reader, np.append(KINDS, "")[truth(reader)])
    result = geoembz.map_classify(reader.url, tmp_path / "m.tif", labels=points)
    same = geoembz.evaluate(
        source=tmp_path / "store.tif", labels=points, recipes=["int8"], tasks=["probe"]
    )
    found = result.held_out.scores["accuracy"]
    assert found.value == pytest.approx(same.baseline["tasks"]["probe"]["accuracy"], abs=1e-9)
    assert found.value is not None
    assert found.ci95 is not None
    assert found.ci95[0] <= found.value <= found.ci95[1]
    assert (result.held_out.split, result.held_out.trained) == ("blocked", same.n_rows)


def test_polygons_are_held_out_whole(store: StoreReader, tmp_path: Path) -> None:
    """Each polygon is a group, and classes in few polygons are warned of."""
    corners = scattered(store)
    corners = [*corners, (60, 3, "rare")]
    polygons = write_polygons(tmp_path / "p.geojson", store, corners)
    result = geoembz.map_classify(
        store.url, tmp_path / "m.tif", labels=polygons, column="kind", model="ridge"
    )
    judged = result.held_out
    assert judged.split == "grouped"
    by_name = {each.name: each for each in judged.classes}
    wanted = {
        name: sum(kind == name for *_, kind in corners) for name in {kind for *_, kind in corners}
    }
    assert {name: each.groups for name, each in by_name.items()} == wanted
    assert by_name["rare"].tested == 0
    assert by_name["rare"].recall is None
    (warning,) = (text for text in judged.warnings if "'rare'" in text)
    assert "25 labelled pixels, 1 polygon or block, none of them held out" in warning
    assert "class  " in result.to_table()
    assert warning in result.to_table()


@pytest.mark.parametrize("name", ["m.tif", "m.zarr"])
@pytest.mark.parametrize("model", ["ridge", "knn"])
def test_bytes_do_not_depend_on_workers(
    model: str, name: str, store: StoreReader, labels: Path, tmp_path: Path
) -> None:
    """One worker or three, trained or out of a file."""
    found = []
    for number, workers in enumerate((1, 3)):
        out = tmp_path / str(number) / name
        out.parent.mkdir()
        geoembz.map_classify(store.url, out, labels=labels, model=model, workers=workers)
        found.append(content_of(out))
    assert found[0] == found[1]


def test_kernels_can_be_pickled(store: StoreReader, labels: Path, tmp_path: Path) -> None:
    """As clusters send them to their workers."""
    codes = np.ascontiguousarray(flat_codes(store))
    for model in ("ridge", "knn"):
        saved = tmp_path / f"{model}.json"
        geoembz.map_classify(
            store.url, tmp_path / f"{model}.tif", labels=labels, model=model, save_model=saved
        )
        trained = load_model(saved)
        bands, values = class_bands(trained)
        kernel = ModelKernel(bands, trained.outputs(store.encoding), "classes", "", values)
        copied = pickle.loads(pickle.dumps(kernel))  # noqa: S301 - our own
        np.testing.assert_array_equal(copied(codes), kernel(codes))


def flat_codes(reader: StoreReader) -> NDArray[Any]:
    """Return all codes, shape ``(code_length, n)``."""
    codes = reader.read_codes(reader.attributes.grid.window)
    return codes.reshape(len(codes), -1)


@pytest.mark.parametrize(
    ("classes", "values", "nodata"),
    [
        (["a", "b"], [1, 2], 0),
        ([3, 7, 255], [3, 7, 255], 0),
        ([0, 1, 2], [0, 1, 2], 255),
        ([0, 255], [1, 2], 0),
        ([111, 311], [1, 2], 0),
        ([-1, 1], [1, 2], 0),
    ],
)
def test_small_numbers_are_kept_and_others_counted(
    classes: list[Any], values: list[int], nodata: int
) -> None:
    """Nodata is 0 unless 0 is a class."""
    bands, found = class_bands(no_model(classes))
    assert found.tolist() == values
    assert bands.nodata == nodata
    assert [(each.value, each.name) for each in bands.classes] == [
        (value, str(label)) for value, label in zip(values, classes, strict=True)
    ]
    assert len({each.colour for each in bands.classes}) == len(classes)


def no_model(classes: list[Any]) -> TrainedModel:
    """Return a model of some classes that knows nothing."""
    answers = np.zeros(1, np.int64)
    references = np.zeros((1, 2), np.int8)
    return TrainedModel(
        "knn", "int8", "sha256:0", 2, np.array(classes), references=references, answers=answers
    )


def test_more_classes_than_colours_are_refused() -> None:
    """A table of colours has 256 entries."""
    with pytest.raises(InvalidConfigError, match="300 classes; a map holds up to 255"):
        class_bands(no_model([*range(300)]))


def test_names_and_colours_of_a_raster_are_kept(
    store: StoreReader, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Its colour table and tags go into the map, and into the saved model."""
    import rasterio

    values = (truth(store) + 1).astype(np.uint8)
    raster = make_raster(tmp_path / "labels.tif", values[np.newaxis], nodata=0)
    with rasterio.open(raster, "r+") as file:
        file.write_colormap(1, {1: (1, 2, 3, 255), 2: (4, 5, 6, 255), 3: (7, 8, 9, 255)})
        file.update_tags(1, **{"1": "field", "CLASS_2": "forest", "unit": "none"})
    saved = tmp_path / "m.json"
    geoembz.map_classify(
        store.url, tmp_path / "a.tif", labels=raster, model="knn", save_model=saved
    )
    result = geoembz.map_classify(store.url, tmp_path / "b.tif", model=saved)
    assert [each.name for each in result.held_out.classes] == ["field", "forest", "3"]
    with rasterio.open(tmp_path / "b.tif") as file:
        assert [file.colormap(1)[n][:3] for n in (1, 2, 3)] == [(1, 2, 3), (4, 5, 6), (7, 8, 9)]
        assert {"CLASS_1": "field", "CLASS_2": "forest", "CLASS_3": "3"}.items() <= (
            file.tags(1).items()
        )


@pytest.mark.parametrize(
    ("content", "options", "error", "message"),
    [
        ("x,y,kind\n1,2,a\n3,4,b\n", {}, SourceError, "no label lies on the source"),
        (None, {"column": "crop"}, InvalidConfigError, "no column 'crop'; it has kind; name .*"),
        ("{", {}, GeoembzError, "points.csv: "),
        (None, {"labels": "none.csv"}, SourceError, "none.csv: no such file"),
        (None, {"model": "forest"}, InvalidConfigError, "expected one of logistic, ridge, knn, or"),
        (None, {"split": "given"}, InvalidConfigError, "split 'given' needs a column"),
        (None, {"model": "ridge", "probabilities": True}, InvalidConfigError, "no probabilities"),
        (None, {"labels": None}, InvalidConfigError, "no labels; give labels=FILE to learn"),
        (None, {"block_size": 1e6}, InvalidConfigError, "one group or block"),
    ],
)
def test_faults_are_said_and_leave_nothing(
    content: str | None,
    options: dict[str, Any],
    error: type[GeoembzError],
    message: str,
    store: StoreReader,
    labels: Path,
    tmp_path: Path,
) -> None:
    """Labels elsewhere or unreadable, columns that are not there, options that cannot work."""
    if content is not None:
        labels.write_text(content, encoding="utf-8")
    given: dict[str, Any] = {"labels": labels, **options}
    before = sorted(tmp_path.iterdir())
    with pytest.raises(error, match=message):
        geoembz.map_classify(store.url, tmp_path / "m.tif", save_model=tmp_path / "m.json", **given)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("suffix", ["tif", "gpkg", "parquet", "csv", "geojson"])
def test_labels_that_cannot_be_read_are_said(
    suffix: str, store: StoreReader, tmp_path: Path
) -> None:
    """Whatever they claim to be, with the file's name; nothing is written."""
    labels = tmp_path / f"garbage.{suffix}"
    labels.write_bytes(b"garbage\n")
    before = sorted(tmp_path.iterdir())
    for make in (geoembz.map_classify, geoembz.map_regress):
        with pytest.raises(GeoembzError, match=rf"garbage\.{suffix}: .*(expected|GDAL|fetch)"):
            make(store.url, tmp_path / "m.tif", labels=labels)
    assert sorted(tmp_path.iterdir()) == before


def test_a_class_of_one_pixel_is_refused(store: StoreReader, tmp_path: Path) -> None:
    """It cannot be both learned and tested, and to leave it out would change the map."""
    classes = np.append(KINDS, "")[truth(store)]
    points = write_points(tmp_path / "l.csv", store, classes)
    lines = points.read_text().split("\n")
    alone = next(i for i, line in enumerate(lines) if line.endswith(",water"))
    lines[alone] = lines[alone].replace("water", "bridge")
    points.write_text("\n".join(lines))
    with pytest.raises(InvalidConfigError, match=r"one labelled pixel .* in class 'bridge'; expec"):
        geoembz.map_classify(store.url, tmp_path / "m.tif", labels=points)
    assert not (tmp_path / "m.tif").exists()


def test_a_rare_class_is_not_drawn_to_one_pixel(
    store: StoreReader, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """A sample has its classes in proportion, but enough of each: a rare one can be learned."""
    values = (truth(store) + 1).astype(np.uint8)
    values[30, 30:39] = 9
    raster = make_raster(tmp_path / "labels.tif", values[np.newaxis], nodata=0)
    result = geoembz.map_classify(
        store.url, tmp_path / "m.tif", labels=raster, model="ridge", samples=300, split="random"
    )
    by_name = {each.name: each for each in result.held_out.classes}
    assert by_name["9"].labelled == 9
    assert 300 <= result.held_out.trained < 320
    assert "class '9' has 9 labelled pixels" in " ".join(result.held_out.warnings)


def test_whole_numbers_may_be_floats(store: StoreReader, tmp_path: Path) -> None:
    """As a column of numbers has them where some are missing; they are kept, as numbers."""
    points = write_points(
        tmp_path / "l.csv", store, np.array(["3.0", "7.0", "9.0", ""])[truth(store)]
    )
    saved = tmp_path / "m.json"
    first = geoembz.map_classify(
        store.url, tmp_path / "a.tif", labels=points, model="ridge", save_model=saved
    )
    assert [(each.value, each.name) for each in first.map.bands.classes] == [
        (3, "3"), (7, "7"), (9, "9"),
    ]  # fmt: skip
    geoembz.map_classify(store.url, tmp_path / "b.tif", model=saved)
    assert content_of(tmp_path / "a.tif") == content_of(tmp_path / "b.tif")


def test_quantities_are_no_classes(store: StoreReader, tmp_path: Path) -> None:
    """Say which command is for them."""
    points = write_points(tmp_path / "l.csv", store, truth(store) + 0.5)
    with pytest.raises(InvalidConfigError, match=r"no whole numbers, such as \d\.5.*map regress"):
        geoembz.map_classify(store.url, tmp_path / "m.tif", labels=points)


def test_each_class_has_an_interval(store: StoreReader, tmp_path: Path) -> None:
    """Of its recall, by resampling polygons; none where a single polygon was tested."""
    corners = [*scattered(store), (60, 3, "rare")]
    polygons = write_polygons(tmp_path / "p.geojson", store, corners)
    result = geoembz.map_classify(
        store.url, tmp_path / "m.tif", labels=polygons, column="kind", model="ridge"
    )
    by_name = {each.name: each for each in result.held_out.classes}
    assert by_name["rare"].recall_ci95 is None
    for name in KINDS:
        each = by_name[name]
        assert each.recall_ci95 is not None
        assert each.recall is not None
        low, high = each.recall_ci95
        assert low <= each.recall <= high
        assert f"{low:.1%} to {high:.1%}" in result.to_table()
    field = by_name["field"].recall_ci95
    assert field is not None
    assert field[0] < field[1]


def test_no_error_is_no_certainty(store: StoreReader, tmp_path: Path) -> None:
    """Where all that was held out is right, the interval still depends on how much that was."""
    first = vectors(store)[0]
    low, high = np.nanquantile(first, [0.1, 0.9])
    corners = [
        (int(row), int(col), "low" if first[row, col] < low else "high")
        for row, col in np.argwhere((first < low) | (first > high))[::12]
    ]
    polygons = write_polygons(tmp_path / "p.geojson", store, corners, side=1)
    result = geoembz.map_classify(
        store.url, tmp_path / "m.tif", labels=polygons, column="kind", model="ridge"
    )
    accuracy = result.held_out.scores["accuracy"]
    assert accuracy.value == 1.0
    assert accuracy.ci95 is not None
    assert accuracy.ci95 == pytest.approx((0.025 ** (1 / result.held_out.units), 1.0))


def test_labels_without_embeddings_are_refused(store: StoreReader, tmp_path: Path) -> None:
    """The scene's corner holds no data."""
    polygons = write_polygons(tmp_path / "p.geojson", store, [(0, 0, "a"), (4, 0, "b")], side=3)
    with pytest.raises(SourceError, match="not one of 18 labelled pixels holds an embedding"):
        geoembz.map_classify(store.url, tmp_path / "m.tif", labels=polygons, column="kind")


def test_probability_bands_are_named(store: StoreReader, labels: Path, tmp_path: Path) -> None:
    """One band for each class, which add up to 1; both files are in the result."""
    result = geoembz.map_classify(
        store.url,
        tmp_path / "m.zarr",
        labels=labels,
        model="knn",
        probabilities=True,
        png=tmp_path / "m.png",
    )
    assert result.probabilities is not None
    assert result.probabilities.out == str(tmp_path / "m-probabilities.zarr")
    assert result.probabilities.bands == MapBands(
        "probability", tuple(KINDS.tolist()), "float32", np.nan, tags={"learner": "knn"}
    )
    document = result.to_json()
    assert sum(each["pixels"] for each in document["classes"]) == result.map.valid_pixels
    assert document["held_out"]["scores"]["accuracy"]["value"] > 0.7
    assert (tmp_path / "m.png").exists()


def test_a_fit_that_does_not_end_is_said(
    store: StoreReader, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the figures that it gave."""
    monkeypatch.setattr(probes, "MAX_ITERATIONS", 1)
    result = geoembz.map_classify(store.url, tmp_path / "m.tif", labels=labels)
    (said,) = result.held_out.warnings
    assert re.match(r"the fit did not converge in \d of \d folds, .*--model ridge", said)
    assert f"warning: {said}" in result.to_table()
