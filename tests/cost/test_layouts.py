"""Chunks and levels that a conversion may make are estimated as it makes them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._cost.options import WITH_MASK
from geoembz.encoding import Encoding, Recipe
from geoembz.encoding._quantization import BITS
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.cost.test_cli import run, run_json

SCHEME = ("--dims", "64", "--pixels", "1000000000000")


@pytest.fixture(scope="module")
def vectors() -> np.ndarray[Any, Any]:
    """Return vectors to fit encodings on."""
    return np.random.default_rng(3).normal(size=(600, 64)).astype(np.float32)


@pytest.mark.parametrize(
    ("access", "recipe"),
    [
        (None, "pca64-int8"),
        ("points", "pca64-int8"),
        ("bulk", "pca64-int4"),
        *(("browser", recipe) for recipe in ("pca64-int8", "pca64-int4", "pca64-rot-int8")),
    ],
)
def test_chunks_are_those_of_a_conversion(
    access: Any, recipe: str, make_raster: MakeRaster, tmp_path: Path, rng: np.random.Generator
) -> None:
    """Sides, and into how many parts a vector is cut, where a raster holds a whole chunk."""
    source = make_raster(tmp_path / "a.tif", rng.normal(size=(64, 256, 256)).astype(np.float32))
    summary = geoembz.convert(source, tmp_path / "a.zarr", recipe=recipe, access=access)
    codes = StoreReader.open(summary.store).codes
    layout = geoembz.CostOptions(dims=64, recipe=recipe, access=access).layout()
    assert codes.chunks[-2:] == layout.chunk
    assert -(-codes.shape[0] // codes.chunks[0]) == layout.parts
    assert layout.parts == (3 if (access, recipe) == ("browser", "pca64-int8") else 1)
    (measured,) = geoembz.cost(tmp_path / "a.zarr").estimates
    assert measured.holding.layout is not None
    assert measured.holding.layout.parts == layout.parts


@pytest.mark.parametrize("quantizer", sorted(BITS))
def test_only_vectors_with_a_mask_stay_whole(quantizer: str, vectors: np.ndarray[Any, Any]) -> None:
    """The arithmetic, which fits nothing, names the quantizers that have no code for nodata."""
    words = {"pq": "pq8x8", "rq": "rq1x8", "power": "aef"}
    encoding = Encoding.fit(vectors, Recipe.parse(words.get(quantizer, quantizer)))
    assert (quantizer in WITH_MASK) == (encoding.nodata is None)


def test_a_read_costs_what_the_chunks_say() -> None:
    """Three parts and an index for browsers; few bytes for points; few requests for a scan."""
    reads = {
        access: run_json(*SCHEME, "--recipe", "pca64-int8", "--for", access)
        for access in ("browser", "points", "bulk")
    }
    assert [reads[access]["requests_per_read"] for access in reads] == [4, 2, 2]
    index = 16 * 16 * 3 + 4
    assert reads["browser"]["bytes_per_read"] == 256 * 256 * 64 + index
    assert reads["points"]["bytes_per_read"] == 32 * 32 * 64 + 16 * 1024 + 4
    assert reads["points"]["read_amplification"] < reads["bulk"]["read_amplification"] / 40
    assert len({document["total_bytes"] for document in reads.values()}) == 1


def test_overviews_are_a_third_more() -> None:
    """Of bytes, objects and dollars, not of what a read fetches; the text says so."""
    plain = run_json(*SCHEME, "--recipe", "pca64-int8", "--years", "2")
    more = run_json(*SCHEME, "--recipe", "pca64-int8", "--years", "2", "--overviews")
    assert (plain["overviews"], more["overviews"]) == (False, True)
    assert more["total_bytes"] == (plain["total_bytes"] * 8 + 3) // 6
    assert more["n_objects"] == -(-plain["n_objects"] * 4 // 3)
    assert more["usd_per_year"] == pytest.approx(plain["usd_per_year"] * 4 / 3)
    assert more["tiered"]["puts_usd_once"] > plain["tiered"]["puts_usd_once"] * 1.3
    assert more["bytes_per_read"] == plain["bytes_per_read"]
    assert "objects, a quarter of it overviews" in run(*SCHEME, "--overviews")
    assert "overviews" not in run(*SCHEME)


def test_a_measured_store_has_its_own(tmp_path: Path) -> None:
    """And there is no fourth way of reading."""
    for options in ({"access": "points"}, {"overviews": True}):
        keywords: dict[str, Any] = options
        with pytest.raises(InvalidConfigError, match="access=… and overviews=True do not apply"):
            geoembz.cost(tmp_path / "a.zarr", **keywords)
    with pytest.raises(InvalidConfigError, match="'maps'; expected one of browser, points, bulk"):
        geoembz.cost(dims=8, access="maps")  # type: ignore[arg-type]
