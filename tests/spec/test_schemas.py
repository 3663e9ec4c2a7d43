"""Schemas, examples and text of ``spec/`` agree with each other and with real metadata."""

import json
import os
import re
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rfc8785
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError
from jsonschema.validators import validator_for
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from geoembz.codecs._stages import PREFIX, build_stage
from geoembz.encoding._packing import pack
from tests.spec.test_vectors import (
    CODECS,
    SPEC,
    STORES,
    codec_name,
    each_codec,
    each_store,
    read_json,
)

EXAMPLES = sorted((SPEC / "codecs").glob("*/examples/*.json"))
CODEC_EXAMPLES = [path for path in EXAMPLES if path.parts[-3] != "pack"]
STORE_SCHEMA = SPEC / "schema" / "store.schema.json"
PROJJSON = "https://proj.org/schemas/v0.7/projjson.schema.json"

each_example = pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: f"{p.parts[-3]}-{p.stem}")


@pytest.fixture(scope="module")
def conventions() -> Path:
    """Folder of the conventions' schemas, beside the checkout; they are not ours to copy."""
    override = os.environ.get("GEOEMBZ_SHARED_DATA")
    shared = Path(override).parent if override else SPEC.parents[1] / "shared"
    folder = shared / "reference" / "conventions"
    if not folder.is_dir():
        pytest.skip(f"conventions: no folder {folder}; set GEOEMBZ_SHARED_DATA to ../data of it")
    return folder


def validate(document: Any, schema: dict[str, Any]) -> None:
    """Validate by the schema's own draft; PROJJSON, a remote reference, stands for anything."""
    validator_of(json.dumps(schema)).validate(document)


@cache
def validator_of(schema: str) -> Any:
    """Return the validator of a schema, as text, after checking the schema itself."""
    registry: Registry[Any] = Registry().with_resource(
        PROJJSON, Resource.from_contents({}, default_specification=DRAFT202012)
    )
    parsed = json.loads(schema)
    validator = validator_for(parsed)
    validator.check_schema(parsed)
    return validator(parsed, registry=registry)


def codec_schema(name: str) -> dict[str, Any]:
    schema: dict[str, Any] = read_json(SPEC / "codecs" / name / "schema.json")
    return schema


def shortened(document: Any) -> Any:
    """Return an example as pages show it: of arrays too long for a page only the beginning."""
    if isinstance(document, dict):
        return {key: shortened(value) for key, value in document.items()}
    is_long = isinstance(document, str) and len(document) > 200
    return f"{document[:8]}…" if is_long else document


def blocks(path: Path) -> list[Any]:
    """Return the JSON blocks of a page."""
    text = path.read_text(encoding="utf-8")
    return [json.loads(block) for block in re.findall(r"```json\n(.*?)```", text, re.DOTALL)]


@each_example
def test_examples_follow_their_schema(path: Path) -> None:
    validate(read_json(path), codec_schema(path.parts[-3]))


@pytest.mark.parametrize("path", CODEC_EXAMPLES, ids=lambda p: f"{p.parts[-3]}-{p.stem}")
def test_examples_build_codecs(path: Path) -> None:
    """An example is a configuration that the code accepts."""
    document = read_json(path)
    name = document.get("name", document.get("id")).removeprefix(PREFIX)
    not_state = {"id", "chunk_shape"}
    config = document.get(
        "configuration", {k: v for k, v in document.items() if k not in not_state}
    )
    assert build_stage(name, config).config() == config


@each_example
def test_pages_show_their_examples(path: Path) -> None:
    assert shortened(read_json(path)) in blocks(path.parents[1] / "README.md")


@pytest.mark.parametrize("path", sorted((SPEC / "codecs" / "pack").glob("examples/*.json")))
def test_packing_examples_are_right(path: Path) -> None:
    example = read_json(path)
    codes = np.array(example["codes"], dtype=np.uint8)
    assert pack(codes, example["bits"]).tolist() == example["packed"]


