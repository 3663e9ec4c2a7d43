"""`map change`: distances are those of plain NumPy on decoded vectors of both dates."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import xarray as xr
from numpy.typing import NDArray

import geoembz
from geoembz._search.pairs import PAIR_METRICS, PairDistances
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.map.conftest import MakeStore, content_of, read_tiff, scene, vectors
from tests.map.test_similar import RECIPES


def later(values: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Return what a year does: a little noise everywhere, a square of another kind, a gap."""
    changed = values + 0.05 * rng.normal(size=values.shape).astype(np.float32)
    changed[:, 50:58, 20:30] = -changed[:, 50:58, 20:30]
    changed[:, 60, 30] = np.nan
    return changed


def two_dates(make_store: MakeStore, make_raster: MakeRaster, **options: Any) -> StoreReader:
    """Return a store of `scene` in 2023, and `later` in 2024."""
    rng = np.random.default_rng(3)
    values = scene(rng)
    reader = make_store("years", values, time="2023", **options)
    folder = Path(reader.url).parent
    source = make_raster(folder / "later.tif", later(values, rng))
    geoembz.append(reader.url, source, time="2024")
    return StoreReader.open(reader.url)


def distances(
    one: NDArray[np.float64], two: NDArray[np.float64], metric: str
) -> NDArray[np.float64]:
    """Return distances by the formulas."""
    if metric == "euclidean":
        return np.asarray(np.linalg.norm(one - two, axis=0))
    lengths = np.linalg.norm(one, axis=0) * np.linalg.norm(two, axis=0)
    return np.asarray(1 - (one * two).sum(axis=0) / lengths)


