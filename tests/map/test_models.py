"""Saved models: plain JSON that belongs to one encoding, and is refused in words elsewhere."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import geoembz
from geoembz._map import model_map
from geoembz._map.held_out import HeldOutScores, Score
from geoembz._map.model_file import describe_model, digest_model, load_model, save_model
from geoembz._map.models import train
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.map.conftest import MakeStore, content_of, scene
from tests.map.labelling import KINDS, quantity, truth, write_points


@pytest.fixture
def labels(store: StoreReader, tmp_path: Path) -> Path:
    """Write 300 labelled points."""
    return write_points(tmp_path / "points.csv", store, np.append(KINDS, "")[truth(store)])


@pytest.fixture
def saved(store: StoreReader, labels: Path, tmp_path: Path) -> Path:
    """Train and save a ridge classifier, with its map beside it."""
    path = tmp_path / "ridge.json"
    geoembz.map_classify(
        store.url, tmp_path / "ridge.tif", labels=labels, model="ridge", save_model=path
    )
    return path


@pytest.mark.parametrize("model", ["ridge", "knn"])
def test_a_saved_model_makes_the_same_map(
    model: str, store: StoreReader, labels: Path, tmp_path: Path
) -> None:
    """To the byte, and it still says how good it is; saved again it is the same file."""
    path = tmp_path / "m.json"
    first = geoembz.map_classify(
        store.url, tmp_path / "a.tif", labels=labels, model=model, save_model=path
    )
    second = geoembz.map_classify(store.url, tmp_path / "b.tif", model=path)
    assert content_of(tmp_path / "a.tif") == content_of(tmp_path / "b.tif")
    assert second.held_out == first.held_out
    assert second.to_table().split("\n\n")[-1] == first.to_table().split("\n\n")[-1]
    loaded = load_model(path)
    assert loaded.training["labels"] == "points.csv"
    save_model(loaded, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == path.read_bytes()


def test_a_model_is_learned_on_one_thread(
    store: StoreReader, labels: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two threads divide a product, and round it, otherwise: a resumed map would be another."""
    found: list[int] = []

    def watched(*given: Any) -> Any:
        found.extend(
            pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"
        )
        return train(*given)

    monkeypatch.setattr(model_map, "train", watched)
    with threadpool_limits(2, "blas"):
        geoembz.map_classify(store.url, tmp_path / "m.tif", labels=labels, model="ridge")
    assert set(found) == {1}


def test_a_quantity_is_kept_too(store: StoreReader, tmp_path: Path) -> None:
    """Neighbours with numbers, and the name of their column."""
    points = write_points(tmp_path / "q.csv", store, quantity(store), column="height")
    path = tmp_path / "m.json"
    geoembz.map_regress(store.url, tmp_path / "a.tif", labels=points, model="knn", column="height",
                        save_model=path)  # fmt: skip
    geoembz.map_regress(store.url, tmp_path / "b.tif", model=path)
    assert content_of(tmp_path / "a.tif") == content_of(tmp_path / "b.tif")
    with pytest.raises(
        InvalidConfigError, match="predicts numbers, not classes; use geoembz map r"
    ):
        geoembz.map_classify(store.url, tmp_path / "c.tif", model=path)


def test_another_encoding_is_refused(saved: Path, make_store: MakeStore, tmp_path: Path) -> None:
    """Of another recipe, and of the same one fitted to other vectors."""
    other = make_store("other", scene(np.random.default_rng(9)), pca=8)
    short = make_store("short", recipe="pca4-int8")
    for reader in (other, short):
        with pytest.raises(InvalidConfigError) as caught:
            geoembz.map_classify(reader.url, tmp_path / "m.tif", model=saved)
        message = str(caught.value)
        assert f"{saved}: it was trained on codes of pca8-int8 of vectors of 12 numbers" in message
        assert f"the store has {reader.encoding.recipe} of 12" in message
        assert reader.encoding.hash[:19] in message
    assert not (tmp_path / "m.tif").exists()


def test_a_model_that_has_learned_takes_no_labels(
    saved: Path, labels: Path, store: StoreReader, tmp_path: Path
) -> None:
    """Nobody should think that it learned from them."""
    with pytest.raises(InvalidConfigError, match="has learned already"):
        geoembz.map_classify(store.url, tmp_path / "m.tif", model=saved, labels=labels)
    with pytest.raises(
        InvalidConfigError, match="predicts classes, not numbers; use geoembz map c"
    ):
        geoembz.map_regress(store.url, tmp_path / "m.tif", model=saved)
    with pytest.raises(InvalidConfigError, match=r"none.json: cannot be read \(no such file"):
        geoembz.map_classify(store.url, tmp_path / "m.tif", model=tmp_path / "none.json")


