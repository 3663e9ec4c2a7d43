"""Prefix chunks: the same numbers, and fewer bytes for the first few components."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster

RECIPES = ("pca6-int8", "pca6-int4", "svd6-int2-quantile", "pca6-binary", "pca6-float16")


@pytest.fixture(scope="module")
def raster(make_raster: MakeRaster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prefix") / "in.tif"
    values = np.random.default_rng(2).normal(size=(8, 40, 36)).astype(np.float32)
    values[3, 5, 7] = np.nan
    make_raster(path, values, blocksize=16)
    return path


@pytest.mark.parametrize("shard", [16, "none"])
@pytest.mark.parametrize("recipe", RECIPES)
def test_prefix_chunks_hold_the_same_numbers(
    raster: Path, tmp_path: Path, recipe: str, shard: int | str
) -> None:
    """Every prefix of a store with prefix chunks decodes as that of one without."""
    readers = []
    for name, prefix in (("cut", 4), ("whole", None)):
        geoembz.convert(
            *(raster, tmp_path / name), recipe=recipe, chunk=8, shard=shard, prefix_chunks=prefix
        )
        readers.append(StoreReader.open(str(tmp_path / name)))
    cut, whole = readers
    window = cut.attributes.grid.window
    assert cut.codes.chunks[0] == cut.encoding.prefix_length(4) <= whole.codes.chunks[0]
    np.testing.assert_array_equal(cut.read_codes(window), whole.read_codes(window))
    for components in (1, 3, 4, 5, 6, None):
        for space in ("reduced", "original"):
            np.testing.assert_array_equal(
                cut.read(window, space, components),
                whole.read(window, space, components),
            )


def test_a_prefix_moves_its_share_of_the_bytes(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of six components cost about a third of what all six cost."""
    geoembz.convert(raster, tmp_path / "s", pca=6, chunk=16, shard=48, prefix_chunks=2)
    read: list[int] = []
    preadv = os.preadv

    def counted(*args: Any) -> int:
        read.append(preadv(*args))
        return read[-1]

    monkeypatch.setattr(os, "preadv", counted)
    reader = StoreReader.open(str(tmp_path / "s"))
    moved = {}
    for components in (2, None):
        read.clear()
        reader.read(reader.attributes.grid.window, "reduced", components)
        moved[components] = sum(read)
    assert 0 < moved[2] < 0.45 * moved[None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"recipe": "rot-int8"}, "rotated"),
        ({"recipe": "pca4-pq2x8"}, "pq"),
        ({"recipe": "int8"}, "not ordered"),
        ({"recipe": "pca6-int8", "prefix_chunks": 7}, "expected 1 to 6"),
        ({"recipe": "pca6-int8", "prefix_chunks": 0}, "expected 1 to 6"),
        ({"recipe": "pca6-int8", "layout": "codec"}, "layout codec"),
    ],
)
def test_prefix_chunks_are_refused_where_they_mean_nothing(
    raster: Path, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    """Unordered components, too many of them, and codecs that take vectors whole."""
    with pytest.raises(InvalidConfigError, match=message):
        geoembz.convert(raster, tmp_path / "s", **{"prefix_chunks": 2, **options})
    assert not (tmp_path / "s").exists()


def test_a_date_is_appended_in_the_same_chunks(raster: Path, tmp_path: Path) -> None:
    """A store with prefix chunks keeps them when it grows."""
    geoembz.convert(raster, tmp_path / "s", pca=6, prefix_chunks=2, time="2024")
    before = StoreReader.open(str(tmp_path / "s")).codes.chunks
    geoembz.append(tmp_path / "s", raster, time="2025")
    reader = StoreReader.open(str(tmp_path / "s"))
    assert reader.codes.chunks == before
    window = reader.attributes.grid.window
    np.testing.assert_array_equal(reader.read_codes(window, 0), reader.read_codes(window, 1))
