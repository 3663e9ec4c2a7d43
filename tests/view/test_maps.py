"""Maps in the viewer: what is served of them, and that a browser shows what is in them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray

import geoembz
from geoembz._view.tiff_objects import TiffObjects
from geoembz.errors import StoreError
from tests.conftest import MakeRaster
from tests.sources.serving import serving_apart
from tests.view.cases import scene
from tests.view.conftest import Browse
from tests.view.test_browser import CALM, IDLE, READY, centre, clean
from tests.view.test_view import built, content

__all__ = ["built"]


@pytest.fixture
def store(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """Return a store of 40 x 56 pixels at two dates, with a hole."""
    store = tmp_path / "a.zarr"
    first, second = (make_raster(tmp_path / f"{date}.tif", scene(date)) for date in (0, 1))
    geoembz.convert(first, store, recipe="pca8-int8", time="2023")
    geoembz.append(store, second, time="2024")
    return store


@pytest.fixture
def large(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """Return a GeoTIFF of clusters that has an overview."""
    values = np.random.default_rng(0).normal(size=(3, 700, 601)).astype(np.float32)
    values[:, :70, 500:] = np.nan
    geoembz.convert(make_raster(tmp_path / "l.tif", values), tmp_path / "l.zarr", chunk=64)
    geoembz.map_cluster(tmp_path / "l.zarr", tmp_path / "k.tif", k=4)
    return tmp_path / "k.tif"


def chunk_of(objects: TiffObjects, key: str, dtype: str) -> NDArray[Any]:
    """Return a served chunk."""
    content = objects.read(key)
    assert content is not None
    assert objects.size(key) == len(content)
    assert objects.read_part(key, 3, 9) == content[3:9]
    return np.frombuffer(content, dtype).reshape(256, 256)


def test_a_file_is_served_as_the_group_that_it_would_be(large: Path, built: Path) -> None:
    """Each level in chunks, nodata beyond the edge, nothing else; from another machine as well."""
    objects = TiffObjects.open(str(large))
    layout = objects.root["attributes"]["multiscales"]["layout"]
    assert [entry["transform"]["scale"][0] for entry in layout] == [1, 2]
    for number, (prefix, factor) in enumerate((("", None), ("overviews/2/", 0))):
        with rasterio.open(large, **({} if factor is None else {"overview_level": factor})) as file:
            whole = file.read(1)
        assert layout[number]["spatial:shape"] == list(whole.shape)
        rows, cols = (-(-side // 256) for side in whole.shape)
        last = chunk_of(objects, f"{prefix}map/c/0/{rows - 1}/{cols - 1}", "u1")
        part = whole[(rows - 1) * 256 :, (cols - 1) * 256 :]
        np.testing.assert_array_equal(last[: part.shape[0], : part.shape[1]], part)
        assert not last[part.shape[0] :].any()
        first = chunk_of(objects, f"{prefix}map/c/0/0/0", "u1")
        np.testing.assert_array_equal(first, whole[:256, :256])
    for key in ("map/c/1/0/0", "map/c/0/3/0", "overviews/4/map/c/0/0/0", "map/zarr.json", "x", ""):
        assert objects.read(key) is None
        assert objects.size(key) is None
        assert objects.read_part(key, 0) is None
    with (  # the page asks this machine, which asks the server
        serving_apart(large.parent) as url,
        geoembz.view(f"{url}/k.tif", browser=False) as viewer,
    ):
        assert content(f"{viewer.url}map0/map/c/0/1/1") == objects.read("map/c/0/1/1")


def test_the_page_is_told_of_maps(store: Path, built: Path, tmp_path: Path) -> None:
    """Each has its address and name, the first one first; alone they come without a store."""
    maps = [tmp_path / "d.zarr", tmp_path / "d.tif"]
    for out in maps:
        geoembz.map_change(store, out, start="2023", end="2024")
    told = json.dumps([{"url": f"map{n}", "name": str(out)} for n, out in enumerate(maps)])
    with geoembz.view(store, maps, browser=False) as viewer:
        page = content(viewer.url).decode().replace("&quot;", '"')
        assert 'name="geoembz-store" content="store"' in page
        assert f'name="geoembz-maps" content="{told}"' in page
        documents = [json.loads(content(f"{viewer.url}map{n}/zarr.json")) for n in range(2)]
        about, same = (document["attributes"]["geoembz:map"] for document in documents)
        assert about == same
    with geoembz.view(maps[0], maps[1:], browser=False) as viewer:
        page = content(viewer.url).decode().replace("&quot;", '"')
        assert 'name="geoembz-store" content=""' in page
        assert f'name="geoembz-maps" content="{told}"' in page
        assert viewer.store == str(maps[0])


def test_what_is_no_map_is_refused(store: Path, built: Path, tmp_path: Path) -> None:
    """A second store, another GeoTIFF, and nothing at all."""
    with pytest.raises(StoreError, match="no map that `geoembz map` made; expected one store"):
        geoembz.view(store, store, browser=False)
    with pytest.raises(StoreError, match="a GeoTIFF, but no map"):
        geoembz.view(store, tmp_path / "0.tif", browser=False)
    with pytest.raises(StoreError, match="no Zarr store"):
        geoembz.view(store, tmp_path / "none.zarr", browser=False)


# ---- in a browser --------------------------------------------------------------------------------

COLOUR = """
const canvas = [...document.querySelectorAll('#map canvas')].at(-1);
const [x, y] = [canvas.width / 2 + 3, canvas.height / 2 + 3];
return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]
"""
"""The pixel right of and below the map's middle."""


