"""Names of bands go into the store, and from it into datasets, exports and what is appended."""

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz import Encoding
from geoembz._convert.append import append
from geoembz._evaluate.inputs import read_sample
from geoembz._export import export_cog, sample
from geoembz._verify import verify
from geoembz.errors import SourceError, StoreError
from geoembz.sources import open_source
from geoembz.store import StoreReader
from geoembz.store.conventions import Layout
from geoembz.store.summary import describe
from tests import products, tables

NAMES = tuple(f"emb_{band}" for band in range(6))


@pytest.fixture
def values(rng: np.random.Generator) -> NDArray[np.float32]:
    return rng.normal(size=(6, 20, 24)).astype(np.float32)


def write(path: Path, values: NDArray[np.float32], names: tuple[str, ...] = NAMES) -> Path:
    return products.write_raster(path, values, names=names)


def attributes(store: Path) -> dict[str, object]:
    document: dict[str, dict[str, object]] = json.loads((store / "zarr.json").read_text())
    return document["attributes"]


@pytest.mark.parametrize("layout", ["plain", "codec"])
def test_names_select_components(
    tmp_path: Path, values: NDArray[np.float32], layout: Layout
) -> None:
    store = tmp_path / "o.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe="float32", layout=layout)
    assert attributes(store)["geoembz:band_names"] == list(NAMES)
    dataset = geoembz.open(store)
    assert dataset["dimension"].values.tolist() == list(NAMES)
    assert "emb_0, emb_1, emb_2 … emb_5" in describe(str(store)).to_table()
    np.testing.assert_array_equal(dataset.embedding.sel(dimension="emb_4").values, values[4])
    for space in ("reduced", "codes"):
        assert "dimension" not in geoembz.open(store, space=space).coords
    assert verify(str(store)).problems == ()


def test_stores_of_unnamed_bands_say_nothing(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = tmp_path / "o.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values, ()), store, recipe="float32")
    assert "geoembz:band_names" not in attributes(store)
    assert "dimension" not in geoembz.open(store).coords


def test_bands_without_a_name_among_named_ones(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = tmp_path / "o.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values, NAMES[:2]), store, recipe="float32")
    assert attributes(store)["geoembz:band_names"] == [*NAMES[:2], None, None, None, None]
    assert geoembz.open(store)["dimension"].values.tolist() == [*NAMES[:2], "", "", "", ""]
    assert StoreReader.open(str(store)).attributes.band_names[1:3] == ("emb_1", None)


@pytest.mark.parametrize("names", ["emb", ["a"], [1, 2, 3, 4, 5, 6]])
def test_malformed_names_are_damage(
    tmp_path: Path, values: NDArray[np.float32], names: object
) -> None:
    store = tmp_path / "o.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe="float32")
    document = json.loads((store / "zarr.json").read_text())
    document["attributes"]["geoembz:band_names"] = names
    (store / "zarr.json").write_text(json.dumps(document))
    with pytest.raises(StoreError, match="band_names"):
        geoembz.open(store)


def test_several_grids_share_their_names(tmp_path: Path, values: NDArray[np.float32]) -> None:
    products.write_raster(tmp_path / "in/a.tif", values, names=NAMES)
    turned = {"names": NAMES[::-1], "crs": "EPSG:32633"}
    products.write_raster(tmp_path / "in/b.tif", values[::-1], **turned)  # type: ignore[arg-type]
    geoembz.convert(tmp_path / "in", tmp_path / "o.zarr", recipe="float32")
    assert attributes(tmp_path / "o.zarr")["geoembz:band_names"] == list(NAMES)
    for zone in ("utm32n", "utm33n"):
        part = geoembz.open(tmp_path / "o.zarr", grid=zone)
        np.testing.assert_array_equal(part.embedding.sel(dimension="emb_1").values, values[1])


def test_appended_dates_stand_in_the_order_of_the_store(
    tmp_path: Path, values: NDArray[np.float32]
) -> None:
    store, years = tmp_path / "o.zarr", tuple(f"2024_{number}" for number in range(6))
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe="float32", time="2023")
    turned = write(tmp_path / "b.tif", values[::-1], NAMES[::-1])
    summary = append(store, turned, time="2024")
    assert any("reordered by name" in note for note in summary.notes)
    assert "reordered by name" in summary.to_table()
    unnamed = append(store, write(tmp_path / "c.tif", values, ()), time="2025")
    assert any("without names" in note for note in unnamed.notes)
    with pytest.raises(SourceError, match=r"bands 2024_0, .* but .*o.zarr: bands emb_0"):
        append(store, write(tmp_path / "d.tif", values, years), time="2026")
    read = geoembz.open(store).embedding
    for date in range(3):
        np.testing.assert_array_equal(read[date].values, values)
    assert verify(str(store)).problems == ()


def test_stores_without_names_say_so_when_named_dates_are_appended(
    tmp_path: Path, values: NDArray[np.float32]
) -> None:
    store = tmp_path / "o.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values, ()), store, recipe="float32", time="2023")
    summary = append(store, write(tmp_path / "b.tif", values), time="2024")
    assert any("the store has no names" in note for note in summary.notes)


@pytest.mark.parametrize("kind", ["store", "file", "encoding"])
def test_a_basis_keeps_its_order(tmp_path: Path, values: NDArray[np.float32], kind: str) -> None:
    store, file = tmp_path / "basis.zarr", tmp_path / "basis.npz"
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe="pca3-int8")
    encoding = StoreReader.open(str(store)).encoding
    encoding.save(file)
    every: dict[str, Path | Encoding] = {"store": store, "file": file, "encoding": encoding}
    basis = every[kind]
    turned = write(tmp_path / "b.tif", values[::-1], NAMES[::-1])
    geoembz.convert(turned, tmp_path / "o.zarr", basis=basis)
    np.testing.assert_array_equal(
        geoembz.open(tmp_path / "o.zarr").embedding.values, geoembz.open(store).embedding.values
    )
    other = write(tmp_path / "c.tif", values, tuple("abcdef"))
    with pytest.raises(SourceError, match="the basis: bands emb_0"):
        geoembz.convert(other, tmp_path / "p.zarr", basis=basis)