@each_codec
@pytest.mark.parametrize("form", ["zarr", "numcodecs"])
def test_golden_codecs_follow_their_schema(folder: Path, form: str) -> None:
    validate(read_json(folder / f"{form}.json"), codec_schema(codec_name(folder)))


@each_codec
def test_codec_schemas_refuse_what_the_text_forbids(folder: Path) -> None:
    """Every key is required, and none may be added."""
    document, schema = read_json(folder / "zarr.json"), codec_schema(codec_name(folder))
    for key in document["configuration"]:
        damaged = deepcopy(document)
        del damaged["configuration"][key]
        with pytest.raises(ValidationError):
            validate(damaged, schema)
    document["configuration"]["later"] = 1
    with pytest.raises(ValidationError):
        validate(document, schema)


def test_every_codec_has_a_page() -> None:
    """Every registered codec has a page, a schema, examples and golden vectors."""
    registered = {entry.name for entry in entry_points(group="zarr.codecs")}
    names = {name.removeprefix(PREFIX) for name in registered if name.startswith(PREFIX)}
    assert names == {codec_name(folder) for folder in CODECS}
    for name in names:
        for file in ("README.md", "schema.json", "examples/zarr.json", "examples/numcodecs.json"):
            assert (SPEC / "codecs" / name / file).is_file(), f"{name}/{file}"


@each_store
def test_golden_stores_follow_the_schema(store: Path) -> None:
    validate(read_json(store / "zarr.json"), read_json(STORE_SCHEMA))


@pytest.mark.parametrize(
    "damage",
    [
        lambda attributes: attributes.pop("geoembz:encoding_hash"),
        lambda attributes: attributes.update({"geoembz:version": "0.2"}),
        lambda attributes: attributes.update({"geoembz:layout": "other"}),
        lambda attributes: attributes["geoembz:encoding"].update({"later": 1}),
        lambda attributes: attributes["geoembz:encoding"]["quantizer"].update({"law": "power"}),
        lambda attributes: attributes.update({"zarr_conventions": []}),
    ],
)
def test_store_schema_refuses_damage(damage: Callable[[dict[str, Any]], object]) -> None:
    document = read_json(STORES[0] / "zarr.json")
    damage(document["attributes"])
    with pytest.raises(ValidationError):
        Draft202012Validator(read_json(STORE_SCHEMA)).validate(document)


@pytest.mark.realdata
@each_store
@pytest.mark.parametrize(
    "name", ["geoemb.schema.json", "proj-r3.schema.json", "spatial-r3.schema.json"]
)
def test_golden_stores_follow_the_conventions(store: Path, name: str, conventions: Path) -> None:
    validate(read_json(store / "zarr.json"), read_json(conventions / name))


def test_the_encoding_page_shows_golden_encodings() -> None:
    """JSON part, file and the hash's first bytes in encoding.md are those of the vectors."""
    page, vectors = SPEC / "encoding.md", SPEC / "vectors" / "0.1" / "encoding"
    shown = blocks(page)
    for name in ("pca5-int8", "float32"):
        with np.load(vectors / f"{name}.npz") as archive:
            document = json.loads(archive["encoding.json"])
            mean = archive.get("mean")
        assert document["encoding"] in shown or document in shown
        if mean is not None:
            header = rfc8785.dumps({"name": "mean", "dtype": "float32", "shape": [len(mean)]})
            named = document["encoding"]
            start = rfc8785.dumps({k: v for k, v in named.items() if k != "recipe"}) + header
            assert start.decode() in page.read_text(encoding="utf-8")


def test_the_annotated_example_is_a_golden_store() -> None:
    """format.md shows the metadata of a golden store, shortened only where it says so."""
    store = SPEC / "vectors" / "0.2" / "stores" / "int8-plain.zarr"
    group = read_json(store / "zarr.json")
    del group["consolidated_metadata"]
    group["attributes"]["proj:wkt2"] = "PROJCRS[…]"
    shown = blocks(SPEC / "format.md")
    assert group in shown
    assert read_json(store / "embedding" / "zarr.json") in shown
    codec = read_json(store.with_name("int8-codec.zarr") / "embedding" / "zarr.json")
    assert codec["codecs"] in shown