def test_what_a_map_depends_on_has_a_digest(saved: Path) -> None:
    """Weights and names count, how it was trained does not."""
    model = load_model(saved)
    document = describe_model(model)
    assert document["training"]["held_out"]["scores"]["accuracy"]["value"] > 0.5
    told = type(model)(**{**vars(model), "training": {}})
    assert digest_model(told) == digest_model(model)
    moved = type(model)(**{**vars(model), "recipe": "int8"})
    assert digest_model(moved) != digest_model(model)


def put(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return what changes one value of a document."""

    def change(document: dict[str, Any]) -> None:
        *outer, last = path
        for name in outer:
            document = document[name]
        document[last] = value

    return change


HELD_OUT = {
    "split": "blocked", "folds": 1, "trained": 9, "tested": 3, "units": 2,
    "scores": {"accuracy": {"value": 1.0, "ci95": [0.2, 1.0]}},
    "classes": [{"name": "a", "labelled": 4, "groups": 2, "tested": 3, "precision": 1.0,
                 "recall": 1.0, "recall_ci95": None}],
    "warnings": [], "notes": [], "left_out": {},
}  # fmt: skip
VERSION_1: dict[str, Any] = {
    "format": "geoembz-model", "version": 1, "software": "geoembz 0.1",
    "encoding": {"recipe": "int8", "hash": "sha256:0", "dimension": 2}, "classes": ["a", "b"],
    "legend": {"names": {"a": "A"}, "colours": {"b": [1, 2, 3]}},
    "training": {"held_out": HELD_OUT},
}  # fmt: skip


def test_files_of_version_1_are_read(tmp_path: Path) -> None:
    """As spec/map.md has them: what was saved once is read by every later geoembz."""
    path = tmp_path / "m.json"
    linear = {"model": "ridge", "weights": [[1.0, -2.0]], "bias": [0.5], "link": "none"}
    path.write_text(json.dumps(VERSION_1 | linear))
    model = load_model(path)
    assert model.linear is not None
    assert (model.linear.weights.tolist(), model.linear.bias.tolist()) == ([[1, -2]], [0.5])
    assert (model.encoding_hash, model.legend.name("a")) == ("sha256:0", "A")
    scores = HeldOutScores.from_json(model.training["held_out"], "m.json")
    assert scores.scores["accuracy"] == Score(1.0, (0.2, 1.0))
    assert json.loads(json.dumps(scores.to_json())) == HELD_OUT
    codes = {"model": "knn", "references": "AQL/gA==", "code_length": 2, "dtype": "|i1"}
    path.write_text(json.dumps(VERSION_1 | codes | {"answers": [1, 0]}))
    model = load_model(path)
    assert model.references is not None
    assert model.references.tolist() == [[1, 2], [-1, -128]]
    assert model.answers is not None
    assert model.answers.tolist() == [1, 0]


DAMAGES = {
    "format": put("format", value="other"),
    "version": put("version", value=99),
    "kind": put("model", value="forest"),
    "weights": put("weights", value=[[1.0, 2.0]]),
    "dimension": lambda document: document.update(
        encoding=document["encoding"] | {"dimension": 2}, weights=[[1.0, 2.0]] * 3
    ),
    "text": put("weights", 0, 0, value="x"),
    "bias": put("bias", value=[]),
    "link": put("link", value="tanh"),
    "classes": put("classes", value=["one"]),
    "nested": put("classes", value=[["a"], ["b"]]),
    "encoding": put("encoding", value=None),
    "legend": put("legend", value={"names": {}, "colours": {"1": [300, 0, 0]}}),
    "training": put("training", value=3),
    "scores": put("training", "held_out", value={"scores": 1}),
}


def test_damage_is_said(saved: Path, store: StoreReader, tmp_path: Path) -> None:
    """With the file's name, before anything is written."""
    content = saved.read_text()
    for name, change in DAMAGES.items():
        document = json.loads(content)
        change(document)
        saved.write_text(json.dumps(document))
        with pytest.raises(InvalidConfigError, match=r"ridge\.json: "):
            geoembz.map_classify(store.url, tmp_path / "m.tif", model=saved)
        assert not (tmp_path / "m.tif").exists(), name


DAMAGED_NEIGHBOURS: list[tuple[str, Any]] = [
    ("references", "%%%"), ("dtype", "O"), ("dtype", "|u1"), ("answers", [7]), ("code_length", 5),
]  # fmt: skip


def test_damaged_neighbours_are_said(store: StoreReader, labels: Path, tmp_path: Path) -> None:
    """Codes and answers that do not fit together."""
    path = tmp_path / "knn.json"
    geoembz.map_classify(store.url, tmp_path / "a.tif", labels=labels, model="knn", save_model=path)
    content = path.read_text()
    for name, value in DAMAGED_NEIGHBOURS:
        path.write_text(json.dumps({**json.loads(content), name: value}))
        with pytest.raises(InvalidConfigError, match=r"knn\.json: the model is damaged"):
            geoembz.map_classify(store.url, tmp_path / "m.tif", model=path)
