"""A store that is written by window is the one that `convert` makes of the same vectors."""

import json
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz import Encoding
from tests.trees import objects
from tests.write.conftest import Begin, fill, shards_of

MUST_DIFFER = {"geoemb:source_data", "geoembz:sources", "geoembz:fidelity", "geoembz:digests"}
"""Attributes: what vectors were made of; of fidelity the centred cosine; and the seal over all."""


@pytest.mark.parametrize("size", [16, 7, 20, 50])
def test_all_objects_are_those_of_a_conversion(
    size: int,
    begin: Begin,
    vectors: NDArray[np.float32],
    converted: dict[str, bytes],
    tmp_path: Path,
) -> None:
    """In windows of whole shards, of parts, across borders, or in one; in any order."""
    with begin() as writer:
        fill(writer, vectors, size, seed=size)
        summary = writer.finish()
    written = objects(tmp_path / "out")
    assert shards_of(written) == shards_of(converted)
    assert isinstance(summary, geoembz.ConvertSummary)
    assert summary.held_out_pixels > 0


@pytest.mark.parametrize("recipe", ["pca5-int4", "int8", "pca8-binary", "float32"])
def test_every_kind_of_codes(
    recipe: str, begin: Begin, raster_with_holes: Path, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """With validity in the codes, and in an array of its own."""
    encoding = geoembz.fit(raster_with_holes, recipe, seed=1)
    geoembz.convert(
        raster_with_holes, tmp_path / "converted", basis=encoding, chunk=8, shard=24, overviews=True
    )
    with begin(encoding=encoding, shard=24, overviews=True) as writer:
        fill(writer, vectors, 20, seed=1)
        writer.finish()
    written, expected = objects(tmp_path / "out"), objects(tmp_path / "converted")
    assert any(key.startswith("overviews/2/embedding/c") for key in written)
    assert shards_of(written) == shards_of(expected)


def test_attributes_differ_only_in_what_vectors_were_made_of(
    begin: Begin, vectors: NDArray[np.float32], converted: dict[str, bytes], tmp_path: Path
) -> None:
    """Fidelity is that of the same held-out pixels, to the last bit."""
    with begin(sources=["s3://bucket/scene?X-Amz-Signature=secret"]) as writer:
        fill(writer, vectors, 26, seed=2)
        writer.finish()
    written = json.loads((tmp_path / "out/zarr.json").read_bytes())["attributes"]
    expected = json.loads(converted["zarr.json"])["attributes"]
    assert {key for key in expected if written[key] != expected[key]} == MUST_DIFFER
    assert written.keys() == expected.keys()
    assert [entry["uri"] for entry in written["geoembz:sources"]] == ["s3://bucket/scene"]
    mine, theirs = written["geoembz:fidelity"], expected["geoembz:fidelity"]
    assert mine.pop("cosine_centred") == pytest.approx(theirs.pop("cosine_centred"), abs=0.01)
    assert mine == theirs


def test_layout_is_chosen_as_for_the_raster_that_it_is_like(
    raster_with_holes: Path, encoding: Encoding, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """Without sizes, too."""
    geoembz.convert(raster_with_holes, tmp_path / "converted", basis=encoding)
    with geoembz.create(tmp_path / "out", like=raster_with_holes, encoding=encoding) as writer:
        fill(writer, vectors, 32)
        writer.finish()
    expected = objects(tmp_path / "converted")
    assert shards_of(objects(tmp_path / "out")) == shards_of(expected)


def test_what_nobody_wrote_is_invalid(
    begin: Begin, vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """Whole shards, and parts of one."""
    with begin() as writer:
        writer.write((slice(3, 9), slice(20, 40)), vectors[:, 3:9, 20:40])
        assert len(writer.missing(writer.shards)) == len(writer.shards)
        writer.finish()
    read = geoembz.StoreReader.open(str(tmp_path / "out")).read(
        geoembz.Window(0, 0, 50, 45), "reduced"
    )
    expected = np.zeros((50, 45), bool)
    expected[3:9, 20:40] = np.isfinite(vectors[:, 3:9, 20:40]).all(axis=0)
    assert (np.isfinite(read).all(axis=0) == expected).all()


def test_verify_finds_nothing(begin: Begin, vectors: NDArray[np.float32], tmp_path: Path) -> None:
    """Digests, schema and counts hold."""
    with begin(time="2024", license="CC-BY-4.0", model="https://example.org/model") as writer:
        fill(writer, vectors, 25)
        writer.finish()
    assert geoembz.verify(tmp_path / "out").problems == ()
    assert geoembz.StoreReader.open(str(tmp_path / "out")).dates == ("2024-01-01",)
