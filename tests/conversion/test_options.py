"""Options in groups and as flat keywords: the same conversion, and no contradictions."""

from dataclasses import fields, replace
from pathlib import Path

import pytest

import geoembz
from geoembz import FitOptions, ReadOptions, StorageOptions
from geoembz._convert.options import ConvertKeywords, ReadKeywords, gather
from geoembz.errors import InvalidConfigError
from tests.trees import objects

GROUPS = {"read": ReadOptions, "fit": FitOptions, "storage": StorageOptions}


def test_every_field_of_a_group_is_a_keyword() -> None:
    """The typed keywords are the fields of the groups, and nothing else; a date says the year."""
    of_groups = {field.name for group in GROUPS.values() for field in fields(group)}
    assert ConvertKeywords.__annotations__.keys() == of_groups - {"year"}
    assert ReadKeywords.__annotations__.keys() == {f.name for f in fields(ReadOptions)} - {"year"}


def test_groups_and_keywords_are_the_same_conversion(tmp_path: Path) -> None:
    """Byte for byte, in any mixture."""
    source = geoembz.write_demo(tmp_path, size=64, dimension=16).embedding
    flat = {"pca": 4, "quantizer": "int4", "seed": 3, "chunk": 32, "nodata": "none"}
    geoembz.convert(source, tmp_path / "flat", **flat)  # type: ignore[arg-type]
    fit = FitOptions(pca=4, quantizer="int4", seed=3)
    read, storage = ReadOptions(nodata="none"), StorageOptions(chunk=32)
    geoembz.convert(source, tmp_path / "groups", read=read, fit=fit, storage=storage)
    mixed = replace(fit, seed=0)
    geoembz.convert(source, tmp_path / "mixed", fit=mixed, seed=3, chunk=32, nodata="none")
    digests = objects(tmp_path / "flat")
    assert objects(tmp_path / "groups") == digests
    assert objects(tmp_path / "mixed") == digests


def test_contradictions_are_refused() -> None:
    """A keyword and its group say one thing; the group's default says nothing."""
    with pytest.raises(InvalidConfigError, match=r"seed 3, but fit.seed is 5; give it once"):
        gather("convert", {"seed": 3}, fit=FitOptions(seed=5))
    assert gather("convert", {"seed": 5}, fit=FitOptions(seed=5)).fit.seed == 5


@pytest.mark.parametrize("keyword", ["sede", "year"])
def test_unknown_keywords_are_refused_as_python_does(tmp_path: Path, keyword: str) -> None:
    """A misspelt keyword is not passed over."""
    unknown = {keyword: 2024}
    with pytest.raises(TypeError, match=rf"convert\(\) got an unexpected keyword .*{keyword}"):
        geoembz.convert("a.tif", tmp_path / "out", **unknown)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_append_refuses_what_the_store_has_fixed(tmp_path: Path) -> None:
    """How vectors are encoded and cut is the store's own."""
    with pytest.raises(TypeError, match=r"append\(\) got an unexpected keyword argument 'chunk'"):
        geoembz.append(tmp_path, "a.tif", time="2025", chunk=8)  # type: ignore[call-arg]


def test_appended_inputs_have_their_checksum(tmp_path: Path) -> None:
    """`checksum` records the content of a date's inputs, as `convert` does."""
    source = geoembz.write_demo(tmp_path, size=64, dimension=8).embedding
    store = tmp_path / "out.zarr"
    geoembz.convert(source, store, pca=4, time="2024", checksum=True)
    geoembz.append(store, source, time="2025", checksum=True)
    first, second = geoembz.StoreReader.open(str(store)).attributes.times
    assert len(second["sources"][0]["sha256"]) == 64
    assert first["sources"] == second["sources"]


@pytest.mark.slow
def test_processes_append_the_same_bytes(tmp_path: Path) -> None:
    """A scheduler writes what threads write."""
    source = geoembz.write_demo(tmp_path, size=128, dimension=8).embedding
    for name, scheduler in {"threads": None, "processes": "local"}.items():
        store = tmp_path / name
        geoembz.convert(source, store, pca=4, time="2024", chunk=32, shard=32)
        geoembz.append(store, source, time="2025", workers=2, scheduler=scheduler)
    assert objects(tmp_path / "threads") == objects(tmp_path / "processes")