def listed(number: int, part: str) -> dict[str, str]:
    """Return the step that tells a text of a map in the list."""
    code = (
        f"document.querySelectorAll('#map-list > li')[{number}].querySelector('{part}').innerText"
    )
    return {"evaluate": f"return {code}"}


@pytest.mark.browser
@pytest.mark.parametrize("suffix", ["tif", "zarr"])
def test_a_map_alone_has_its_colours_names_and_values(
    store: Path, tmp_path: Path, browse: Browse, suffix: str
) -> None:
    """The pixel in the middle has its cluster's colour; a hole has none; the legend has all."""
    out = tmp_path / f"k.{suffix}"
    made = geoembz.map_cluster(store, out, k=3, time="2023").map
    geoembz.map_cluster(store, tmp_path / "same.tif", k=3, time="2023")
    with rasterio.open(tmp_path / "same.tif") as raster:
        (values,) = raster.read()
    here, hole = centre(store, 20, 28), centre(store, 6, 4)
    with geoembz.view(out, browser=False) as viewer:
        seen = browse(
            viewer.url,
            *[READY, IDLE, CALM, {"evaluate": COLOUR}],
            {"evaluate": f"return await geoembz.mapsAt({here[0]}, {here[1]})"},
            {"evaluate": f"return await geoembz.mapsAt({hole[0]}, {hole[1]})"},
            {"evaluate": "return await geoembz.mapsAt(0, 0)"},
            listed(0, ".legend"),
            {"click": [395, 353]},
            CALM,
            listed(0, ".here"),
            {"evaluate": "return await geoembz.query({for: [[0, 0]]}).catch((e) => e.message)"},
            {"evaluate": "return getComputedStyle(document.getElementById('labels')).display"},
        )
    colour, inside, nothing, outside, legend, said, refused, display = [
        answer for answer in clean(seen, viewer.url).results if answer is not None
    ]
    found = next(each for each in made.bands.classes if each.value == values[20, 28])
    assert colour == [*found.colour, 255]
    assert inside[0]["values"] == {"cluster": values[20, 28]}
    assert (inside[0]["class"], inside[0]["kind"]) == (found.name, "clusters")
    assert nothing[0]["values"] == outside[0]["values"] == {"cluster": None}
    for each in made.bands.classes:
        share = 100 * (made.figures.counts or {})[each.value] / made.valid_pixels
        assert f"{each.name} {share:.1f} %" in legend
    assert said == f"here: {found.name}"
    assert "shows maps alone" in refused
    assert display == "none"


def choose(number: int, value: str) -> str:
    """Return code that chooses an entry of one of the first map's lists."""
    found = f"document.querySelectorAll('#map-list select')[{number}]"
    return f"{found}.value = '{value}'; {found}.dispatchEvent(new Event('change'))"


