"""Mosaics and zones through a whole conversion."""

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._convert import raster_conversion
from geoembz.errors import InvalidConfigError
from tests import products


def same_files(one: Path, other: Path) -> bool:
    """Whether two directories hold the same objects."""
    names = {path.relative_to(one) for path in one.rglob("*") if path.is_file()}
    assert names == {path.relative_to(other) for path in other.rglob("*") if path.is_file()}
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in names)


def write_zones(folder: Path) -> list[Path]:
    """Write tiles in two UTM zones, with the same kind of vectors."""
    paths = []
    for zone, seed in ((32, 0), (33, 1)):
        for part in range(2):
            a, b, c, d, e, f = products.UTM_TRANSFORM
            values = products.power_values(products.aef_codes(24, 24, seed=seed * 2 + part))
            paths.append(
                products.write_raster(
                    folder / f"z{zone}_{part}.tif",
                    values[:8],
                    crs=f"EPSG:326{zone}",
                    transform=(a, b, c + 240 * part, d, e, f),
                )
            )
    return paths


@pytest.mark.parametrize("bottom_up", [True, False])
def test_aef_codes_are_stored_as_they_are(tmp_path: Path, bottom_up: bool) -> None:
    """By default the store's codes are the tile's codes, north-up."""
    codes = products.aef_codes(40, 24)
    codes[:, 3, 7] = -128
    path = products.write_aef(tmp_path / "a.tif", codes, bottom_up=bottom_up)
    summary = geoembz.convert(path, tmp_path / "a.zarr")
    stored = geoembz.open(tmp_path / "a.zarr", space="codes")["embedding"].values
    np.testing.assert_array_equal(stored, codes)
    assert summary.rmse == 0.0


def test_float_exports_of_aef_recover_the_codes(tmp_path: Path) -> None:
    codes = products.aef_codes(16, 16)
    names = [f"A{band:02d}" for band in range(64)]
    values = products.power_values(codes).astype(np.float64)
    products.write_band_files(tmp_path / "in", values, names)
    geoembz.convert(tmp_path / "in", tmp_path / "a.zarr")
    stored = geoembz.open(tmp_path / "a.zarr", space="codes")["embedding"].values
    np.testing.assert_array_equal(stored, codes)


@pytest.mark.realdata
@pytest.mark.parametrize("name", ["native_utm16n", "10km_16band_epsg4326"])
def test_real_aef_codes_are_stored_as_they_are(
    tmp_path: Path, shared_data: Path, name: str
) -> None:
    import rasterio

    path = shared_data / "aef_wisconsin" / f"aef_2024_wisconsin_{name}_int8.tif"
    summary = geoembz.convert(path, tmp_path / "a.zarr")
    with rasterio.open(path) as raster:
        codes = raster.read()
    stored = geoembz.open(tmp_path / "a.zarr", space="codes")["embedding"].values
    np.testing.assert_array_equal(stored, codes)
    assert summary.notes == (
        () if len(codes) == 64 else ("16 of the 64 bands: vectors are shorter than 1",)
    )
    if len(codes) == 64:
        vectors = geoembz.open(tmp_path / "a.zarr")["embedding"].values
        norms = np.linalg.norm(vectors, axis=0)
        norms = norms[np.isfinite(norms)]
        assert len(norms) == 10_172
        assert 0.99 < norms.min() <= norms.max() < 1.01


@pytest.mark.realdata
def test_real_raster_in_20_tiles_is_the_raster(tmp_path: Path, shared_data: Path) -> None:
    """Cut into two rows of ten and put together again, every bit is back, and so is the store."""
    import rasterio
    from rasterio.windows import Window

    whole = shared_data / "galileo_s2" / "galileo_nano_s2_patch1_128d_float32.tif"
    rows, cols = [0, 120, 237], [*range(0, 247, 25), 247]
    with rasterio.open(whole) as raster:
        values = raster.read()
        for top, bottom in pairwise(rows):
            for left, right in pairwise(cols):
                window = Window(left, top, right - left, bottom - top)
                products.write_raster(
                    tmp_path / "tiles" / f"t_{top}_{left}.tif",
                    values[:, top:bottom, left:right],
                    crs=raster.crs,
                    transform=raster.window_transform(window)[:6],
                )
    geoembz.convert(tmp_path / "tiles", tmp_path / "tiles.zarr", quantizer="float32")
    dataset = geoembz.open(tmp_path / "tiles.zarr")
    assert len(dataset.attrs["geoembz:sources"]) == 20
    np.testing.assert_array_equal(dataset["embedding"].values, values)


def test_zones_share_one_encoding_under_one_root(tmp_path: Path) -> None:
    paths = write_zones(tmp_path / "in")
    summary = geoembz.convert(paths, tmp_path / "out.zarr", pca=4)
    root = json.loads((tmp_path / "out.zarr" / "zarr.json").read_text())
    attributes = root["attributes"]
    assert attributes["geoembz:grids"] == ["utm32n", "utm33n"]
    assert attributes["geoemb:spatial_layout"] == "utm_zones"
    assert len(attributes["geoemb:source_data"]) == 4
    children = [geoembz.open(tmp_path / "out.zarr" / name) for name in attributes["geoembz:grids"]]
    assert {child.attrs["geoembz:encoding_hash"] for child in children} == {summary.encoding_hash}
    assert summary.pixels == sum(child["embedding"][0].size for child in children)
    members = root["consolidated_metadata"]["metadata"]
    assert {"utm32n", "utm32n/embedding", "utm33n/encoding/projection"} <= set(members)
    with pytest.raises(InvalidConfigError, match=r"2 grids; name one of them"):
        geoembz.open(tmp_path / "out.zarr")


