"""Every fact that an input declares, at every door: honoured, or refused in words.

The table of docs/explanation/facts-and-doors.md, cell by cell.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz._convert.append import append
from geoembz.errors import GeoembzError
from tests import doors, products
from tests.doors import DOORS, Declared
from tests.sources.serving import serving_apart

pytestmark = pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")

PAGE = "docs/explanation/facts-and-doors.md"
DIMENSION, HEIGHT, WIDTH = 6, 20, 24
NAMES = tuple(f"emb_{band}" for band in range(DIMENSION))


def base() -> Declared:
    values = np.random.default_rng(0).normal(size=(DIMENSION, HEIGHT, WIDTH))
    return Declared(values.astype(np.float32))


def holed(value: float | NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    raw = base().raw.copy()
    raw[:, 3:7, 5:9] = np.broadcast_to(np.asarray(value).reshape(-1, 1, 1), (DIMENSION, 4, 4))
    return np.asarray(raw, dtype=np.float32)


def fact(name: str) -> Declared:
    """Return the raster with one fact more than it needs."""
    a, b, c, d, e, f = products.UTM_TRANSFORM
    each = -9990.0 - np.arange(DIMENSION)
    mask = np.ones((HEIGHT, WIDTH), dtype=np.bool_)
    mask[3:7, 5:9] = False
    whole = {
        "CRS": replace(base(), crs="EPSG:3035"),
        "rows run north": replace(base(), transform=(a, b, c, d, -e, f)),
        "band names": replace(base(), names=NAMES),
        "scale and offset": replace(
            base(), raw=np.round(base().raw * 1000).astype(np.int16), scale=0.001, offset=0.5
        ),
        "nodata": replace(base(), raw=holed(-9999), nodata=(-9999.0,) * DIMENSION),
        "nodata of each band": replace(base(), raw=holed(each), nodata=tuple(each.tolist())),
        "nodata 0 in part": replace(
            base(), raw=np.maximum(base().raw, 0), nodata=(0.0,) * DIMENSION
        ),
        "mask": replace(base(), mask=mask),
        "no CRS": replace(base(), crs=None),
        "no transform": replace(base(), transform=None),
        "control points": replace(base(), control_points=True),
        "int8 codes": replace(base(), raw=(base().raw * 30).astype(np.int8)),
        "two dates": replace(base(), dates=2),
    }
    return whole[name]


HONOURED = (
    "CRS",
    "rows run north",
    "band names",
    "scale and offset",
    "nodata",
    "nodata of each band",
    "nodata 0 in part",
    "mask",
)
REFUSED = {
    "no CRS": r"no coordinate reference system|nothing of where it lies",
    "no transform": r"georeference|no coordinates|nothing of where it lies|counts rows and columns",
    "control points": r"control points",
    "int8 codes": r"int8 of an unknown product",
    "two dates": r"2 entries of 'time'",
}


def check(store: Path, declared: Declared, time: str | None = None) -> None:
    """Compare a store with what was meant, by coordinates."""
    dataset = geoembz.open(store)
    if time is not None:
        dataset = dataset.sel(time=time).squeeze("time")
    np.testing.assert_allclose(dataset.embedding, declared.vectors, rtol=1e-6, atol=1e-7)
    y = np.sort(declared.coordinates["y"])[::-1]
    np.testing.assert_allclose(dataset.y, y, rtol=0, atol=1e-6)
    np.testing.assert_allclose(dataset.x, declared.coordinates["x"], rtol=0, atol=1e-6)
    assert dataset.attrs["proj:code"] == declared.crs
    if declared.names:
        assert tuple(dataset["dimension"].values) == declared.names


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", HONOURED)
def test_facts_are_honoured(name: str, door: str, tmp_path: Path) -> None:
    declared = fact(name)
    entrance = DOORS[door](declared, tmp_path)
    if entrance is None:
        pytest.skip(f"{door} has no place for: {name}")
    source, options = entrance
    geoembz.convert(source, tmp_path / "out.zarr", recipe="float32", **options)
    check(tmp_path / "out.zarr", declared)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_honoured_is_refused(name: str, door: str, tmp_path: Path) -> None:
    entrance = DOORS[door](fact(name), tmp_path)
    if entrance is None:
        pytest.skip(f"{door} has no place for: {name}")
    source, options = entrance
    with pytest.raises(GeoembzError, match=REFUSED[name]):
        geoembz.convert(source, tmp_path / "out.zarr", recipe="float32", **options)
    assert not (tmp_path / "out.zarr").exists()


@pytest.mark.parametrize("name", [name for name in HONOURED if name != "CRS"])
def test_an_appended_date_declares_as_much(name: str, tmp_path: Path) -> None:
    declared = fact(name)
    path = doors.tiff(declared, tmp_path / "b.tif")
    if path is None:
        pytest.skip(f"a GeoTIFF has no place for: {name}")
    transform = declared.transform
    assert transform is not None
    if transform[4] > 0:  # the same pixels, its rows running south
        a, b, c, d, e, f = transform
        transform = (a, b, c, d, -e, f + HEIGHT * e)
    first = replace(base(), names=declared.names, transform=transform)
    store = tmp_path / "out.zarr"
    before = doors.tiff(first, tmp_path / "a.tif")
    assert before is not None
    geoembz.convert(before, store, recipe="float32", time="2023")
    append(store, path, time="2024")
    check(store, declared, "2024")
    check(store, first, "2023")


@pytest.mark.parametrize("name", ["CRS", "no CRS", "no transform", "control points", "int8 codes"])
def test_an_appended_date_that_contradicts_is_refused(name: str, tmp_path: Path) -> None:
    store = tmp_path / "out.zarr"
    first, path = doors.tiff(base(), tmp_path / "a.tif"), doors.tiff(fact(name), tmp_path / "b.tif")
    assert first is not None
    assert path is not None
    geoembz.convert(first, store, recipe="float32", time="2023")
    before = sorted(store.rglob("*"))
    with pytest.raises(GeoembzError):
        append(store, path, time="2024")
    assert sorted(store.rglob("*")) == before


@pytest.mark.parametrize("name", [*HONOURED, *REFUSED])
def test_http_is_a_door_like_a_file(name: str, tmp_path: Path) -> None:
    path = doors.tiff(fact(name), tmp_path / "served" / "a.tif")
    if path is None:
        pytest.skip(f"a GeoTIFF has no place for: {name}")
    with serving_apart(tmp_path / "served") as url:
        if name in REFUSED:
            with pytest.raises(GeoembzError, match=REFUSED[name]):
                geoembz.convert(f"{url}/a.tif", tmp_path / "out.zarr", recipe="float32")
            return
        geoembz.convert(f"{url}/a.tif", tmp_path / "out.zarr", recipe="float32")
    check(tmp_path / "out.zarr", fact(name))


def test_the_page_shows_these_cells(repository: Path, tmp_path: Path) -> None:
    """Cells that have no place for a fact, and only these, are marked as such."""
    rows = {}
    for line in (repository / PAGE).read_text(encoding="utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("|") and cells[0] in (*HONOURED, *REFUSED):
            rows[cells[0]] = cells[1:]
    assert set(rows) == {*HONOURED, *REFUSED}
    for number, (name, cells) in enumerate(rows.items()):
        word = "honoured" if name in HONOURED else "refused"
        for door, cell in zip(DOORS, cells, strict=True):
            folder = tmp_path / f"{number} {door}".replace(" ", "_")
            folder.mkdir()
            entrance = DOORS[door](fact(name), folder)
            assert cell == ("–" if entrance is None else word), (name, door)
