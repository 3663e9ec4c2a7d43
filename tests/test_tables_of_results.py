"""Tables of results name what they count."""

from pathlib import Path

import numpy as np

import geoembz
from geoembz._export import export_cog, preview
from geoembz.store.summary import describe
from tests.conftest import MakeRaster


def test_width_comes_first_and_is_named(tmp_path: Path, make_raster: MakeRaster) -> None:
    """Sizes are width x height, as everywhere else; lossless is said, a ratio says of what."""
    values = np.random.default_rng(0).normal(size=(4, 20, 48)).astype(np.float32)
    store = tmp_path / "a.zarr"
    source = make_raster(tmp_path / "a.tif", values)
    summary = geoembz.convert(source, store, recipe="float32")
    assert "(lossless)" in summary.to_table()
    assert "uncompressed" in summary.to_table()
    lossy = geoembz.convert(source, tmp_path / "b.zarr", recipe="int4")
    assert "(lossless)" not in lossy.to_table()
    for table in (
        describe(str(store)).to_table(),
        export_cog(store, tmp_path / "a.tif2.tif").to_table(),
        preview(store, tmp_path / "a.png").to_table(),
    ):
        assert "48 x 20 pixels (width x height)" in table
