"""A patch is opened lazily: what an export writes, read only where it is asked for."""

from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import rasterio
import rioxarray  # noqa: F401 - registers .rio
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.closeness import assert_same_vectors
from tests.export.conftest import MakeStore, everything
from tests.export.test_files import read
from tests.export.test_patch import AROUND, zones  # noqa: F401 - a fixture

BOX: dict[str, Any] = {"bbox": AROUND, "bbox_crs": "EPSG:4326", "crs": "EPSG:3857"}


@pytest.mark.parametrize("chunks", [None, {}, {"y": 20, "x": 33}], ids=str)
def test_a_patch_over_two_zones_is_lazy(
    zones: Path,  # noqa: F811
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    chunks: Any,
) -> None:
    """With dask or without: opening reads no codes, a window reads only what it meets."""
    geoembz.export(zones, tmp_path / "a.tif", resolution=37.0, **BOX)
    expected = read(tmp_path / "a.tif")
    reads: list[Any] = []
    plain = StoreReader.read_codes

    def counted(self: StoreReader, *rest: Any) -> Any:
        reads.append(rest)
        return plain(self, *rest)

    monkeypatch.setattr(StoreReader, "read_codes", counted)
    patch = geoembz.open_patch(zones, resolution=37.0, chunks=chunks, **BOX)
    assert patch["embedding"].dims == ("dimension", "y", "x")
    assert patch.rio.crs.to_epsg() == 3857
    assert bool(patch.chunks) == (chunks is not None)
    part = patch["embedding"][1:3, 30:40:2, 45]
    assert reads == []
    with dask.config.set(scheduler="synchronous"):
        assert_same_vectors(part.to_numpy(), expected[1:3, 30:40:2, 45])
        few = len(reads)
        assert_same_vectors(patch["embedding"].to_numpy(), expected)
    assert 0 < few < len(reads) - few
    with rasterio.open(tmp_path / "a.tif") as raster:
        x, y = raster.xy([0, 7], [0, 9])
    np.testing.assert_allclose(patch.x[[0, 9]], x)
    np.testing.assert_allclose(patch.y[[0, 7]], y)


def test_codes_of_a_patch_have_their_mask(make_store: MakeStore) -> None:
    """Where no code says nodata."""
    store = make_store(quantizer="binary")
    options: dict[str, Any] = {"crs": "EPSG:32632", "resolution": 10.0, "space": "codes"}
    patch = geoembz.open_patch(store.url, **options)
    np.testing.assert_array_equal(patch["valid"], ~np.isnan(everything(store)[0]))
    stored = everything(store, "codes")
    valid = patch["valid"].to_numpy()
    np.testing.assert_array_equal(patch["embedding"].to_numpy()[:, valid], stored[:, valid])


def _nearest(store: StoreReader, like: xr.Dataset, window: Any) -> NDArray[np.float32]:
    """Return the vectors under the pixels of a grid in the store's CRS, within a window of it."""
    grid, vectors = store.attributes.grid, everything(store, "reduced")
    rows, cols = (
        np.floor(at).astype(int)
        for at in grid.rows_cols(like.x.to_numpy(), like.y.to_numpy()[:, np.newaxis])
    )
    rows, cols = np.broadcast_arrays(rows, cols)
    inside = (rows >= window[0]) & (rows < window[1]) & (cols >= window[2]) & (cols < window[3])
    result = np.full((len(vectors), *rows.shape), np.nan, np.float32)
    result[:, inside] = vectors[:, rows[inside], cols[inside]]
    return result


def test_a_dataset_takes_the_grid_of_another(store: StoreReader, tmp_path: Path) -> None:
    """As rioxarray's `reproject_match` and `reproject`; only its own pixels, in its own space."""
    part = geoembz.open(store.url, space="reduced").isel(y=slice(8, 60), x=slice(0, 40))
    place = {"x": 500_000 + 13.0 * np.arange(40), "y": 5_300_000 - 17.0 * np.arange(45)}
    like = xr.Dataset(coords=place).rio.write_crs("EPSG:32632")
    expected = _nearest(store, like, (8, 60, 0, 40))
    for match in (like, like.assign(a=(("y", "x"), np.zeros((45, 40))))["a"]):
        found = part.geoembz.reproject_match(match, chunks={})
        assert_same_vectors(found["embedding"].to_numpy(), expected)
        np.testing.assert_allclose(found.x, like.x)
    assert np.isnan(expected[0]).any()
    moved = part.geoembz.reproject("EPSG:32632", resolution=5.0)
    assert moved.sizes == {"component": 8, "y": 104, "x": 80}
    assert_same_vectors(moved["embedding"].to_numpy(), _nearest(store, moved, (8, 60, 0, 40)))
    with pytest.raises(InvalidConfigError, match="does not know its store"):
        moved.geoembz.sample([[0.0, 0.0]])
    far = like.assign_coords(x=like.x + 1e6)
    with pytest.raises(InvalidConfigError, match="outside"):
        part.geoembz.reproject_match(far)
