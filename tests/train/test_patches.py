"""Patches of a store: what they hold, which there are, with labels, dates, levels and zones."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyproj import Transformer

import geoembz
from geoembz._geo import parse_crs
from geoembz._geo.grid import Grid
from geoembz._train.split import place_pixels
from geoembz.errors import InvalidConfigError, NoValidPixelsError, SourceError, StoreError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.conversion.test_grids import write_zones
from tests.map.conftest import HEIGHT, WIDTH, MakeStore, scene, vectors
from tests.map.labelling import KINDS, quantity, truth, write_points, write_polygons
from tests.map.test_change import two_dates


def corner(patches: geoembz.Patches, number: int) -> tuple[int, int]:
    """Return the row and column of a patch's first pixel."""
    return int(patches.places.rows[number]), int(patches.places.cols[number])


def cut(values: Any, patches: geoembz.Patches, number: int) -> Any:
    """Return what an array of the whole grid holds in a patch."""
    (row, col), size = corner(patches, number), patches.options.size
    return values[..., row : row + size, col : col + size]


@pytest.mark.parametrize(("space", "size"), [("original", 5), ("reduced", 8), ("codes", 20)])
def test_a_patch_is_what_a_window_reads(store: StoreReader, space: Any, size: int) -> None:
    """Alone, as several, and in whatever order."""
    patches = geoembz.patches(store, size, space=space, min_valid=0)
    window = store.attributes.grid.window
    whole = store.read_codes(window) if space == "codes" else store.read(window, space)
    assert len(patches) == (HEIGHT // size) * (WIDTH // size)
    assert patches[0].shape == (patches.length, size, size)
    for number, patch in enumerate(patches):
        np.testing.assert_array_equal(patch, cut(whole, patches, number))
    numbers = np.random.default_rng(0).permutation(len(patches))
    for number, patch in zip(numbers, patches[numbers], strict=True):
        np.testing.assert_array_equal(patch, cut(whole, patches, number))
    several = patches.__getitems__(numbers[:3].tolist())
    np.testing.assert_array_equal(np.stack(several), patches[numbers[:3]])
    np.testing.assert_array_equal(patches[-1], patches[len(patches) - 1])
    np.testing.assert_array_equal(patches[:4:2], patches[[0, 2]])
    assert patches[:0].shape == (0, patches.length, size, size)


def test_what_is_no_number_of_a_patch(store: StoreReader) -> None:
    """Beyond the end is an IndexError, as of any sequence."""
    patches = geoembz.patches(store, 8, min_valid=0)
    with pytest.raises(IndexError, match=r"of 48 patches"):
        patches[48]
    with pytest.raises(IndexError):
        patches[[0, -49]]
    with pytest.raises(InvalidConfigError, match="a number, a slice or a list"):
        patches[[0.5]]


def test_the_first_components(store: StoreReader) -> None:
    """Fewer numbers, those of the first components."""
    patches = geoembz.patches(store, 8, space="reduced", components=3, min_valid=0)
    whole = store.read(store.attributes.grid.window, "reduced", 3)
    np.testing.assert_array_equal(patches[7], cut(whole, patches, 7))
    assert patches.length == 3


def test_where_a_patch_lies(store: StoreReader) -> None:
    """Its grid has CRS and transform."""
    patches = geoembz.patches(store, 8, min_valid=0)
    grid, (row, col) = patches.grid(9), corner(patches, 9)
    assert grid.shape == (8, 8)
    np.testing.assert_array_equal(grid.x, store.attributes.grid.x[col : col + 8])
    np.testing.assert_array_equal(grid.y, store.attributes.grid.y[row : row + 8])


@pytest.mark.parametrize(
    ("recipe", "size", "stride"), [("pca8-int8", 8, 8), ("pca8-int4", 10, 3), ("float32", 6, 11)]
)
def test_patches_that_hold_enough(
    make_store: MakeStore, recipe: str, size: int, stride: int
) -> None:
    """By counting all pixels, whether nodata is a code or a mask."""
    store = make_store(recipe=recipe)
    valid = np.isfinite(vectors(store)[0])
    for least in (1.0, 0.6, 0.0):
        patches = geoembz.patches(store, size, stride=stride, min_valid=least)
        corners = {
            (row, col)
            for row in range(0, HEIGHT - size + 1, stride)
            for col in range(0, WIDTH - size + 1, stride)
            if valid[row : row + size, col : col + size].mean() >= least - 1e-12
        }
        assert {corner(patches, number) for number in range(len(patches))} == corners
        assert len(patches) == len(corners)
        if least == 1:
            assert np.isfinite(patches[:]).all()


def test_pixels_without_an_embedding(store: StoreReader) -> None:
    """NaN, or a number that is asked for; the mask tells them."""
    valid = np.isfinite(vectors(store)[0])
    patches, known = geoembz.patches(store, 10, min_valid=0, mask=True)[:]
    filled, _ = geoembz.patches(store, 10, min_valid=0, mask=True, fill=0)[:]
    assert not known.all()
    np.testing.assert_array_equal(np.isfinite(patches).all(axis=1), known)
    assert (filled.transpose(0, 2, 3, 1)[~known] == 0).all()
    assert known.sum() == valid[: HEIGHT // 10 * 10].sum()
    codes, known = geoembz.patches(store, 10, min_valid=0, mask=True, space="codes")[:]
    np.testing.assert_array_equal(codes[:, 0] != store.encoding.nodata, known)


def test_a_part_of_a_store(store: StoreReader) -> None:
    """Patches inside a box, from its first pixel."""
    grid = store.attributes.grid
    box = (grid.x[10] - 1, grid.y[39] - 1, grid.x[29] + 1, grid.y[20] + 1)
    patches = geoembz.patches(store, 10, bbox=box, min_valid=0)
    assert {corner(patches, n) for n in range(len(patches))} == {
        (20, 10), (20, 20), (30, 10), (30, 20),
    }  # fmt: skip


def test_labels_of_a_raster(store: StoreReader, make_raster: MakeRaster, tmp_path: Path) -> None:
    """Numbered from 0; -100 where there is none, or no embedding; patches without any left out."""
    classes = truth(store)
    written = np.array([3, 7, 200, 0], np.uint8)[classes]
    written[20:40, 10:30] = 0
    labels = make_raster(tmp_path / "labels.tif", written[np.newaxis], nodata=0)
    patches = geoembz.patches(store, 10, labels=labels, min_valid=0)
    assert patches.classes is not None
    assert patches.classes.tolist() == [3, 7, 200]
    expected = np.where(written > 0, classes, -100)
    assert len(patches) == 35 - 4
    found, numbers = patches[:]
    assert numbers.dtype == np.int64
    for number in range(len(patches)):
        np.testing.assert_array_equal(numbers[number], cut(expected, patches, number))
        np.testing.assert_array_equal(patches[number][0], found[number])
    written[:9, :7] = 3  # there is no embedding
    labels = make_raster(tmp_path / "more.tif", written[np.newaxis], nodata=0)
    again = geoembz.patches(store, 10, labels=labels, min_valid=0)[:]
    np.testing.assert_array_equal(again[1], numbers)


def test_labels_on_another_grid(
    store: StoreReader, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Are brought onto the store's pixels by nearest neighbour, and that is said."""
    classes = truth(store)
    coarse = np.array([1, 2, 3, 0], np.uint8)[classes[::2, ::2]]
    transform = (20.0, 0.0, 500_000.0, 0.0, -20.0, 5_300_000.0)
    path = make_raster(tmp_path / "l.tif", coarse[np.newaxis], nodata=0, transform=transform)
    patches = geoembz.patches(store, 10, labels=path)
    assert "nearest neighbour" in patches.to_table()
    fine = np.kron(coarse, np.ones((2, 2), np.int64))[:HEIGHT, :WIDTH].astype(np.int64) - 1
    for number in range(len(patches)):
        expected = cut(np.where(fine < 0, -100, fine), patches, number)
        np.testing.assert_array_equal(patches[number][1], expected)


def test_labels_of_places_and_shapes(store: StoreReader, tmp_path: Path) -> None:
    """Texts are numbered too; what no feature covers has no label."""
    classes = truth(store)
    points = write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[classes])
    patches = geoembz.patches(store, 10, labels=points)
    assert patches.classes is not None
    assert patches.classes.tolist() == KINDS.tolist()
    numbers = patches[:][1]
    assert 0 < (numbers >= 0).mean() < 0.15
    for number in range(len(patches)):
        is_right = numbers[number] == cut(classes, patches, number)
        assert is_right[numbers[number] >= 0].all()
    squares = [(12, 21, "oak"), (45, 30, "ash")]
    path = write_polygons(tmp_path / "p.geojson", store, squares)
    shapes = geoembz.patches(store, 10, labels=path, column="kind")
    assert shapes.classes is not None
    assert shapes.classes.tolist() == ["ash", "oak"]
    assert sorted(corner(shapes, n) for n in range(len(shapes))) == [(10, 20), (40, 30)]
    expected = np.full((HEIGHT, WIDTH), -100)
    expected[12:17, 21:26], expected[45:50, 30:35] = 1, 0
    for number in range(2):
        np.testing.assert_array_equal(shapes[number][1], cut(expected, shapes, number))


def test_quantities(store: StoreReader, make_raster: MakeRaster, tmp_path: Path) -> None:
    """Stay numbers, NaN where there is none; as classes they are refused."""
    heights = quantity(store).astype(np.float32)
    path = make_raster(tmp_path / "h.tif", heights[np.newaxis])
    patches = geoembz.patches(store, 10, labels=path, quantities=True, min_valid=0)
    assert patches.classes is None
    for number in range(len(patches)):
        np.testing.assert_array_equal(patches[number][1], cut(heights, patches, number))
    with pytest.raises(InvalidConfigError, match=r"no whole numbers.*pass quantities=True"):
        geoembz.patches(store, 10, labels=path)
    points = write_points(tmp_path / "l.csv", store, np.append(KINDS, "")[truth(store)])
    with pytest.raises(InvalidConfigError, match=r"the labels are text.*leave quantities=True out"):
        geoembz.patches(store, 10, labels=points, quantities=True)


def test_a_date_and_a_level(make_store: MakeStore, make_raster: MakeRaster, tmp_path: Path) -> None:
    """Each by itself; which date has to be said."""
    reader = two_dates(make_store, make_raster, pca=8)
    for date, time in enumerate(("2023", "2024")):
        patches = geoembz.patches(reader.url, 10, time=time)
        expected = reader.read(reader.attributes.grid.window, "original", date=date)
        again = pickle.loads(pickle.dumps(patches))  # noqa: S301 - our own
        np.testing.assert_array_equal(again[5], cut(expected, patches, 5))
    with pytest.raises(InvalidConfigError, match="which date"):
        geoembz.patches(reader.url, 10)
    geoembz.overviews(reader.url, levels=1)
    coarse = geoembz.patches(reader.url, 10, time="2024", level=1, min_valid=0)
    level = StoreReader.open(reader.url, level=1)
    expected = level.read(level.attributes.grid.window, "original", date=1)
    assert len(coarse) == 3 * 2
    again = pickle.loads(pickle.dumps(coarse))  # noqa: S301 - our own
    np.testing.assert_array_equal(again[5], cut(expected, coarse, 5))


def test_all_zones_of_a_store(tmp_path: Path) -> None:
    """One sequence over both; every patch is in one part of a split."""
    store = tmp_path / "zones.zarr"
    geoembz.convert(write_zones(tmp_path / "in"), store, quantizer="float32")
    patches = geoembz.patches(store, 6)
    assert len(patches) == 2 * 4 * 8
    for number in (3, 40):
        zone = int(patches.places.parts[number])
        reader = StoreReader.open(f"{store}/utm{32 + zone}n")
        expected = cut(vectors(reader), patches, number)
        np.testing.assert_array_equal(patches[number], expected.astype(np.float32))
        assert patches.grid(number).crs_code == f"EPSG:326{32 + zone}"
    by_blocks = geoembz.patches(store, 6, block_size=100.0)
    parts = [by_blocks.part(name) for name in ("train", "val", "test")]
    assert all(parts)
    assert sum(map(len, parts)) == len(patches)


def test_a_place_is_in_one_block_whatever_its_zone() -> None:
    """Zones overlap: the same ground must not train in one and test in the other."""
    grids = []
    for zone in (32, 33):
        crs = f"EPSG:326{zone}"
        x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(12.0, 47.0)
        transform = (10.0, 0.0, x - 45, 0.0, -10.0, y + 45)
        grids.append(Grid(parse_crs(crs).to_wkt(), crs, transform, (9, 9)))
    middle = np.array([4, 4])
    x, y = place_pixels(grids, np.array([0, 1]), middle, middle)
    assert abs(x[0] - x[1]) < 1
    assert abs(y[0] - y[1]) < 1


@pytest.mark.parametrize("stride", [5, 2])
def test_parts_share_no_pixel(store: StoreReader, stride: int) -> None:
    """Nor a block; all patches are in one part, but those that reach into another's."""
    patches = geoembz.patches(store, 5, stride=stride, min_valid=0, block_size=100.0)
    used = np.zeros((3, HEIGHT, WIDTH), np.bool_)
    count, left_out = 0, 0
    for layer, name in zip(used, ("train", "val", "test"), strict=True):
        part = geoembz.patches(store, 5, stride=stride, min_valid=0, block_size=100.0, split=name)
        assert "of 5 folds of 35 blocks of 100 m" in part.to_table()
        count += len(part)
        left_out += sum(part.places.exclusions.values())
        for number in range(len(part)):
            row, col = corner(part, number)
            layer[row : row + 5, col : col + 5] = True
    assert used.sum(axis=0).max() == 1
    assert count + left_out == len(patches)
    assert (left_out > 0) == (stride < 5)
    assert used[0].sum() > used[1].sum() + used[2].sum() - 200
    other = geoembz.patches(
        store, 5, stride=stride, min_valid=0, block_size=100.0, split="train", seed=1
    )
    again = patches.part("train")
    assert not np.array_equal(again.places.rows, other.places.rows)


def test_a_store_that_was_replaced(make_store: MakeStore, rng: np.random.Generator) -> None:
    """A worker that opens another store than its samples were chosen of says so."""
    store = make_store(pca=8)
    patches = geoembz.patches(store.url, 10)
    pickled = pickle.dumps(patches)
    make_store(values=scene(rng) * 2 + 1, pca=8, overwrite=True)
    with pytest.raises(StoreError, match="another store than the one that samples were chosen of"):
        pickle.loads(pickled)[0]  # noqa: S301 - our own


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size 0"),
        ({"size": 71}, "0 patches of 71 x 71"),
        ({"stride": 0}, "stride 0"),
        ({"min_valid": 1.5}, "min_valid 1.5"),
        ({"split": "trian"}, "split 'trian'; expected one of test, train, val"),
        ({"seed": -1}, "seed -1"),
        ({"cache_bytes": -1}, "cache_bytes -1"),
        ({"components": 99}, "components=99"),
        ({"space": "codes", "components": 2}, "codes are read whole"),
    ],
)
def test_options_that_cannot_work(
    store: StoreReader, options: dict[str, Any], message: str
) -> None:
    """Are refused before anything is read, by their names."""
    with pytest.raises(InvalidConfigError, match=message):
        geoembz.patches(store, **{"size": 10, **options})