@pytest.mark.browser
def test_maps_over_a_store(store: Path, tmp_path: Path, browse: Browse) -> None:
    """Bands can be chosen, maps switched off; a click still finds the like of a place."""
    geoembz.map_change(store, tmp_path / "c.zarr", start="2023", end="2024")
    geoembz.map_change(store, tmp_path / "d.tif", start="2023", end="2024", difference=4)
    with rasterio.open(tmp_path / "d.tif") as raster:
        difference = raster.read() * raster.scales[0]
    place = centre(store, 30, 40)
    with geoembz.view(store, [tmp_path / "c.zarr", tmp_path / "d.tif"], browser=False) as viewer:
        seen = browse(
            viewer.url,
            *[READY, IDLE, CALM],
            {"evaluate": f"return await geoembz.mapsAt({place[0]}, {place[1]})"},
            listed(0, ".legend"),
            listed(1, ".legend"),
            {"evaluate": COLOUR},
            {"evaluate": choose(0, "1")},
            {"evaluate": choose(1, "greys")},
            *[CALM, IDLE, {"evaluate": COLOUR}, listed(0, ".legend")],
            {"evaluate": "document.querySelectorAll('#map-list input[type=checkbox]')[0].click()"},
            *[CALM, {"evaluate": COLOUR}],
            {"click": [380, 350]},
            {"wait": "return document.querySelectorAll('#best li').length === 10"},
            {"evaluate": "return geoembz.stats().requests"},
        )
    answers = [answer for answer in clean(seen, viewer.url).results if answer is not None]
    (change, apart), first, picture, shown, other, band, off, requests = answers
    expected = {f"component {n}": value for n, value in enumerate(difference[:, 30, 40])}
    assert apart["values"] == pytest.approx(expected)
    assert set(change["values"]) == {"cosine distance", "z-score"}
    assert "cosine distance" in first
    assert "z-score" in band
    assert "component 2" in picture
    assert shown != other
    assert other != off
    assert requests > 3


@pytest.mark.browser
def test_a_map_in_another_projection_lies_right(
    store: Path, tmp_path: Path, browse: Browse
) -> None:
    """A map warped to longitude and latitude is drawn where the store's is; GDAL keeps the tag."""
    from rasterio.warp import calculate_default_transform, reproject

    geoembz.map_cluster(store, tmp_path / "k.tif", k=3, time="2023")
    with rasterio.open(tmp_path / "k.tif") as raster:
        transform, width, height = calculate_default_transform(
            raster.crs, "EPSG:4326", raster.width, raster.height, *raster.bounds
        )
        turned = np.zeros((1, height, width), np.uint8)
        reproject(rasterio.band(raster, 1), turned, dst_transform=transform, dst_crs="EPSG:4326")
        profile = {**raster.profile, "crs": "EPSG:4326", "transform": transform}
        profile |= {"width": width, "height": height, "driver": "GTiff"}
        tags = raster.tags()
    with rasterio.open(tmp_path / "w.tif", "w", **profile) as raster:
        raster.write(turned)
        raster.update_tags(**tags)
    found = []
    for name in ("k.tif", "w.tif"):
        steps: list[dict[str, Any]] = [READY, IDLE, CALM, {"evaluate": COLOUR}]
        with geoembz.view(store, tmp_path / name, browser=False) as viewer:
            found.append(clean(browse(viewer.url, *steps), viewer.url).results[-1])
    assert found[0] == found[1]


@pytest.mark.browser
def test_a_large_map_without_overviews_waits_until_one_is_near(
    large: Path, tmp_path: Path, browse: Browse
) -> None:
    """Beside a map that is drawn from farther away it is left out, and the list says why."""
    with rasterio.open(large) as raster:
        tags, crs = raster.tags(), raster.crs
    for name, side in (("fine.tif", 2100), ("coarse.tif", 210)):
        transform = rasterio.Affine(21_000 / side, 0, 500_000, 0, -21_000 / side, 5_300_000)
        profile = {"crs": crs, "transform": transform, "nodata": 0, "dtype": "uint8", "count": 1}
        with rasterio.open(
            tmp_path / name, "w", driver="GTiff", width=side, height=side, **profile
        ) as raster:
            raster.write(np.full((1, side, side), 1 + (side > 1000), np.uint8))
            raster.update_tags(**tags)
    with geoembz.view(tmp_path / "fine.tif", tmp_path / "coarse.tif", browser=False) as viewer:
        seen = browse(
            viewer.url,
            *[READY, IDLE, CALM, listed(0, ".note"), {"evaluate": COLOUR}],
            {"evaluate": "document.getElementById('map').focus()"},
            *[*[{"press": "+"}, CALM] * 2, IDLE, listed(0, ".note"), {"evaluate": COLOUR}],
        )
    far, coarse, near, fine = [
        answer for answer in clean(seen, viewer.url).results if answer is not None
    ]
    assert far == "clusters, 2100 × 2100 pixels: zoom in to see it (it has no overviews)"
    assert near == "clusters, 2100 × 2100 pixels"
    assert coarse != fine
