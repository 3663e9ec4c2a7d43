"""Inputs that are read as something they are not."""

from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz.errors import SourceError
from geoembz.sources import open_source
from tests import products

NAMES = [f"A{band:02d}" for band in range(64)]


@pytest.fixture
def codes() -> np.ndarray:
    return products.aef_codes(16, 16)


def convert(path: Path, **options: object) -> object:
    return geoembz.convert(path, path.with_suffix(".zarr"), quantizer="int8", **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", [True, False])
def test_linear_instead_of_the_square_law(tmp_path: Path, codes: np.ndarray, named: bool) -> None:
    """Floats q / 127.5 are found out by their norm, with and without band names."""
    values = codes.astype(np.float32) / 127.5
    path = products.write_raster(tmp_path / "x.tif", values, names=NAMES if named else ())
    with pytest.raises(SourceError, match=r"dequantized linearly, as q / 127\.5"):
        convert(path)


def test_codes_as_floats(tmp_path: Path, codes: np.ndarray) -> None:
    path = products.write_raster(tmp_path / "x.tif", codes.astype(np.float32))
    with pytest.raises(SourceError, match="never dequantized"):
        convert(path)


def test_square_law_on_linear_codes(tmp_path: Path) -> None:
    """Int8 that holds 127.5 v is no code of AlphaEarth, whatever its bands are called."""
    linear = np.rint(products.unit_vectors(16, 16) * 127).astype(np.int8)
    path = products.write_aef(tmp_path / "x.tif", linear)
    with pytest.raises(SourceError, match="the codes are linear"):
        convert(path)


def test_codes_of_something_else(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = rng.integers(-120, 120, size=(64, 16, 16)).astype(np.int8)
    path = products.write_aef(tmp_path / "x.tif", codes)
    with pytest.raises(SourceError, match="no codes of AlphaEarth"):
        convert(path)


def test_right_vectors_pass(tmp_path: Path, codes: np.ndarray) -> None:
    values = products.power_values(codes)
    convert(products.write_raster(tmp_path / "f.tif", values, names=NAMES))
    convert(products.write_aef(tmp_path / "i.tif", codes))
    averaged = products.write_raster(tmp_path / "m.tif", values * 0.8, names=NAMES)
    convert(averaged)  # averages are shorter: no error


def test_swapped_longitude_and_latitude(tmp_path: Path, rng: np.random.Generator) -> None:
    """A latitude of 120° can only be a longitude."""
    values = rng.normal(size=(3, 4, 4)).astype(np.float32)
    swapped = (0.001, 0.0, 14.5, 0.0, -0.001, 121.0)
    path = products.write_raster(tmp_path / "s.tif", values, crs="EPSG:4326", transform=swapped)
    with pytest.raises(SourceError, match="look swapped"):
        open_source(path)


def test_swapped_easting_and_northing(tmp_path: Path, rng: np.random.Generator) -> None:
    values = rng.normal(size=(3, 4, 4)).astype(np.float32)
    swapped = (10.0, 0.0, 5_300_000.0, 0.0, -10.0, 500_000.0)
    path = products.write_raster(tmp_path / "s.tif", values, transform=swapped)
    with pytest.raises(SourceError, match="eastings"):
        open_source(path)


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        ("EPSG:32632", (10.0, 0.0, 166_021.0, 0.0, -10.0, 100.0)),
        ("EPSG:32732", (10.0, 0.0, 833_000.0, 0.0, -10.0, 9_999_000.0)),
        ("EPSG:4326", (0.001, 0.0, 179.0, 0.0, -0.001, -89.0)),
        ("EPSG:4326", (0.5, 0.0, 200.0, 0.0, -0.5, 40.0)),
        ("EPSG:3857", (10.0, 0.0, 2_000_000.0, 0.0, -10.0, 100_000.0)),
    ],
)
def test_places_at_the_edges_pass(
    tmp_path: Path, crs: str, transform: products.Coefficients
) -> None:
    values = np.zeros((3, 4, 4), np.float32)
    path = products.write_raster(tmp_path / "e.tif", values, crs=crs, transform=transform)
    assert open_source(path).grid.shape == (4, 4)


@pytest.mark.parametrize(
    ("centre", "message"), [((47.85, 9.05), "are swapped"), ((19.05, 47.85), "another tile's")]
)
def test_tessera_tiles_lie_where_their_names_say(
    tmp_path: Path, centre: tuple[float, float], message: str
) -> None:
    (tmp_path / "right").mkdir()
    codes, scales = np.ones((4, 4, 128), np.int8), np.full((4, 4), 0.1, np.float32)
    right = products.write_tessera_npy(tmp_path / "right", codes, scales)
    for path in right.parent.iterdir():
        renamed = path.name.replace("9.05_47.85", f"{centre[0]}_{centre[1]}")
        path.rename(path.with_name(renamed))
    with pytest.raises(SourceError, match=message):
        open_source(right.parent)


def test_rejected_pixels_are_in_summary_and_store(tmp_path: Path, rng: np.random.Generator) -> None:
    codes = rng.integers(-127, 128, size=(20, 20, 128), dtype=np.int8)
    scales = np.full((20, 20), 0.1, np.float32)
    scales[4, 4:9] = -161_685.0
    path = products.write_tessera_npy(tmp_path / "in", codes, scales)
    summary = geoembz.convert(path, tmp_path / "out.zarr", pca=8)
    assert summary.rejected_pixels == 5
    assert "5  (no embeddings" in summary.to_table()
    dataset = geoembz.open(tmp_path / "out.zarr")
    assert dataset.attrs["geoembz:pixels"] == {"total": 400, "valid": 395, "rejected": 5}
    assert int(np.isnan(dataset["embedding"].values[0]).sum()) == 5
