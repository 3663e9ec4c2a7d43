"""Stores with a time axis: made, read, grown, and refused what does not belong to them."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import geoembz
from geoembz._convert.append import append
from geoembz.errors import EncodingError, InvalidConfigError, StoreError
from tests import products
from tests.conversion.test_grids import write_zones


def write_year(folder: Path, year: int, *, holes: bool = False, dimension: int = 8) -> Path:
    values = products.unit_vectors(20, 24, dimension, seed=year)
    if holes:
        values[:, 2, 3] = np.nan
    return products.write_raster(folder / f"y{year}.tif", values)


@pytest.fixture(params=["int8", "int4", "float32"])
def quantizer(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "t.zarr"
    geoembz.convert(write_year(tmp_path, 2024), path, time="2024", chunk=8, shard=16)
    return path


def test_every_date_reads_as_a_store_of_its_own(tmp_path: Path, quantizer: str) -> None:
    """A store that was grown holds, date by date, what single stores with its encoding hold."""
    years = {year: write_year(tmp_path, year, holes=year == 2025) for year in (2024, 2025, 2023)}
    grown = tmp_path / "grown.zarr"
    geoembz.convert(years[2024], grown, pca=4, quantizer=quantizer, time="2024", chunk=8)
    for year in (2025, 2023):
        append(grown, years[year], time=str(year))
    for space in ("original", "reduced", "codes"):
        dataset = geoembz.open(grown, space=space)
        assert dataset["embedding"].dims[0] == "time"
        assert [str(t)[:10] for t in dataset["time"].values] == [
            "2023-01-01",
            "2024-01-01",
            "2025-01-01",
        ]
        for year, path in years.items():
            alone = tmp_path / f"{space}{year}.zarr"
            geoembz.convert(path, alone, basis=grown)
            expected = geoembz.open(alone, space=space)["embedding"].values
            read = dataset["embedding"].sel(time=f"{year}-01-01").values.squeeze()
            np.testing.assert_array_equal(read, expected)


@pytest.mark.parametrize("chunks", [None, {}])
def test_any_selection_is_that_of_the_whole(tmp_path: Path, store: Path, chunks: object) -> None:
    append(store, write_year(tmp_path, 2025, holes=True), time="2025")
    embedding = geoembz.open(store, chunks=chunks)["embedding"]
    whole = embedding.values
    assert whole.shape == (2, 8, 20, 24)
    for key in (
        (slice(None), 0, 3, 4),
        (1, slice(1, 5, 2), slice(None, None, -3), slice(2, 9)),
        (slice(1, None), slice(None), 5, slice(7, 7)),
        (slice(None, None, -1), 3, slice(3, 5), 1),
        (slice(0, 0), 3, slice(3, 5), 1),
    ):
        np.testing.assert_array_equal(embedding[key].values, whole[key])


def test_plain_xarray_reads_times_and_codes(tmp_path: Path, store: Path) -> None:
    append(store, write_year(tmp_path, 2025), time="2025-07")
    with xr.open_zarr(store, chunks=None) as dataset:
        assert dataset["embedding"].dims == ("time", "component", "y", "x")
        assert [str(t)[:10] for t in dataset["time"].values] == ["2024-01-01", "2025-07-01"]
        codes = geoembz.open(store, space="codes")["embedding"].values
        np.testing.assert_array_equal(dataset["embedding"].values, codes)


def test_attributes_add_up(tmp_path: Path, store: Path) -> None:
    summary = append(store, write_year(tmp_path, 2025, holes=True), time="2025")
    attributes = geoembz.open(store).attrs
    assert (summary.valid_pixels, summary.pixels) == (479, 480)
    assert attributes["geoembz:pixels"] == {"total": 960, "valid": 959}
    entries = attributes["geoembz:times"]
    assert [entry["time"] for entry in entries] == ["2024-01-01", "2025-01-01"]
    assert [entry["pixels"]["valid"] for entry in entries] == [480, 479]
    assert attributes["geoemb:source_data"] == ["file:y2024.tif", "file:y2025.tif"]
    assert attributes["geoembz:fidelity"]["n"] == sum(e["fidelity"]["n"] for e in entries)


def test_stores_without_a_time_axis_are_refused(tmp_path: Path) -> None:
    """The message holds the command that rewrites the store, and that command works."""
    flat = tmp_path / "flat.zarr"
    geoembz.convert(write_year(tmp_path, 2024), flat)
    with pytest.raises(StoreError, match=r"geoembz convert .*flat\.zarr NEW\.zarr --basis .*"):
        append(flat, write_year(tmp_path, 2025), time="2025")
    new = tmp_path / "new.zarr"
    geoembz.convert(flat, new, basis=flat, time="2024")
    np.testing.assert_array_equal(
        geoembz.open(new, space="codes")["embedding"].values[0],
        geoembz.open(flat, space="codes")["embedding"].values,
    )


def test_a_date_is_replaced_only_on_demand(tmp_path: Path, store: Path) -> None:
    """What the former date held does not show through the gaps of the new one."""
    path = write_year(tmp_path, 2025)
    with pytest.raises(InvalidConfigError, match="holds 2024-01-01 already"):
        append(store, path, time="2024")
    values = np.full((8, 20, 24), np.nan, np.float32)
    values[:, :4, :4] = products.unit_vectors(4, 4, 8)
    gaps = products.write_raster(tmp_path / "gaps.tif", values)
    append(store, gaps, time="2024", replace_date=True)
    read = geoembz.open(store)["embedding"].values
    assert read.shape[0] == 1
    np.testing.assert_array_equal(np.isnan(read[0]), np.isnan(values))


@pytest.mark.parametrize("change", ["shape", "place", "crs"])
def test_another_grid_is_refused(tmp_path: Path, store: Path, change: str) -> None:
    values = products.unit_vectors(21 if change == "shape" else 20, 24, 8)
    a, b, c, d, e, f = products.UTM_TRANSFORM
    path = products.write_raster(
        tmp_path / "other.tif",
        values,
        crs="EPSG:32633" if change == "crs" else "EPSG:32632",
        transform=(a, b, c + (10 if change == "place" else 0), d, e, f),
    )
    with pytest.raises(InvalidConfigError, match="expected the same grid"):
        append(store, path, time="2025")


def test_other_vectors_are_refused(tmp_path: Path, store: Path) -> None:
    with pytest.raises(EncodingError, match="vectors of 9 components"):
        append(store, write_year(tmp_path, 2025, dimension=9), time="2025")
    other = tmp_path / "other.zarr"
    geoembz.convert(write_year(tmp_path, 2025), other, pca=3)
    with pytest.raises(EncodingError, match="another encoding"):
        append(store, other, time="2025")
    append(store, other, time="2025", recode=True)


def test_the_codec_layout_has_no_time_axis(tmp_path: Path) -> None:
    with pytest.raises(InvalidConfigError, match="layout codec with a time axis"):
        geoembz.convert(
            write_year(tmp_path, 2024), tmp_path / "x.zarr", time="2024", layout="codec"
        )
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.parametrize("text", ["24", "2024-13", "2024-02-30", "next"])
def test_times_that_are_none_are_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidConfigError, match="expected YYYY"):
        geoembz.convert(write_year(tmp_path, 2024), tmp_path / "x.zarr", time=text)


def test_readers_see_the_former_store_until_the_end(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted before the metadata, the store is what it was; the same call finishes it."""
    before = geoembz.open(store)["embedding"].values
    path = write_year(tmp_path, 2025)
    with monkeypatch.context() as patch:

        def fail(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr("geoembz.store.writer.store_documents", fail)
        with pytest.raises(KeyboardInterrupt):
            append(store, path, time="2025")
    np.testing.assert_array_equal(geoembz.open(store)["embedding"].values, before)
    append(store, path, time="2025")
    after = geoembz.open(store)["embedding"].values
    np.testing.assert_array_equal(after[0], before[0])
    assert np.isfinite(after[1]).all()
    assert not (store / ".geoembz").exists()


def test_zones_grow_together(tmp_path: Path) -> None:
    import json

    paths = write_zones(tmp_path / "in")
    store = tmp_path / "zones.zarr"
    geoembz.convert(paths, store, pca=4, time="2024")
    summary = append(store, paths, time="2025")
    assert summary.pixels == 2 * 24 * 48
    root = json.loads((store / "zarr.json").read_text())
    metadata = root["consolidated_metadata"]["metadata"]
    assert metadata["utm33n/embedding"]["shape"] == [2, 4, 24, 48]
    for name in ("utm32n", "utm33n"):
        values = geoembz.open(store / name)["embedding"].values
        np.testing.assert_array_equal(values[0], values[1])


def test_a_year_of_a_product_that_holds_several(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = np.stack([products.aef_codes(12, 12, seed=seed) for seed in (0, 1)])
    path = products.write_aef_zarr(tmp_path / "in.zarr", codes, years=(2023, 2024))
    store = tmp_path / "out.zarr"
    geoembz.convert(path, store, time="2023")
    append(store, path, time="2024")
    stored = geoembz.open(store, space="codes")["embedding"].values
    np.testing.assert_array_equal(stored, codes)
