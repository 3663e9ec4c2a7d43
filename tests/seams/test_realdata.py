"""Planted seams in real embeddings: the Galileo raster, and tiles of AlphaEarth that are clean."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

import geoembz
from tests.seams.conftest import Values, mosaic, offset

GALILEO = "galileo_s2/galileo_nano_s2_patch1_128d_float32.tif"
AEF = {
    "10 km": "aef_wisconsin/aef_2024_wisconsin_10km_16band_epsg4326_int8.tif",
    "native": "aef_wisconsin/aef_2024_wisconsin_native_utm16n_int8.tif",
}
WINDOW = 12
"""Pixels of the windows that the model looked at the scene in: README.txt beside the raster."""

pytestmark = pytest.mark.realdata


@pytest.fixture(scope="module")
def galileo(shared_data: Path) -> Values:
    with rasterio.open(shared_data / GALILEO) as raster:
        values: Values = raster.read()
    return values


def edges(length: int, rng: np.random.Generator) -> tuple[int, ...]:
    """Cut a side into three parts, by chance."""
    middle = np.array([length // 3, 2 * length // 3]) + rng.integers(-9, 10, 2)
    return (0, *middle.tolist(), length)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 20))]
)
def test_galileo(galileo: Values, seed: int) -> None:
    """None in the clean mosaic; all of 1 and 2 steps, and no other; most of half a step."""
    rng = np.random.default_rng(seed)
    rows, cols = edges(galileo.shape[1], rng), edges(galileo.shape[2], rng)
    clean = geoembz.check_seams(mosaic(galileo, rows, cols))
    assert clean.checked["source"] == 12
    assert clean.seams == ()
    assert [one.period for one in clean.windows] == [WINDOW, WINDOW]
    for size in (0.5, 1.0, 2.0):
        tile = (int(rng.integers(3)), int(rng.integers(3)))
        planted = {tile: offset(galileo, size, seed, windows=WINDOW)}
        report = geoembz.check_seams(mosaic(galileo, rows, cols, planted))
        name = f"t{tile[0]}{tile[1]}"
        expected = {border.sides for border in report.borders if name in border.sides}
        found = {seam.sides for seam in report.seams}
        assert found <= expected
        assert len(found) >= (len(expected) if size >= 1 else 1)


@pytest.mark.parametrize("name", AEF)
@pytest.mark.parametrize(
    "shard", [256, *(pytest.param(n, marks=pytest.mark.slow) for n in (96, 128))]
)
def test_alphaearth_is_clean(name: str, shard: int, shared_data: Path, tmp_path: Path) -> None:
    geoembz.convert(shared_data / AEF[name], tmp_path / "a.zarr", shard=shard, chunk=32)
    report = geoembz.check_seams(tmp_path / "a.zarr")
    assert report.seams == ()
    assert report.windows == ()
