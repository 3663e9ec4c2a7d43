"""`convert --check` finds what fidelity cannot: right numbers in the wrong place or band."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

import geoembz
from geoembz._cli.app import app
from geoembz._convert import place_check
from geoembz.errors import InvalidConfigError, StoreError
from tests import products
from tests.conversion.test_grids import write_zones


def values(seed: int = 0, side: int = 40) -> NDArray[np.float32]:
    """Return vectors of length 1 without any likeness of neighbours, ``(8, side, side)``."""
    raw = np.random.default_rng(seed).normal(size=(8, side, side))
    return np.asarray(raw / np.linalg.norm(raw, axis=0), dtype=np.float32)


def aef_tile(folder: Path) -> Path:
    codes = products.aef_codes(40, 40)
    codes[:, :5] = products.NODATA
    return products.write_aef(folder / "aef.tif", codes)


def with_nodata(folder: Path) -> Path:
    holed = values()
    holed[:, 3:9, 7:20] = -9999
    return products.write_raster(folder / "n.tif", holed, nodata=-9999)


def tiles(folder: Path) -> Path:
    a, b, c, d, e, f = products.UTM_TRANSFORM
    for part in range(2):
        transform = (a, b, c + 400 * part, d, e, f)
        products.write_raster(folder / f"t{part}.tif", values(part), transform=transform)
    return folder


def one_file_per_band(folder: Path) -> Path:
    products.write_band_files(folder, values(), [f"B{n}" for n in range(8, 16)])
    return folder


def zones(folder: Path) -> Path:
    write_zones(folder)
    return folder


@pytest.mark.parametrize("make", [aef_tile, with_nodata, tiles, one_file_per_band, zones])
@pytest.mark.parametrize("recipe", [None, "binary"])
def test_faithful_stores_pass(
    make: Callable[[Path], Path], recipe: str | None, tmp_path: Path
) -> None:
    source = make(tmp_path / "in")
    summary = geoembz.convert(source, tmp_path / "out.zarr", recipe=recipe, check=True)
    assert summary.checked_pixels is not None
    assert summary.checked_pixels >= 390  # some centres lie outside after two transformations


@pytest.mark.parametrize("recipe", ["float32", "pca4-int8", "binary"])
@pytest.mark.parametrize("wrong", ["moved", "upside down", "bands", "scaled", "holes"])
def test_other_numbers_are_found(wrong: str, recipe: str, tmp_path: Path) -> None:
    """The same vectors one pixel aside, turned, with two bands exchanged, or with holes."""
    right = values()
    wrongs: dict[str, NDArray[np.float32]] = {
        "moved": np.roll(right, 1, axis=2),
        "upside down": right[:, ::-1],
        "bands": right[[1, 0, *range(2, 8)]],
        "scaled": np.float32(0.5) * right,
        "holes": np.where(np.arange(40) < 4, np.nan, right).astype(np.float32),
    }
    if wrong == "scaled" and recipe == "binary":
        pytest.skip("bits know no length")
    path = products.write_raster(tmp_path / "right.tif", right)
    wrong_path = products.write_raster(tmp_path / "wrong.tif", wrongs[wrong])
    basis = tmp_path / "basis.zarr"
    geoembz.convert(path, basis, recipe=recipe)
    geoembz.convert(wrong_path, tmp_path / "wrong.zarr", basis=basis)
    places, unchecked = place_check.open_places([str(path)], 8)
    found = place_check.check_places(places, tmp_path / "wrong.zarr")
    assert not unchecked
    assert not found.agrees
    assert found.first is not None


def test_a_store_elsewhere_is_found(tmp_path: Path) -> None:
    a, b, c, d, e, f = products.UTM_TRANSFORM
    path = products.write_raster(tmp_path / "a.tif", values())
    far = products.write_raster(tmp_path / "b.tif", values(), transform=(a, b, c, d, e, f + 5e5))
    geoembz.convert(far, tmp_path / "b.zarr", recipe="float32")
    places, _ = place_check.open_places([str(path)], 8)
    assert place_check.check_places(places, tmp_path / "b.zarr").differing == 400


def test_disagreement_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = products.write_raster(tmp_path / "a.tif", values())
    found = place_check.PlaceCheck(400, 17, (9.0, 47.5))
    monkeypatch.setattr(place_check, "check_places", lambda *_, **__: found)
    with pytest.raises(StoreError, match=r"17 of 400 pixels do not hold .* longitude 9\.0"):
        geoembz.convert(path, tmp_path / "a.zarr", check=True)


@pytest.mark.parametrize("options", [{"overlap": "mean"}, {"resample": "nearest"}])
def test_averages_are_not_checked(options: dict[str, str], tmp_path: Path) -> None:
    path = products.write_raster(tmp_path / "a.tif", values())
    with pytest.raises(InvalidConfigError, match="check: with"):
        geoembz.convert(path, tmp_path / "a.zarr", check=True, **options)  # type: ignore[arg-type]
    assert not (tmp_path / "a.zarr").exists()


def test_check_on_the_command_line(tmp_path: Path) -> None:
    path = products.write_raster(tmp_path / "a.tif", values())
    result = CliRunner().invoke(app, ["convert", str(path), str(tmp_path / "a.zarr"), "--check"])
    assert result.exit_code == 0
    assert "checked pixels" in result.output
