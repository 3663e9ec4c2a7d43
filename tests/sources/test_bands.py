"""Which band is which: names decide, and nothing is mixed silently."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz.errors import SourceError
from geoembz.sources import ReadOptions, Source, open_source, open_sources
from geoembz.sources.band_names import positions
from geoembz.sources.base import names_of, traits_of
from geoembz.sources.detect import open_xarray
from geoembz.sources.xarray_source import DataArraySource
from tests import products

EAST = (10.0, 0.0, 500_060.0, 0.0, -10.0, 5_300_000.0)


@pytest.fixture
def cube(rng: np.random.Generator) -> NDArray[np.float32]:
    return np.clip(rng.normal(size=(64, 6, 6)), -1, 1).astype(np.float32)


def read(source: Source) -> NDArray[np.float32]:
    return source.read(source.grid.window).decode().values.astype(np.float32)


def write(path: Path, values: NDArray[np.generic], names: Sequence[str], **options: object) -> Path:
    return products.write_raster(path, values, names=names, **options)  # type: ignore[arg-type]


def test_tiles_with_other_bands_are_refused(tmp_path: Path, cube: NDArray[np.float32]) -> None:
    write(tmp_path / "west.tif", cube[[0, 1, 2]], ["A00", "A01", "A02"])
    write(tmp_path / "east.tif", cube[[1, 16, 9]], ["A01", "A16", "A09"], transform=EAST)
    with pytest.raises(SourceError, match=r"east.tif: bands A01, A09, A16; .*west.tif: bands A00,"):
        open_source(tmp_path)


@pytest.mark.parametrize("first", ["a", "z"])
def test_tiles_with_bands_in_another_order_are_reordered(
    tmp_path: Path, cube: NDArray[np.float32], first: str
) -> None:
    """Whichever tile comes first, bands stand in the order that sorts first."""
    names = [f"emb_{band}" for band in range(12)]
    write(tmp_path / f"{first}.tif", cube[:12], names)
    write(tmp_path / "m.tif", cube[11::-1], names[::-1], transform=EAST)
    source = open_source(tmp_path)
    assert names_of(source) == tuple(names)
    np.testing.assert_array_equal(read(source), np.concatenate([cube[:12]] * 2, axis=2))
    assert any("reordered by name" in note for note in traits_of(source).notes)


def test_tiles_in_two_zones_have_one_order(tmp_path: Path, cube: NDArray[np.float32]) -> None:
    write(tmp_path / "a.tif", cube[:4], ["a", "b", "c", "d"])
    write(tmp_path / "b.tif", cube[3::-1], ["d", "c", "b", "a"], crs="EPSG:32633")
    for source in open_sources([tmp_path], ReadOptions()).values():
        np.testing.assert_array_equal(read(source), cube[:4])


def test_tiles_without_names_are_told_of(tmp_path: Path, cube: NDArray[np.float32]) -> None:
    write(tmp_path / "a.tif", cube[:4], ["a", "b", "c", "d"])
    write(tmp_path / "b.tif", cube[:4], [], transform=EAST)
    source = open_source(tmp_path)
    assert names_of(source) == ("a", "b", "c", "d")
    assert "bands without names are taken for a, b, c, d" in traits_of(source).notes[-1]


@pytest.mark.parametrize(
    ("own", "wanted", "order"),
    [
        (("e1", "e0"), ("e0", "e1"), (1, 0)),
        (("2024_e1", "2024_e0"), ("2023_e0", "2023_e1"), (1, 0)),
        (("A01_2024", "A00_2024"), ("A00_2023", "A01_2023"), (1, 0)),
        (("a00", "a01"), ("A0", "A1"), (0, 1)),
        (("33UVP_e0", "33UVP_e1"), ("33UVQ_e1", "33UVQ_e0"), (1, 0)),
        (("dino_0", "dino_1"), ("clay_0", "clay_1"), None),
        (("B0", "B1"), ("A0", "A1"), None),
        (("A08", "A09"), ("A00", "A01"), None),
        ((None, "A00"), ("A00", "A01"), None),
        ((None, "A01"), ("A00", "A01"), (0, 1)),
        (("embedding", "embedding"), ("A00", "A01"), (0, 1)),
        ((None, None), ("A00", "A01"), (0, 1)),
    ],
)
def test_what_names_say(
    own: tuple[str, ...], wanted: tuple[str, ...], order: tuple[int, ...] | None
) -> None:
    assert positions(own, wanted) == order


@pytest.mark.parametrize("coded", [True, False])
def test_alphaearth_stands_in_its_own_order(tmp_path: Path, coded: bool) -> None:
    codes = products.aef_codes(8, 8)
    names = [f"A{band:02d}" for band in range(64)]
    values = codes if coded else products.power_values(codes)
    source = open_source(write(tmp_path / "turned.tif", values[::-1], names[::-1]))
    assert (names_of(source), traits_of(source).product) == (tuple(names), "aef")
    np.testing.assert_array_equal(read(source), products.power_values(codes))


def test_unnamed_alphaearth_has_the_names_of_its_bands(tmp_path: Path) -> None:
    path = products.write_aef(tmp_path / "a.tif", products.aef_codes(24, 24), named=False)
    assert names_of(open_source(path))[::63] == ("A00", "A63")


def test_alphaearth_zarr_is_ordered_by_its_coordinate(tmp_path: Path) -> None:
    codes = products.aef_codes(6, 6)
    products.write_aef_zarr(tmp_path / "a.zarr", codes[np.newaxis, ::-1])
    labels = np.array([f"A{band:02d}" for band in range(63, -1, -1)], dtype=object)
    coordinate = xr.Dataset(coords={"band": ("band", labels)})
    with pytest.warns(match="Consolidated"):
        coordinate.to_zarr(tmp_path / "a.zarr", mode="a")
    np.testing.assert_array_equal(
        read(open_source(tmp_path / "a.zarr")), products.power_values(codes)
    )


def one_band_files(folder: Path, cube: NDArray[np.float32], numbers: Sequence[int]) -> None:
    for number in numbers:
        write(folder / f"A{number:02d}.tif", cube[number : number + 1], [])


@pytest.mark.parametrize(
    ("name", "dtype"),
    [("landmask", np.uint8), ("labels_2024", np.uint8), ("slope", np.float32), ("A08", np.uint8)],
)
def test_other_files_beside_one_band_files_are_refused(
    tmp_path: Path, cube: NDArray[np.float32], name: str, dtype: type[np.generic]
) -> None:
    one_band_files(tmp_path, cube, range(8))
    write(tmp_path / f"{name}.tif", (cube[:1] > 0).astype(dtype), [])
    with pytest.raises(SourceError, match=rf"{name}.tif: .*; but the others are floats A00"):
        open_source(tmp_path)
    (source,) = open_sources([tmp_path], ReadOptions(skip_bad=True)).values()
    np.testing.assert_array_equal(read(source), cube[:8])
    assert [uri for uri, _ in traits_of(source).skipped] == [f"file:{name}.tif"]
    assert open_source(tmp_path, product="bands").dimension == 9


def test_alphaearth_without_its_land_mask_is_alphaearth(tmp_path: Path) -> None:
    values = products.power_values(products.aef_codes(4, 4))
    one_band_files(tmp_path, values, range(64))
    write(tmp_path / "landmask.tif", (values[:1] > 0).astype(np.uint8), [])
    with pytest.raises(SourceError, match="landmask"):
        open_source(tmp_path)
    (source,) = open_sources([tmp_path], ReadOptions(skip_bad=True)).values()
    traits = traits_of(source)
    assert (traits.product, traits.recipe, source.dimension) == ("aef", "aef", 64)


def test_gaps_and_repetitions_are_told_of(tmp_path: Path, cube: NDArray[np.float32]) -> None:
    one_band_files(tmp_path, cube, [0, 1, 2, 4])
    write(tmp_path / "more.tif", cube[4:6], ["A04", "A05"])
    notes = " ".join(traits_of(open_source(tmp_path)).notes)
    assert "missing from the run A00, A01, A02 … A05: A03" in notes
    assert "in several files, and read from the first: A04" in notes


def test_pieces_of_file_names_are_no_names_unless_they_form_a_run(
    tmp_path: Path, cube: NDArray[np.float32]
) -> None:
    """Two files called emb_part_1 and emb_part_2 do not share bands "emb" and "part"."""
    for number in (1, 2):
        write(tmp_path / f"emb_part_{number}.tif", cube[3 * number : 3 * number + 3], [])
    with pytest.raises(SourceError, match="covered twice"):
        open_source(tmp_path)


def test_files_that_call_their_band_the_same_go_by_their_names(
    tmp_path: Path, cube: NDArray[np.float32]
) -> None:
    for number in (9, 10):
        write(tmp_path / f"e{number}.tif", cube[number : number + 1], ["embedding"])
    source = open_source(tmp_path)
    assert names_of(source) == ("e9", "e10")
    np.testing.assert_array_equal(read(source), cube[[9, 10]])


def test_one_band_is_doubted(tmp_path: Path, cube: NDArray[np.float32]) -> None:
    path = write(tmp_path / "labels.tif", cube[:1], [])
    summary = geoembz.convert(path, tmp_path / "out.zarr", recipe="float32")
    assert any("are no embedding" in note for note in summary.notes)
    assert traits_of(open_source(path, product="raster")).notes == ()
    assert traits_of(open_source(write(tmp_path / "two.tif", cube[:2], []))).notes == ()


def test_xarray_objects_name_their_components(cube: NDArray[np.float32]) -> None:
    places = {"y": 5_300_000.0 - 10 * np.arange(6), "x": 500_000.0 + 10 * np.arange(6)}
    array = xr.DataArray(cube[:3], dims=("band", "y", "x"), coords=places)
    named = array.assign_coords(band=["a", "b", "c"])
    counted = array.assign_coords(band=[1, 2, 3])
    chosen = array.assign_coords(band=[4, 7, 9])
    columns = xr.Dataset({name: named.sel(band=name, drop=True) for name in "cab"})
    expected: list[tuple[object, tuple[str | None, ...]]] = [
        (array, (None, None, None)),
        (named, ("a", "b", "c")),
        (counted, (None, None, None)),
        (counted.assign_attrs(long_name=("a", "b", None)), ("a", "b", None)),
        (chosen, ("4", "7", "9")),
        (columns, ("c", "a", "b")),
    ]
    for data, names in expected:
        assert names_of(DataArraySource(data, ReadOptions(crs="EPSG:32632"))) == names


@pytest.mark.parametrize(("name", "dtype"), [("landmask", np.uint8), ("quality", np.float32)])
def test_other_variables_beside_one_band_variables_are_refused(
    cube: NDArray[np.float32], name: str, dtype: type[np.generic]
) -> None:
    places = {"y": 5_300_000.0 - 10 * np.arange(6), "x": 500_000.0 + 10 * np.arange(6)}
    bands = {f"e{band}": (("y", "x"), cube[band]) for band in range(8)}
    data = xr.Dataset({**bands, name: (("y", "x"), cube[0].astype(dtype))}, coords=places)
    opening = ReadOptions(crs="EPSG:32632")
    with pytest.raises(
        SourceError, match=f"variable {name} of type {np.dtype(dtype)}; but the others"
    ):
        open_xarray(data, opening)
    every = open_xarray(data, ReadOptions(crs="EPSG:32632", product="raster"))
    assert every.dimension == 9
    np.testing.assert_array_equal(read(open_xarray(data[list(bands)], opening)), cube[:8])


def test_other_bands_in_one_file_are_told_of(tmp_path: Path, cube: NDArray[np.float32]) -> None:
    """AlphaEarth's have no other bands; of others a run is no proof."""
    source = open_source(write(tmp_path / "e.tif", cube[:4], ["e0", "e1", "e2", "quality"]))
    assert "components all the same: quality" in traits_of(source).notes[0]
    path = write(tmp_path / "a.tif", cube[:4], ["A00", "A01", "A02", "mask"])
    with pytest.raises(SourceError, match="bands A00, A01, A02 of AlphaEarth, and mask"):
        open_source(path)
    assert open_source(path, product="raster").dimension == 4
    plain = write(tmp_path / "p.tif", cube[:3], ["red", "green", "blue"])
    assert traits_of(open_source(plain)).notes == ()


def test_one_variable_per_band_stands_as_one_file_per_band(
    tmp_path: Path, cube: NDArray[np.float32]
) -> None:
    """Zarr lists e10 before e2; numbers decide, as they do for files."""
    places = {"y": 5_299_995.0 - 10 * np.arange(6), "x": 500_005.0 + 10 * np.arange(6)}
    names = sorted(f"e{band}" for band in range(12))
    bands = {name: (("y", "x"), cube[int(name[1:])]) for name in names}
    source = open_xarray(xr.Dataset(bands, coords=places), ReadOptions(crs="EPSG:32632"))
    for name in names:
        write(tmp_path / f"{name}.tif", cube[int(name[1:])][np.newaxis], [])
    files = open_source(tmp_path)
    assert names_of(source) == names_of(files)
    np.testing.assert_array_equal(read(source), read(files))
    np.testing.assert_array_equal(read(source), cube[:12])