def test_stores_as_sources_keep_their_names(tmp_path: Path, values: NDArray[np.float32]) -> None:
    geoembz.convert(write(tmp_path / "a.tif", values), tmp_path / "a.zarr", recipe="float32")
    geoembz.convert(tmp_path / "a.zarr", tmp_path / "b.zarr", recipe="float32")
    assert attributes(tmp_path / "b.zarr")["geoembz:band_names"] == list(NAMES)


def test_xarray_objects_keep_their_names(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = tmp_path / "a.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe="float32")
    opened = geoembz.open(store)
    geoembz.convert(opened, tmp_path / "b.zarr", recipe="float32")
    columns = opened.embedding.to_dataset("dimension")
    geoembz.convert(columns, tmp_path / "c.zarr", recipe="float32")
    for name in ("b", "c"):
        xr.testing.assert_equal(geoembz.open(tmp_path / f"{name}.zarr"), opened)


@pytest.mark.parametrize(
    ("recipe", "space", "labels"),
    [
        ("pca3-int8", "original", NAMES),
        ("pca3-int8", "reduced", ("component 0", "component 1", "component 2")),
        ("pca3-int8", "codes", ("component 0", "component 1", "component 2")),
        ("float32", "codes", NAMES),
        ("int8", "reduced", NAMES),
        ("int8", "codes", tuple(f"code of {name}" for name in NAMES)),
        ("int4", "codes", ("component_byte 0", "component_byte 1", "component_byte 2")),
    ],
)
def test_exports_describe_their_bands(
    tmp_path: Path,
    values: NDArray[np.float32],
    recipe: str,
    space: str,
    labels: tuple[str, ...],
) -> None:
    store, out = tmp_path / "o.zarr", tmp_path / "o.tif"
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe=recipe)
    export_cog(store, out, space=space)  # type: ignore[arg-type]
    with rasterio.open(out) as raster:
        assert raster.descriptions == labels


def test_exported_alphaearth_is_alphaearth_again(tmp_path: Path) -> None:
    path = products.write_aef(tmp_path / "a.tif", products.aef_codes(20, 24), block=None)
    geoembz.convert(path, tmp_path / "a.zarr")
    for space in ("original", "codes"):
        export_cog(tmp_path / "a.zarr", tmp_path / f"{space}.tif", space=space)
        source = open_source(tmp_path / f"{space}.tif")
        read = source.read(source.grid.window).decode().values
        np.testing.assert_array_equal(read, geoembz.open(tmp_path / "a.zarr").embedding.values)


def test_checks_by_place_follow_the_names(tmp_path: Path) -> None:
    codes, names = products.aef_codes(20, 24), [f"A{band:02d}" for band in range(63, -1, -1)]
    products.write_raster(tmp_path / "a.tif", codes[::-1], names=names, nodata=-128)
    summary = geoembz.convert(tmp_path / "a.tif", tmp_path / "o.zarr", check=True)
    assert summary.checked_pixels
    np.testing.assert_array_equal(
        geoembz.open(tmp_path / "o.zarr").embedding.values, products.power_values(codes)
    )


