"""Our stores, in the words of the proposal to the embeddings convention, and read by them."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jsonschema.exceptions import ValidationError

import geoembz
from tests.spec.independent import decode_store
from tests.spec.proposed import decode, describe
from tests.spec.test_schemas import conventions, validate
from tests.spec.test_vectors import SPEC, read_json

__all__ = ["conventions"]

PROPOSAL = SPEC / "proposals" / "decoding"
GROUPS = sorted(
    path
    for kind in ("stores", "times", "overviews", "grids/two-zones.zarr")
    for path in SPEC.glob(f"vectors/0.2/{kind}/*")
    if (path / "embedding").is_dir()
)
UNSAID = {"power", "codec", "pq", "rq", "ternary"}
"""Parts of the names of golden stores that the proposal has no words for, and says so."""

said = pytest.mark.parametrize(
    "group", [g for g in GROUPS if not UNSAID & set(g.stem.split("-"))], ids=lambda g: g.stem
)


def described(group: Path, tmp_path: Path) -> Path:
    """Return a copy of a store that carries the proposed attribute, and none of ours."""
    document = describe(read_json(group / "zarr.json"))
    assert document is not None
    copy = tmp_path / group.name
    shutil.copytree(group, copy)
    (copy / "zarr.json").unlink()
    theirs = {k: v for k, v in document["attributes"].items() if not k.startswith("geoembz:")}
    (copy / "described.json").write_text(json.dumps({**document, "attributes": theirs}))
    return copy


def golden(group: Path, level: str = "") -> Any:
    """Return the vectors that the golden files have of a group."""
    name = f"{group.parent.stem}.{group.stem}" if group.suffix != ".zarr" else group.stem
    folder = group.parent.parent if group.suffix != ".zarr" else group.parent
    factor = f".{level.rpartition('/')[2]}" if level else ""
    file = folder / f"{name}{factor}.original.npy"
    return np.load(file) if file.exists() else decode_store(group, "original", level)


@said
def test_reader_of_the_proposal_gives_the_golden_vectors(group: Path, tmp_path: Path) -> None:
    found = decode(described(group, tmp_path))
    np.testing.assert_allclose(found, golden(group), atol=1e-6)


@pytest.mark.parametrize("group", GROUPS, ids=lambda g: g.stem)
def test_what_it_has_no_words_for_is_not_described(group: Path) -> None:
    unsaid = bool(UNSAID & set(group.stem.split("-")))
    assert (describe(read_json(group / "zarr.json")) is None) == unsaid


@pytest.mark.parametrize("factor", [2, 4])
def test_levels_decode_as_the_full_resolution(factor: int, tmp_path: Path) -> None:
    group = SPEC / "vectors/0.2/overviews/int8-plain.zarr"
    level = f"overviews/{factor}"
    found = decode(described(group, tmp_path), level=level)
    np.testing.assert_allclose(found, golden(group, level), atol=1e-6)


def test_prefixes_are_embeddings_of_their_own(tmp_path: Path) -> None:
    group = SPEC / "vectors/0.2/stores/int8-prefix.zarr"
    copy = described(group, tmp_path)
    depths = read_json(copy / "described.json")["attributes"]["geoemb:decoding"]["prefixes"]
    assert depths == {"depths": [2, 4, 5]}
    with geoembz.open(group, components=2) as opened:
        expected = opened["embedding"].to_numpy()
    np.testing.assert_allclose(decode(copy, components=2), expected, atol=1e-6)


@said
def test_documents_are_valid_in_v1_and_by_the_proposal(
    group: Path, tmp_path: Path, conventions: Path
) -> None:
    document = read_json(described(group, tmp_path) / "described.json")
    validate(document, read_json(conventions / "geoemb.schema.json"))
    validate(document, read_json(PROPOSAL / "schema.json"))


@pytest.mark.parametrize("path", sorted(PROPOSAL.glob("examples/*.json")), ids=lambda p: p.stem)
def test_examples_are_what_stores_say(path: Path) -> None:
    """An example is a golden store's document, its attributes of geoembz left out."""
    example = read_json(path)
    document = describe(read_json(SPEC / "vectors/0.2" / example.pop("$comment")))
    assert document is not None
    theirs = {k: v for k, v in document["attributes"].items() if not k.startswith("geoembz:")}
    assert example["attributes"] == theirs
    validate(example, read_json(PROPOSAL / "schema.json"))


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("codes", {"array": "embedding", "axis": "component"}),
        ("codes", {"array": "e", "axis": "c", "count": 3, "nodata": 0, "valid": "valid"}),
        ("codes", {"array": "/e", "axis": "c", "count": 3}),
        ("scale", {"type": "scalar", "scale": 0.5}),
        ("scale", {"type": "component", "scale": 0.5}),
        ("projection", {"mean": "encoding/mean"}),
        ("prefixes", {"depths": []}),
        ("levels", {"resampling": "nearest", "of": "vectors"}),
        ("more", {}),
    ],
)
def test_schema_refuses(member: str, value: dict[str, Any]) -> None:
    document = read_json(PROPOSAL / "examples" / "int8-levels.json")
    document["attributes"]["geoemb:decoding"][member] = value
    with pytest.raises(ValidationError):
        validate(document, read_json(PROPOSAL / "schema.json"))


def test_example_in_the_text_is_valid() -> None:
    text = (PROPOSAL / "README.md").read_text()
    attributes = json.loads(text.partition("```json\n")[2].partition("```")[0])
    schema = read_json(PROPOSAL / "schema.json")
    validate({"attributes": {**attributes, "multiscales": {}}}, schema)
