"""The file that keeps a trained model: JSON, never pickle, so that reading it runs nothing."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._map.learners import KINDS
from geoembz._map.legend import Legend
from geoembz._map.models import TrainedModel
from geoembz._predict.linear import LinearModel, Link
from geoembz._util.bounded_json import parse_object
from geoembz._util.output import output_file
from geoembz._version import __version__
from geoembz.errors import InvalidConfigError, os_fault

FORMAT = "geoembz-model"
VERSION = 1

_MOST_BYTES = 512 * 2**20


def digest_model(model: TrainedModel) -> str:
    """Return the SHA-256 of all that a model's answers depend on."""
    parts = {n: v for n, v in describe_model(model).items() if n not in {"training", "software"}}
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def describe_model(model: TrainedModel) -> dict[str, Any]:
    """Return a model as its file has it."""
    document: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "software": f"geoembz {__version__}",
        "model": model.kind,
        "encoding": {
            "recipe": model.recipe,
            "hash": model.encoding_hash,
            "dimension": model.dimension,
        },
        "classes": None if model.classes is None else model.classes.tolist(),
    }
    if model.linear is not None:
        document |= {
            "weights": model.linear.weights.tolist(),
            "bias": model.linear.bias.tolist(),
            "link": model.linear.link,
        }
    if model.references is not None and model.answers is not None:
        document |= {
            "references": base64.b64encode(model.references.tobytes()).decode(),
            "code_length": model.references.shape[1],
            "dtype": model.references.dtype.str,
            "answers": model.answers.tolist(),
        }
    return {**document, "legend": model.legend.to_json(), "training": dict(model.training)}


def save_model(model: TrainedModel, path: str | Path, *, replaces: bool = True) -> None:
    """Write a model, whole or not at all.

    Raises
    ------
    DestinationExistsError
        If another one is there, unless it `replaces` it.
    OutputError
        If it cannot be written.
    """
    text = json.dumps(describe_model(model), allow_nan=False)
    with output_file(Path(path), replaces=replaces) as draft:
        draft.write_text(text + "\n", encoding="utf-8")


def load_model(path: str | Path) -> TrainedModel:
    """Read a file that `save_model` wrote.

    Raises
    ------
    InvalidConfigError
        If it cannot be read, is no model or a damaged one, or of a newer version.
    """
    expected = "a model that --save-model wrote"
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InvalidConfigError(
            f"{path}: cannot be read ({os_fault(error)}); expected {expected}"
        ) from error
    document = parse_object(
        content, str(path), error=InvalidConfigError, expected=expected, most_bytes=_MOST_BYTES
    )
    if document.get("format") != FORMAT:
        raise InvalidConfigError(f"{path}: no model of geoembz; expected {expected}")
    if document.get("version") != VERSION:
        raise InvalidConfigError(
            f"{path}: a model of version {document.get('version')!r}; this geoembz reads version "
            f"{VERSION}: train it again, or update geoembz"
        )
    try:
        return _read(document)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error) as error:
        raise InvalidConfigError(
            f"{path}: the model is damaged ({type(error).__name__}: {error}); train it again"
        ) from error


def _read(document: Mapping[str, Any]) -> TrainedModel:
    encoding, kind = document["encoding"], document["model"]
    if kind not in KINDS:
        raise ValueError(f"model {kind!r}")
    classes = document["classes"]
    names = None if classes is None else np.array(classes)
    if names is not None and (names.dtype.kind not in "iU" or names.ndim != 1 or len(names) < 2):
        raise ValueError("classes are neither whole numbers nor texts")
    return TrainedModel(
        kind=kind,
        recipe=str(encoding["recipe"]),
        encoding_hash=str(encoding["hash"]),
        dimension=int(encoding["dimension"]),
        classes=names,
        legend=Legend.from_json(document["legend"]),
        training=dict(document["training"]),
        **(_references(document, names) if kind == "knn" else _linear(document, names)),
    )


def _linear(document: Mapping[str, Any], classes: NDArray[Any] | None) -> dict[str, Any]:
    weights = np.array(document["weights"], np.float64)
    bias, link = np.array(document["bias"], np.float64), document["link"]
    links: tuple[Link, ...] = ("sigmoid", "softmax", "none")
    n_outputs = 1 if classes is None or len(classes) == 2 else len(classes)
    dimension = document["encoding"]["dimension"]
    if weights.shape != (n_outputs, dimension) or bias.shape != (n_outputs,) or link not in links:
        raise ValueError(f"weights of shape {weights.shape}, bias {bias.shape}, link {link!r}")
    return {"linear": LinearModel(weights, bias, classes, link, is_flat=classes is None)}


def _references(document: Mapping[str, Any], classes: NDArray[Any] | None) -> dict[str, Any]:
    stored = base64.b64decode(document["references"], validate=True)
    dtype = np.dtype(str(document["dtype"]))
    if dtype.kind not in "iuf":
        raise ValueError(f"codes of type {dtype}")
    references = np.frombuffer(stored, dtype).reshape(-1, int(document["code_length"]))
    answers = np.array(document["answers"], np.float64 if classes is None else np.int64)
    if answers.shape != (len(references),) or not len(answers):
        raise ValueError(f"{len(references)} references and {answers.shape} answers")
    if classes is not None and not ((answers >= 0) & (answers < len(classes))).all():
        raise ValueError("answers beyond the classes")
    return {"references": references, "answers": answers}