def test_dates_are_sorted_where_they_were_appended_out_of_order(
    tmp_path: Path, values: NDArray[np.float32]
) -> None:
    """Every door that takes a date finds it, whatever the order of the dates in the store."""
    store, years = tmp_path / "o.zarr", (2024, 2022, 2023)
    inputs = {year: np.roll(values, year - 2022, axis=2) for year in years}
    for year, array in inputs.items():
        path = write(tmp_path / f"y{year}.tif", array)
        if year == years[0]:
            geoembz.convert(path, store, recipe="int4", time=str(year), chunk=8)
            continue
        summary = append(store, path, time=str(year))
        assert any("stored behind 2024-01-01" in note for note in summary.notes)
    dataset = geoembz.open(store)
    assert dataset.sel(time=slice("2022", "2023")).sizes["time"] == 2
    assert geoembz.open(store, space="codes").valid.values.shape == (3, 20, 24)
    place, crs = np.array([[500_055.0, 5_299_945.0]]), "EPSG:32632"
    for index, year in enumerate(sorted(years)):
        expected = dataset.embedding.isel(time=index).values
        assert np.abs(expected - inputs[year]).mean() < 0.3
        np.testing.assert_array_equal(dataset.embedding.values[index], expected)
        export_cog(store, tmp_path / f"{year}.tif", time=str(year))
        with rasterio.open(tmp_path / f"{year}.tif") as raster:
            np.testing.assert_array_equal(raster.read(), expected)
        sampled = sample(store, place, crs=crs, time=str(year)).vectors
        np.testing.assert_allclose(sampled[0], expected[:, 5, 5], rtol=1e-5)
        again = dataset.sel(time=str(year)).geoembz.sample(place, crs=crs).vectors
        np.testing.assert_array_equal(again, sampled)
        geoembz.convert(store, tmp_path / f"{year}.zarr", basis=store, time=str(year))
        copy = geoembz.open(tmp_path / f"{year}.zarr").embedding.values[0]
        np.testing.assert_allclose(copy, expected, rtol=1e-5)


def test_numbered_columns_name_the_components_of_a_table(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    store, path = tmp_path / "t.zarr", tmp_path / "t.csv"
    tables.earth_engine_csv(path, rng)
    geoembz.convert(path, store)
    names = [f"A{band:02d}" for band in range(64)]
    assert attributes(store)["geoembz:band_names"] == names
    dataset = geoembz.open(store)
    np.testing.assert_array_equal(
        dataset.embedding.sel(dimension="A05").values, dataset.embedding.values[:, 5]
    )
    assert verify(str(store)).problems == ()
    text = (
        path.read_text().replace(",A01,", ",X,").replace(",A02,", ",A01,").replace(",X,", ",A02,")
    )
    (tmp_path / "u.csv").write_text(text)
    geoembz.convert(tmp_path / "u.csv", tmp_path / "u.zarr", basis=store)
    read = geoembz.open(tmp_path / "u.zarr").embedding.values
    np.testing.assert_array_equal(read[:, 2], dataset.embedding.values[:, 1])


def test_evaluation_compares_band_with_band(tmp_path: Path, values: NDArray[np.float32]) -> None:
    store = tmp_path / "o.zarr"
    geoembz.convert(write(tmp_path / "a.tif", values), store, recipe="pca3-int8")
    turned = open_source(write(tmp_path / "b.tif", values[::-1], NAMES[::-1]))
    reader = StoreReader.open(str(store))
    sample = read_sample(turned, n_samples=100, store=reader)
    same = read_sample(open_source(tmp_path / "a.tif"), n_samples=100, store=reader)
    np.testing.assert_array_equal(sample.vectors, same.vectors)
    other = open_source(write(tmp_path / "c.tif", values, tuple("abcdef")))
    with pytest.raises(SourceError, match="bands a, b, c … f"):
        read_sample(other, n_samples=100, store=reader)


def test_bands_that_are_counted_backwards_are_turned(
    tmp_path: Path, values: NDArray[np.float32]
) -> None:
    """Rioxarray counts bands from 1, and slicing keeps the numbers."""
    store, path = tmp_path / "o.zarr", write(tmp_path / "a.tif", values, ())
    geoembz.convert(path, store, recipe="float32", time="2023")
    with xr.open_dataarray(path, engine="rasterio") as array:
        append(store, array.isel(band=slice(None, None, -1)), time="2024")
    read = geoembz.open(store).embedding.values
    np.testing.assert_array_equal(read[1], read[0])
