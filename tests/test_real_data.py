"""Real embeddings, where the shared data are: what the issue promises of them."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geoembz
from tests.families import KINDS

pytestmark = pytest.mark.realdata


def test_galileo_keeps_its_geometry_at_64_bytes(shared_data: Path, tmp_path: Path) -> None:
    """128-d float32 at 64 bytes per pixel: held-out centred cosine at least 0.985."""
    source = shared_data / "galileo_s2" / "galileo_nano_s2_patch1_128d_float32.tif"
    summary = geoembz.convert(source, tmp_path / "out.zarr", pca=64, quantizer="int8")
    assert summary.bytes_per_embedding == 64
    assert summary.cosine_centred is not None
    assert summary.cosine_centred >= 0.985
    assert summary.held_out_pixels > 5_000
    import rioxarray  # noqa: F401 - registers .rio

    with rasterio.open(source) as dataset:
        assert geoembz.open(tmp_path / "out.zarr").rio.crs == dataset.crs


def test_galileo_s_fidelity_is_what_the_store_decodes_to(shared_data: Path, tmp_path: Path) -> None:
    """The RMSE in the summary is that of the decoded store, to the difference of the sample."""
    source = shared_data / "galileo_s2" / "galileo_nano_s2_patch1_128d_float32.tif"
    summary = geoembz.convert(source, tmp_path / "out.zarr", pca=64)
    decoded = geoembz.open(tmp_path / "out.zarr")["embedding"].values
    with rasterio.open(source) as dataset:
        values = dataset.read()
    np.testing.assert_array_equal(np.isfinite(decoded).all(axis=0), np.isfinite(values).all(axis=0))
    rmse = np.sqrt(np.nanmean((decoded.astype(np.float64) - values) ** 2))
    assert summary.rmse == pytest.approx(rmse, rel=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_aef_s_nodata_stays_nodata(kind: str, shared_data: Path, tmp_path: Path) -> None:
    """AlphaEarth int8: −128 in all bands is nodata, in every quantizer."""
    for source in sorted((shared_data / "aef_wisconsin").glob("*.tif")):
        with rasterio.open(source) as dataset:
            if dataset.count != 64:
                continue
            values = dataset.read()
            corner = dataset.xy(0, 0)
        summary = geoembz.convert(
            source, tmp_path / source.stem, pca=32, quantizer=kind, nodata=-128
        )
        invalid = (values == -128).any(axis=0)
        opened = geoembz.open(tmp_path / source.stem)
        decoded = opened["embedding"].values
        np.testing.assert_array_equal(np.isnan(decoded), np.broadcast_to(invalid, decoded.shape))
        assert summary.valid_pixels == (~invalid).sum()
        np.testing.assert_allclose((opened["x"][0], opened["y"][0]), corner)


def test_a_basis_serves_another_tile(shared_data: Path, tmp_path: Path) -> None:
    """A conversion with another store's basis has its hash: codes are comparable."""
    source = shared_data / "galileo_s2" / "galileo_nano_s2_patch1_128d_float32.tif"
    first = geoembz.convert(source, tmp_path / "a.zarr", pca=16)
    second = geoembz.convert(source, tmp_path / "b.zarr", basis=tmp_path / "a.zarr")
    assert first.encoding_hash == second.encoding_hash
    attributes = json.loads((tmp_path / "b.zarr" / "zarr.json").read_text())["attributes"]
    assert attributes["geoembz:encoding_hash"] == first.encoding_hash