def test_nothing_is_left(store: StoreReader, make_raster: MakeRaster, tmp_path: Path) -> None:
    """The error says why patches were left out."""
    with pytest.raises(NoValidPixelsError, match=r"left out: 1 x patch of less than 1 with data"):
        geoembz.patches(store, 50)
    blank = make_raster(tmp_path / "l.tif", np.zeros((1, HEIGHT, WIDTH), np.uint8), nodata=0)
    with pytest.raises(NoValidPixelsError, match="x patch without a label"):
        geoembz.patches(store, 10, labels=blank)
    with pytest.raises(SourceError, match="no such file"):
        geoembz.patches(store, 10, labels=tmp_path / "none.tif")
    with pytest.raises(InvalidConfigError, match=r"split: 1 rows or groups cannot fill 5 folds"):
        geoembz.patches(store, 10, split="train", block_size=1e6)


def test_what_they_say_of_themselves(store: StoreReader) -> None:
    """As JSON, and as a table, which is shown in notebooks too."""
    patches = geoembz.patches(store, 10, space="reduced")
    document = json.loads(json.dumps(patches.to_json()))
    assert document["patches"] == len(patches)
    assert document["length"] == 8
    assert sum(document["left_out"].values()) == 35 - len(patches)
    assert repr(patches) == patches.to_table()
    assert "of 10 x 10 pixels" in patches._repr_html_()