@pytest.mark.parametrize("recipe", RECIPES)
def test_distances_are_those_of_decoded_vectors(
    recipe: str, make_store: MakeStore, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """To 1e-4 of the largest, for every kind of code; the z-score is of the median and the MAD.

    And the same bits by one thread as by three.
    """
    reader = two_dates(make_store, make_raster, recipe=recipe)
    one, two = vectors(reader, 0), vectors(reader, 1)
    for metric in ("cosine", "euclidean"):
        out = tmp_path / f"{metric}.tif"
        summary = geoembz.map_change(
            reader.url,
            out,
            start="2023",
            end="2024",
            metric=metric,
            workers=3,
        )
        wanted = distances(one, two, metric)
        found, scores = read_tiff(out)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        tolerance = 1e-4 * max(1.0, float(np.nanmax(wanted)))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
        known = wanted[np.isfinite(wanted)]
        median = np.median(known)
        deviation = 1.4826 * np.median(np.abs(known - median))
        assert summary.details["median"] == pytest.approx(median, abs=tolerance)
        if deviation > 1e-6:  # all pixels are sampled here: the same figures
            assert summary.details["deviation"] == pytest.approx(deviation, rel=1e-3)
            np.testing.assert_allclose(
                scores[np.isfinite(scores)], (known - median) / deviation, rtol=2e-3, atol=2e-3
            )
        geoembz.map_change(
            reader.url,
            tmp_path / "one.tif",
            start="2023",
            end="2024",
            metric=metric,
            workers=1,
            overwrite=True,
        )
        np.testing.assert_array_equal(read_tiff(tmp_path / "one.tif"), [found, scores])


@pytest.mark.parametrize("recipe", ["pca8-int8", "pca8w0.5-rot-int8"])
def test_what_did_not_change_is_at_no_distance(recipe: str, rng: np.random.Generator) -> None:
    """Not nearly 0, as one less a rounded cosine is."""
    samples = rng.normal(size=(3000, 12)).astype(np.float32)
    encoding = geoembz.Encoding.fit(samples, recipe)
    codes = encoding.encode(samples).T
    for metric in PAIR_METRICS:
        assert (PairDistances.of(encoding, metric)(codes, codes) == 0).all()


@pytest.mark.parametrize("recipe", ["pca8-int8", "pca8w0.5-rot-int8", "pca8-rq2x8"])
def test_components_may_be_weighed(recipe: str, rng: np.random.Generator) -> None:
    """Distances are those of the vectors that `open(space="reduced", whiten=…)` reads."""
    samples = (rng.normal(size=(3000, 12)) * np.arange(1, 13) + 2).astype(np.float32)
    encoding = geoembz.Encoding.fit(samples, recipe)
    one, two = encoding.encode(samples).T, encoding.encode(samples[::-1]).T
    decoder = encoding.decoder("reduced", whiten=0.5)
    before, after = (decoder.decode(codes).astype(np.float64) for codes in (one, two))
    for metric in PAIR_METRICS:
        found = PairDistances.of(encoding, f"{metric}-w0.5")(one, two)
        np.testing.assert_allclose(found, distances(before, after, metric), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("recommended", "named", "used"),
    [
        (None, None, "cosine"),
        ("cosine-w0.5", None, "cosine-w0.5"),
        ("cosine-w0.5", "euclidean", "euclidean"),
        ("dot", None, "cosine"),
    ],
)
def test_the_store_recommends_how_to_compare(
    recommended: str | None, named: str | None, used: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """Unless a metric is named, or what is recommended is no distance of two vectors."""
    store = make_store(pca=8, **({} if recommended is None else {"metric": recommended}))
    summary = geoembz.map_change(store, tmp_path / "a.tif", other=store, metric=named)
    assert summary.bands.names[0] == f"{used} distance"


@pytest.fixture
def years(make_store: MakeStore, make_raster: MakeRaster) -> StoreReader:
    """Return a store of two dates."""
    return two_dates(make_store, make_raster, recipe="pca8-int8")


def test_what_changed_stands_out(years: StoreReader, tmp_path: Path) -> None:
    """Pixels of another kind are beyond 3.5, the usual border; few others are."""
    geoembz.map_change(years.url, tmp_path / "a.tif", start="2023", end="2024")
    _, scores = read_tiff(tmp_path / "a.tif")
    changed = np.zeros(scores.shape, np.bool_)
    changed[50:58, 20:30] = True
    assert (scores[changed] > 3.5).all()
    assert np.nanmean(scores[~changed] > 3.5) < 0.1


def test_a_part_is_the_part_of_the_whole(years: StoreReader, tmp_path: Path) -> None:
    """A box that no shard is aligned with; the z-score is that of the part's own spread."""
    dates: dict[str, Any] = {"start": "2023", "end": "2024", "metric": "euclidean"}
    geoembz.map_change(years.url, tmp_path / "whole.tif", **dates)
    left, top = 500_000.0, 5_300_000.0
    box = (left + 93, top - 551, left + 407, top - 137)
    summary = geoembz.map_change(years.url, tmp_path / "part.tif", bbox=box, **dates)
    part, whole = read_tiff(tmp_path / "part.tif"), read_tiff(tmp_path / "whole.tif")
    np.testing.assert_allclose(part[0], whole[0, 13:56, 9:41], rtol=1e-6)
    assert summary.details["sampled_pixels"] == summary.valid_pixels == np.isfinite(part[0]).sum()
    assert summary.details["median"] == pytest.approx(np.nanmedian(part[0]), rel=1e-6)


def test_differences_are_those_of_components(years: StoreReader, tmp_path: Path) -> None:
    """int8 times the scale, within half a step where the scale reaches; both formats say it."""
    out = tmp_path / "d.tif"
    summary = geoembz.map_change(years.url, out, start="2023", end="2024", difference=8)
    window = years.attributes.grid.window
    one, two = (years.read(window, "reduced", 8, date=date) for date in (0, 1))
    found, scale = read_tiff(out), summary.details["scale"]
    with rasterio.open(out) as raster:
        assert raster.nodata == -128
        assert raster.scales == (scale,) * 8
        assert raster.dtypes == ("int8",) * 8
    wanted = two - one
    np.testing.assert_array_equal(found == -128, np.isnan(wanted))
    clipped = np.clip(wanted, -127 * scale, 127 * scale)
    known = np.isfinite(wanted)
    assert np.abs(found * scale - clipped)[known].max() <= 0.5001 * scale
    assert (np.abs(wanted) > 127.5 * scale)[known].mean() < 0.002
    geoembz.map_change(
        years.url, tmp_path / "d.zarr", start="2023", end="2024", difference=8, workers=3
    )
    opened = xr.open_zarr(tmp_path / "d.zarr")["map"].values
    np.testing.assert_allclose(opened, np.where(known, found * scale, np.nan), rtol=1e-5)


def test_a_map_of_two_stores_carries_both_licenses(make_store: MakeStore, tmp_path: Path) -> None:
    """Who uses it must keep to both; of one license, to that."""
    values = scene(np.random.default_rng(3))
    one = make_store("one", values, pca=4, license="CC-BY-4.0")
    two = make_store("two", values, basis=one.url, license="CC-BY-SA-4.0")
    for other, license_ in ((two, "CC-BY-4.0 AND CC-BY-SA-4.0"), (one, "CC-BY-4.0")):
        geoembz.map_change(one, tmp_path / "c.tif", other=other, overwrite=True)
        with rasterio.open(tmp_path / "c.tif") as raster:
            assert raster.tags()["geoembz_license"] == license_


def test_small_stores_are_sampled_whole(make_store: MakeStore, tmp_path: Path) -> None:
    """One chunk gives as many pixels as many chunks would."""
    store = make_store(pca=8, chunk=80, shard=80)
    summary = geoembz.map_change(store, tmp_path / "a.tif", other=store)
    assert summary.details["sampled_pixels"] == summary.valid_pixels


def test_two_stores_of_one_encoding(
    years: StoreReader, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """As two dates of one store; the same bytes whatever the workers."""
    rng = np.random.default_rng(3)
    values = scene(rng)
    for name, given in {"one": values, "two": later(values, rng)}.items():
        source = make_raster(tmp_path / f"{name}.tif", given)
        geoembz.convert(source, tmp_path / f"{name}.zarr", basis=years.url, chunk=16, shard=32)
    pair = tmp_path / "one.zarr", tmp_path / "pair.tif"
    geoembz.map_change(*pair, other=tmp_path / "two.zarr", workers=1)
    geoembz.map_change(years.url, tmp_path / "dates.tif", start="2023", end="2024", workers=4)
    np.testing.assert_array_equal(read_tiff(pair[1]), read_tiff(tmp_path / "dates.tif"))
    geoembz.map_change(pair[0], tmp_path / "again.tif", other=tmp_path / "two.zarr", workers=4)
    assert content_of(pair[1]) == content_of(tmp_path / "again.tif")


def refusals() -> Iterator[tuple[dict[str, Any], str]]:
    """Yield options that cannot work, and what is said of them."""
    yield {}, "expected two dates"
    yield {"start": "2023"}, "expected two dates"
    yield {"start": "2023", "end": "2023"}, "to the same date"
    yield {"start": "2023", "end": "1999"}, "time '1999'"
    yield {"start": "2023", "end": "2024", "metric": "dot"}, "metric 'dot': no distance between two"
    yield {"start": "2023", "end": "2024", "difference": 9}, "components=9"


@pytest.mark.parametrize(("options", "said"), list(refusals()))
def test_what_cannot_be_compared_is_refused(
    options: dict[str, Any], said: str, years: StoreReader, tmp_path: Path
) -> None:
    """In words, and nothing is left."""
    with pytest.raises(InvalidConfigError, match=said):
        geoembz.map_change(years.url, tmp_path / "map.tif", **options)
    assert not [path for path in tmp_path.iterdir() if "map" in path.name]


def test_strangers_are_refused(
    make_store: MakeStore, make_raster: MakeRaster, tmp_path: Path
) -> None:
    """Stores of two encodings, of two models, or of two grids, were they one pixel apart."""
    values = scene(np.random.default_rng(3))
    one, two = make_store("one", values, pca=8), make_store("two", values, pca=4)
    east = make_raster(
        tmp_path / "e.tif", values, transform=(10.0, 0.0, 500_010.0, 0.0, -10.0, 5.3e6)
    )
    geoembz.convert(east, tmp_path / "e.zarr", basis=one.url, chunk=16, shard=32)
    a, b = (make_store(name, values, basis=one.url, model=f"urn:test:{name}") for name in "ab")
    for first, second, said in (
        (one.url, two.url, "expected two stores of one encoding"),
        (one.url, tmp_path / "e.zarr", "expected the grid of"),
        (a.url, b.url, "model urn:test:b, but .* holds urn:test:a"),
    ):
        with pytest.raises(InvalidConfigError, match=said):
            geoembz.map_change(first, tmp_path / "map.tif", other=second)


@pytest.mark.parametrize(
    ("start", "end", "option"), [("1999", "2024", "start"), ("2023", "1999", "end")]
)
def test_a_date_that_is_not_there_names_the_option_that_it_came_by(
    start: str, end: str, option: str, years: StoreReader, tmp_path: Path
) -> None:
    """Maps of change have no --time."""
    out = tmp_path / "c.tif"
    with pytest.raises(InvalidConfigError, match=rf"1999.*2023-01-01.*name one.*\({option}="):
        geoembz.map_change(years.url, out, start=start, end=end)
    with pytest.raises(TypeError, match=r"map_change\(\) got an unexpected keyword.*'time'"):
        geoembz.map_change(years.url, out, start="2023", end="2024", time="2023")  # type: ignore[call-arg]