def test_any_zarr_reader_walks_the_root(tmp_path: Path) -> None:
    import zarr

    geoembz.convert(write_zones(tmp_path / "in"), tmp_path / "out.zarr", pca=4)
    root = zarr.open_group(tmp_path / "out.zarr", mode="r")
    assert sorted(name for name, _ in root.groups()) == ["utm32n", "utm33n"]
    assert root["utm33n/embedding"].shape == (4, 24, 48)  # type: ignore[union-attr]


@pytest.mark.slow
def test_interrupted_zones_are_finished_by_the_same_call(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = write_zones(tmp_path / "in")
    geoembz.convert(paths, tmp_path / "whole.zarr", pca=4)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(raster_conversion, "write_root", fail)
        with pytest.raises(KeyboardInterrupt):
            geoembz.convert(paths, tmp_path / "out.zarr", pca=4)
    assert not (tmp_path / "out.zarr" / "zarr.json").exists()
    geoembz.convert(paths, tmp_path / "out.zarr", pca=4)
    assert same_files(tmp_path / "out.zarr", tmp_path / "whole.zarr")


def test_order_of_tiles_does_not_change_the_store(tmp_path: Path) -> None:
    paths = write_zones(tmp_path / "in")
    geoembz.convert(paths, tmp_path / "a.zarr", pca=4)
    geoembz.convert(paths[::-1], tmp_path / "b.zarr", pca=4)
    assert same_files(tmp_path / "a.zarr", tmp_path / "b.zarr")


def test_gaps_store_nothing(tmp_path: Path) -> None:
    """Where no tile lies there is nodata, and no object."""
    for index in (0, 5):
        a, b, c, d, e, f = products.UTM_TRANSFORM
        products.write_raster(
            tmp_path / "in" / f"t{index}.tif",
            products.unit_vectors(32, 32, 8, seed=index),
            transform=(a, b, c + 320 * index, d, e, f),
        )
    geoembz.convert(tmp_path / "in", tmp_path / "out.zarr", chunk=32, shard=32)
    objects = sorted(p.name for p in (tmp_path / "out.zarr/embedding/c/0/0").iterdir())
    assert objects == ["0", "5"]
    values = geoembz.open(tmp_path / "out.zarr")["embedding"].values
    assert np.isnan(values[:, :, 32:160]).all()
    assert np.isfinite(values[:, :, :32]).all()


def test_skipped_inputs_are_listed_in_the_store(tmp_path: Path) -> None:
    paths = write_zones(tmp_path / "in")
    paths[0].write_bytes(b"no raster")
    summary = geoembz.convert(tmp_path / "in", tmp_path / "out.zarr", pca=4, skip_bad=True)
    assert summary.skipped_inputs == 1
    skipped = geoembz.open(tmp_path / "out.zarr" / "utm32n").attrs["geoembz:skipped"]
    assert [entry["uri"] for entry in skipped] == ["file:z32_0.tif"]


def test_a_store_can_be_encoded_again(tmp_path: Path) -> None:
    paths = write_zones(tmp_path / "in")
    geoembz.convert(paths[0], tmp_path / "a.zarr", quantizer="float32", model="urn:x:model")
    summary = geoembz.convert(tmp_path / "a.zarr", tmp_path / "b.zarr", pca=4)
    assert summary.recipe == "pca4-int8"
    again = geoembz.open(tmp_path / "b.zarr")
    assert again.attrs["geoemb:model"] == "urn:x:model"
    assert "re-encoded from recipe float32" in again.attrs["geoembz:notes"][0]
    root = geoembz.convert(paths, tmp_path / "zones.zarr", quantizer="float32")
    assert root.recipe == "float32"
    geoembz.convert(tmp_path / "zones.zarr", tmp_path / "zones8.zarr", pca=4)
    assert (tmp_path / "zones8.zarr" / "utm33n" / "zarr.json").exists()


def test_xarray_input_is_converted(tmp_path: Path, rng: np.random.Generator) -> None:
    import rioxarray  # noqa: F401 - registers .rio
    import xarray as xr

    values = rng.normal(size=(3, 16, 16)).astype(np.float32)
    array = xr.DataArray(
        values,
        dims=("band", "y", "x"),
        coords={"y": 5_000_000.0 - 10 * np.arange(16), "x": 400_000.0 + 10 * np.arange(16)},
    ).rio.write_crs("EPSG:32632")
    geoembz.convert(array, tmp_path / "x.zarr", quantizer="float32")
    np.testing.assert_array_equal(geoembz.open(tmp_path / "x.zarr")["embedding"].values, values)
