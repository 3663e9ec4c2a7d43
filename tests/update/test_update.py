"""`update`: tile by tile the same store as all at once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._verify import verify
from geoembz.errors import EncodingError, GeoembzError, InvalidConfigError, SourceError, StoreError
from geoembz.store import StoreReader
from tests import products, tables
from tests.trees import objects
from tests.update.conftest import COLS, FORMS, ROWS, SIDE, Landscape, vectors

pytestmark = pytest.mark.filterwarnings("ignore:.*the basis captures:geoembz.errors.BasisWarning")
DIFFERING = {"updates", "sources", "fidelity", "notes", "skipped", "digests", "times"}
"""What the attributes of a store that was filled tile by tile say differently."""


def shards(store: str | Path) -> dict[str, bytes]:
    """Return the objects of codes and masks, and their digests."""
    return {
        key: content
        for key, content in objects(Path(store)).items()
        if "/c/" in key and ("embedding" in key or "valid" in key)
    }


def attributes_of(store: str) -> dict[str, Any]:
    """Return the attributes of a store's root."""
    return dict(StoreReader.open(store).group.attrs.asdict())


@pytest.mark.parametrize(
    "form",
    [
        "overviews",
        *(pytest.param(one, marks=pytest.mark.slow) for one in FORMS if one != "overviews"),
    ],
)
def test_tiles_in_random_order_are_all_at_once(form: str, land: Landscape, tmp_path: Path) -> None:
    """One by one, and the rest at once: every shard, and every digest, bit for bit."""
    whole = land.whole(tmp_path / "whole.zarr", form)
    order = np.random.default_rng(len(form)).permutation(ROWS * COLS)
    one_by_one = 1 if form == "overviews" else 6
    parts = [order[1 + i : 2 + i] for i in range(one_by_one)] + [order[1 + one_by_one :]]
    grown = land.first(tmp_path / "grown.zarr", form, order[0])
    for part in parts:
        geoembz.update(grown, [land.tiles[number] for number in part], workers=1)
    assert shards(grown) == shards(whole)
    assert verify(grown).problems == ()
    assert objects(Path(grown)).keys() == objects(Path(whole)).keys()
    ours, theirs = (attributes_of(store) for store in (grown, whole))
    differing = {name for name in ours | theirs if ours.get(name) != theirs.get(name)}
    names = {name.removeprefix("geoembz:") for name in differing}
    assert names <= DIFFERING | {"geoemb:source_data", "multiscales"}
    assert ours["geoembz:pixels"] == theirs["geoembz:pixels"]
    assert ours["geoembz:updates"] == len(parts)
    known = {str(entry["uri"]): entry["bbox"] for entry in ours["geoembz:sources"]}
    assert known == {str(entry["uri"]): entry["bbox"] for entry in theirs["geoembz:sources"]}
    mine, reference = ours["geoembz:fidelity"], theirs["geoembz:fidelity"]
    assert mine["n"] == reference["n"]
    assert mine["cosine"] == pytest.approx(reference["cosine"], abs=1e-6)
    assert mine["rmse"] == pytest.approx(reference["rmse"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("form", ["int4", "overviews"])
def test_thirty_tiles_one_by_one(form: str, land: Landscape, tmp_path: Path) -> None:
    """Each with a command of its own."""
    whole = land.whole(tmp_path / "whole.zarr", form)
    order = np.random.default_rng(30).permutation(ROWS * COLS)
    grown = land.first(tmp_path / "grown.zarr", form, order[0])
    for number in order[1:]:
        geoembz.update(grown, land.tiles[number])
    assert shards(grown) == shards(whole)
    assert verify(grown).problems == ()


def test_pixels_that_are_there_stay(land: Landscape, tmp_path: Path) -> None:
    """Unless they are to be replaced, and even then where the source has none."""
    other = land.values[:, ::-1, ::-1].copy()
    other[:, :20, :20] = np.nan
    tile = land.write("other", other)
    first = land.first(tmp_path / "a.zarr", "int4")
    before = vectors(first)
    filled = geoembz.update(first, tile)
    after = vectors(first)
    there = np.isfinite(before[0])
    np.testing.assert_array_equal(after[:, there], before[:, there])
    assert filled.replaced_pixels == 0
    assert filled.filled_pixels == (np.isfinite(other[0]) & ~there).sum()
    again = geoembz.update(first, tile, replace=True)
    assert again.filled_pixels == 0
    assert again.replaced_pixels == np.isfinite(other[0]).sum()
    replaced = vectors(first)
    alone = geoembz.convert(tile, tmp_path / "b.zarr", **land.options("int4")).store
    has = np.isfinite(other[0])
    np.testing.assert_array_equal(replaced[:, has], vectors(alone)[:, has])
    np.testing.assert_array_equal(replaced[:, ~has], after[:, ~has])
    attributes = StoreReader.open(first).attributes
    assert attributes.updates == 2
    assert attributes.pixels["valid"] == np.isfinite(replaced[0]).sum()
    assert verify(first).problems == ()


def test_what_changes_nothing_leaves_every_byte(land: Landscape, tmp_path: Path) -> None:
    """The same tile again."""
    store = land.first(tmp_path / "a.zarr", "int8")
    before = objects(Path(store))
    summary = geoembz.update(store, land.tiles[0])
    assert (summary.filled_pixels, summary.shards) == (0, 0)
    assert any("nothing to fill" in note for note in summary.notes)
    assert objects(Path(store)) == before


@pytest.mark.slow
def test_a_date_of_several(land: Landscape, tmp_path: Path) -> None:
    """The one that is named, and no other; sums over all dates are kept up."""
    store = land.first(tmp_path / "a.zarr", "int4", time="2023", overviews=True)
    geoembz.append(store, land.tiles[1], time="2024", extent=land.extent)
    before = vectors(store)
    with pytest.raises(InvalidConfigError, match="which date"):
        geoembz.update(store, land.tiles[5])
    with pytest.raises(InvalidConfigError, match="geoembz append"):
        geoembz.update(store, land.tiles[5], time="2025")
    summary = geoembz.update(store, land.tiles[5], time="2024")
    np.testing.assert_array_equal(vectors(store), before)
    now = np.isfinite(vectors(store, 1)[0])
    assert now[:SIDE, 5 * SIDE :].any()
    assert now[:SIDE, SIDE : 2 * SIDE].any()
    assert summary.valid_pixels == now.sum()
    attributes = StoreReader.open(store).attributes
    assert [len(entry["sources"]) for entry in attributes.times] == [1, 2]
    assert len(attributes.sources) == 3
    assert attributes.pixels["valid"] == now.sum() + np.isfinite(before[0]).sum()
    assert verify(store).problems == ()
    whole = land.first(tmp_path / "b.zarr", "int4", time="2023", overviews=True)
    geoembz.append(whole, [land.tiles[1], land.tiles[5]], time="2024", extent=land.extent)
    assert shards(store) == shards(whole)


@pytest.mark.slow
def test_grids_of_several_zones(land: Landscape, tmp_path: Path) -> None:
    """A tile goes to the grid that it lies in; the root knows of it."""
    values = land.values[:, :SIDE, :SIDE]
    paths = []
    for zone in (32, 33):
        for number in range(2):
            a, _, c, _, e, f = products.UTM_TRANSFORM
            path = tmp_path / f"z{zone}_{number}.tif"
            transform = (a, 0.0, c + a * SIDE * number, 0.0, e, f)
            paths.append(
                products.write_raster(path, values, crs=f"EPSG:326{zone}", transform=transform)
            )
    holes = values.copy()
    holes[:] = np.nan
    holes[:, 0, 0] = values[:, 5, 5]
    for zone in (32, 33):
        transform = (a, 0.0, c + a * SIDE, 0.0, e, f)
        products.write_raster(
            tmp_path / f"hole{zone}.tif", holes, crs=f"EPSG:326{zone}", transform=transform
        )
    first = [paths[0], paths[2], tmp_path / "hole32.tif", tmp_path / "hole33.tif"]
    store = tmp_path / "out.zarr"
    geoembz.convert(first, store, recipe="int8", chunk=8, shard=8)
    summary = geoembz.update(store, paths[3])
    assert summary.filled_pixels > 0
    assert verify(store).problems == ()
    counts = [
        StoreReader.open(f"{store}/{name}").attributes.updates for name in ("utm32n", "utm33n")
    ]
    assert counts == [0, 1]
    products.write_raster(tmp_path / "z34.tif", values, crs="EPSG:32634")
    with pytest.raises(InvalidConfigError, match="holds utm32n, utm33n"):
        geoembz.update(store, tmp_path / "z34.tif")


def test_bands_in_another_order(tmp_path: Path) -> None:
    """They are put in the store's order by name; others are refused."""
    values = products.unit_vectors(16, 16, 4, seed=1)
    a, _, c, _, e, f = products.UTM_TRANSFORM
    east = (a, 0.0, c + 16 * a, 0.0, e, f)
    names = ["A00", "A01", "A02", "A03"]
    first = products.write_raster(tmp_path / "a.tif", values, names=names)
    turned = products.write_raster(
        tmp_path / "b.tif", values[::-1], names=names[::-1], transform=east
    )
    others = products.write_raster(
        tmp_path / "c.tif", values, names=["B0", "B1", "B2", "B3"], transform=east
    )
    store = tmp_path / "out.zarr"
    geoembz.convert(first, store, recipe="float32", extent=(c, f - 160, c + 320, f))
    with pytest.raises(SourceError, match="expected the same bands"):
        geoembz.update(store, others)
    geoembz.update(store, turned)
    read = vectors(store)
    np.testing.assert_array_equal(read[:, :, 16:], read[:, :, :16])


@pytest.fixture(scope="module")
def begun(land: Landscape, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Convert the first tile."""
    return land.first(tmp_path_factory.mktemp("begun") / "a.zarr", "int4")


def wrong(what: str, land: Landscape, folder: Path) -> tuple[Any, dict[str, Any]]:
    """Return an input that does not fit, and options."""
    a, _, c, _, e, f = products.UTM_TRANSFORM
    values, path = land.values[:, :SIDE, :SIDE], folder / "wrong.tif"
    if what == "dimension":
        return products.write_raster(path, values[:5]), {}
    if what == "zone":
        return products.write_raster(path, values, crs="EPSG:32633"), {}
    transforms: dict[str, products.Coefficients] = {
        "phase": (a, 0.0, c + 3, 0.0, e, f),
        "resolution": (20.0, 0.0, c, 0.0, -20.0, f),
        "beyond": (a, 0.0, c - a, 0.0, e, f),
        "elsewhere": (a, 0.0, c + 10_000 * a, 0.0, e, f),
    }
    if what in transforms:
        return products.write_raster(path, values, transform=transforms[what]), {}
    if what == "encoding":
        geoembz.convert(land.tiles[3], folder / "other.zarr", recipe="int8")
        return folder / "other.zarr", {}
    if what == "nothing":
        return products.write_raster(path, np.full_like(values, np.nan)), {}
    return land.tiles[3], {"time": "2024"}


@pytest.mark.parametrize(
    ("what", "kind", "message"),
    [
        ("dimension", EncodingError, "vectors of 5 components"),
        ("zone", SourceError, "its CRS is not that of"),
        ("phase", SourceError, "its pixels are not those of"),
        ("resolution", SourceError, "its pixels are not those of"),
        ("beyond", InvalidConfigError, "reaches beyond .*cut it with extent"),
        ("elsewhere", InvalidConfigError, "reaches beyond"),
        ("encoding", EncodingError, "recode=True"),
        ("nothing", SourceError, "no valid pixel"),
        ("time", InvalidConfigError, "no time axis; leave time=2024 out"),
    ],
)
def test_what_does_not_fit_is_refused(
    what: str, kind: type[GeoembzError], message: str, begun: str, land: Landscape, tmp_path: Path
) -> None:
    """In words, and the store is as it was."""
    before = objects(Path(begun))
    source, options = wrong(what, land, tmp_path)
    with pytest.raises(kind, match=message):
        geoembz.update(begun, source, **options)
    assert objects(Path(begun)) == before


@pytest.mark.slow
def test_a_store_with_another_encoding_if_asked(land: Landscape, tmp_path: Path) -> None:
    """Behind --extent, too, its codes are not taken for the original."""
    store = land.first(tmp_path / "a.zarr", "int8")
    geoembz.convert(land.tiles, tmp_path / "other.zarr", recipe="int8")
    for options in ({}, {"extent": land.extent}):
        with pytest.raises(EncodingError, match="recode=True"):
            geoembz.update(store, tmp_path / "other.zarr", **options)  # type: ignore[arg-type]
    assert geoembz.update(store, tmp_path / "other.zarr", recode=True).filled_pixels > 0


@pytest.mark.slow
def test_what_no_update_is_for(land: Landscape, tmp_path: Path) -> None:
    """Tables; replacing codes in parts; a place without a store."""
    rows = tables.plain(tmp_path / "rows.parquet", np.random.default_rng(0), rows=50).path
    geoembz.convert(rows, tmp_path / "rows.zarr", recipe="int8")
    with pytest.raises(StoreError, match="a store of a table"):
        geoembz.update(tmp_path / "rows.zarr", land.tiles[0])
    parts = land.first(tmp_path / "parts.zarr", "parts")
    with pytest.raises(StoreError, match="several objects"):
        geoembz.update(parts, land.tiles[0], replace=True)
    with pytest.raises(StoreError, match="no Zarr store"):
        geoembz.update(tmp_path / "nothing.zarr", land.tiles[0])
    with pytest.raises(TypeError, match="chunk"):
        geoembz.update(parts, land.tiles[0], chunk=8)  # type: ignore[call-arg]


@pytest.mark.slow
def test_layers_are_filled_with_the_vectors(land: Landscape, tmp_path: Path) -> None:
    """Numbers beside the vectors, where these are taken, or where there are none of either."""
    counts = np.arange(ROWS * SIDE * COLS * SIDE, dtype=np.int32).reshape(ROWS * SIDE, COLS * SIDE)
    a, _, c, _, e, f = products.UTM_TRANSFORM
    rasters, layers = {}, {}
    for name, cols in (("west", slice(0, 30)), ("east", slice(30, 72)), ("whole", slice(0, 72))):
        transform = (a, 0.0, c + a * cols.start, 0.0, e, f)
        rasters[name] = land.write(name, land.values[:, :, cols], 0, cols.start)
        path = tmp_path / f"{name}-count.tif"
        products.write_raster(path, counts[np.newaxis, :, cols], transform=transform, nodata=-1)
        layers[name] = {"count": path}
    options = {**land.options("int4"), "extent": land.extent}
    grown, once = tmp_path / "grown.zarr", tmp_path / "once.zarr"
    geoembz.convert(rasters["west"], grown, **options, layers=layers["west"])
    half = StoreReader.open(str(grown))
    assert (half.read_layer("count", half.attributes.grid.window)[:, 30:] == -1).all()
    geoembz.update(grown, rasters["east"], layers=layers["east"])
    geoembz.convert(rasters["whole"], once, **options, layers=layers["whole"])
    full = StoreReader.open(str(grown))
    np.testing.assert_array_equal(full.read_layer("count", full.attributes.grid.window), counts)
    ours, theirs = objects(grown), objects(once)
    for key in theirs:
        if key.startswith(("embedding/c/", "valid/c/", "count/c/")):
            assert ours[key] == theirs[key]
    assert verify(grown).problems == ()


@pytest.mark.slow
def test_processes_write_the_same(land: Landscape, tmp_path: Path) -> None:
    """Workers of a cluster read what is there, and merge."""
    grown, alone = (land.first(tmp_path / f"{name}.zarr", "overviews") for name in ("a", "b"))
    geoembz.update(grown, land.tiles[5:9], scheduler="local", workers=2)
    geoembz.update(alone, land.tiles[5:9])
    assert objects(Path(grown)) == objects(Path(alone))
