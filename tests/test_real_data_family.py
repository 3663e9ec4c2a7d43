"""The codec family on real embeddings, where the shared data are."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr

import geoembz

pytestmark = pytest.mark.realdata

RASTERS = (
    "aef_2024_wisconsin_native_utm16n_int8.tif",
    "aef_2024_wisconsin_10km_16band_epsg4326_int8.tif",
)


@pytest.mark.slow
@pytest.mark.parametrize("name", RASTERS)
def test_aef_re_encodes_alphaearth_without_loss(
    name: str, shared_data: Path, tmp_path: Path
) -> None:
    """Decoded by the AEF law and converted by the recipe ``aef``, the int8 codes are the source's.

    The file holds what Earth Engine exports: values on AlphaEarth's grid, nodata NaN.
    """
    with rasterio.open(shared_data / "aef_wisconsin" / name) as dataset:
        codes, profile = dataset.read(), dataset.profile
    magnitude = np.abs(codes.astype(np.float64)) / 127.5
    values = np.where(codes == -128, np.nan, np.sign(codes) * magnitude**2).astype(np.float32)
    decoded = tmp_path / "decoded.tif"
    with rasterio.open(decoded, "w", **{**profile, "dtype": "float32", "nodata": np.nan}) as file:
        file.write(values)
    geoembz.convert(decoded, tmp_path / "out.zarr", recipe="aef")
    stored = xr.open_dataset(tmp_path / "out.zarr", engine="geoembz", space="codes")["embedding"]
    invalid = (codes == -128).any(axis=0)
    assert stored.dtype == np.int8
    np.testing.assert_array_equal(stored.values, np.where(invalid, np.int8(-128), codes))
