"""`map similar`: the scores are those of plain NumPy on decoded vectors."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from benchmarks.serving import serving
from geoembz.errors import GeoembzError
from geoembz.store import StoreReader
from tests.map.conftest import MakeStore, place_of, read_tiff, scene, vectors

RECIPES = (
    "pca8-int8", "pca8-int4", "pca8-binary", "rot-binary", "pca8-pq4x8", "pca8-rq2x8", "power2x60",
    "pca8w0.5-itq-binary", "l2-pca8-int8",
    "pca8w0.5-rot-int8", "pca8w0.5-pq4x8", "float32",
)  # fmt: skip
LIKE, UNLIKE = [(20, 20), (60, 45)], [(30, 5)]


def expected(
    values: NDArray[np.float64], query: NDArray[np.float64], metric: str
) -> NDArray[np.float64]:
    """Return scores by the formulas."""
    dots: NDArray[np.float64] = np.einsum("dyx,d->yx", values, query)
    if metric == "dot":
        return dots
    if metric == "euclidean":
        differences = values - query[:, np.newaxis, np.newaxis]
        return np.asarray(np.linalg.norm(differences, axis=0))
    return dots / np.linalg.norm(values, axis=0) / np.linalg.norm(query)


def mean_of(values: NDArray[np.float64], places: Any, metric: str) -> NDArray[np.float64]:
    """Return the mean of the vectors at pixels; for cosines, of their directions."""
    rows, cols = np.transpose(places)
    found = values[:, rows, cols]
    if metric == "cosine":
        found = found / np.linalg.norm(found, axis=0)
    return np.asarray(found.mean(axis=1))


@pytest.mark.parametrize("recipe", RECIPES)
def test_scores_are_those_of_decoded_vectors(
    recipe: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """Every metric of every kind of code, with counter-examples, to 1e-4 of the largest score.

    And the same bits by one thread as by three.
    """
    reader = make_store(recipe=recipe)
    values = vectors(reader)
    metrics = ("cosine", "dot", "euclidean")
    for metric in metrics:
        out = tmp_path / f"{metric}.tif"
        summary = geoembz.map_similar(
            reader.url,
            out,
            like=[place_of(reader, *at) for at in LIKE],
            unlike=[place_of(reader, *at) for at in UNLIKE],
            crs="EPSG:32632",
            metric=metric,
            workers=3,
        )
        query = mean_of(values, LIKE, metric) - mean_of(values, UNLIKE, metric)
        if reader.encoding.normalize:
            query = query / np.linalg.norm(query)
        wanted = expected(values, query, metric)
        (found,) = read_tiff(out)
        np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
        tolerance = 1e-4 * max(1.0, float(np.nanmax(np.abs(wanted))))
        np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance)
        assert summary.valid_pixels == np.isfinite(wanted).sum()
        assert summary.figures.bands[0].most == pytest.approx(np.nanmax(wanted), abs=tolerance)
    query = vectors(reader)[:, 20, 20].astype(np.float32)
    for workers in (1, 3):
        geoembz.map_similar(reader, tmp_path / f"{workers}.tif", vector=query, workers=workers)
    np.testing.assert_array_equal(read_tiff(tmp_path / "1.tif"), read_tiff(tmp_path / "3.tif"))


def test_bits_are_counted(make_store: MakeStore, tmp_path: Path) -> None:
    """`hamming` is the number of bits in which the codes of query and pixel differ."""
    reader = make_store(recipe="rot-binary")
    query = vectors(reader)[:, 20, 20].astype(np.float32)
    geoembz.map_similar(reader, tmp_path / "a.tif", vector=query, metric="hamming")
    (found,) = read_tiff(tmp_path / "a.tif")
    codes = reader.read_codes(reader.attributes.grid.window).view(np.uint8)
    own = reader.encoding.encode(query[np.newaxis]).view(np.uint8)[0]
    wanted = np.bitwise_count(codes ^ own[:, np.newaxis, np.newaxis]).sum(axis=0)
    known = np.isfinite(found)
    assert 0 < known.sum() < known.size
    np.testing.assert_array_equal(found[known], wanted[known])


def test_components_may_be_weighed(store: StoreReader, tmp_path: Path) -> None:
    """Cosines of the vectors that `open(space="reduced", whiten=0.5)` reads."""
    query = vectors(store)[:, 20, 20].astype(np.float32)
    geoembz.map_similar(store, tmp_path / "a.tif", vector=query, metric="cosine-w0.5")
    (found,) = read_tiff(tmp_path / "a.tif")
    window = store.attributes.grid.window
    values = store.read(window, "reduced", whiten=0.5).astype(np.float64)
    weighed = store.encoding.reduce(query, 0.5).astype(np.float64).reshape(-1)
    np.testing.assert_allclose(found, expected(values, weighed, "cosine"), rtol=0, atol=1e-4)


OUTSIDE, EMPTY = (0.0, 0.0), (500_035.0, 5_299_975.0)
REFUSALS: tuple[tuple[dict[str, Any], str], ...] = (
    ({"like": [OUTSIDE]}, "none of 1 points lies inside .*store.zarr, which covers"),
    ({"like": [(500_205.0, 5_299_795.0), OUTSIDE]}, r"points \[1\].*: no embedding there"),
    ({"like": [EMPTY]}, r"points \[0\].*: no embedding there; choose places with data"),
    ({"unlike": [(500_205.0, 5_299_795.0)]}, "no example of what is wanted"),
    ({"vector": np.ones(12), "bbox": (0, 0, 1, 1)}, "outside .*store.zarr, which covers"),
    ({"vector": np.ones(11)}, r"query of shape \(11,\)"),
    ({"vector": np.full(12, np.nan)}, "not finite"),
    ({"vector": np.zeros(12)}, "the query is 0, which has no direction"),
    (
        {"like": [(500_205.0, 5_299_795.0)], "unlike": [(500_205.0, 5_299_795.0)]},
        "expected examples that differ from the counter-examples",
    ),
)


@pytest.mark.parametrize(("options", "said"), REFUSALS)
def test_what_cannot_be_mapped_is_refused(
    options: dict[str, Any], said: str, store: StoreReader, tmp_path: Path
) -> None:
    """A query outside the store, or none: in words, and nothing is left."""
    for name in ("map.tif", "map.zarr"):
        with pytest.raises(GeoembzError, match=said):
            geoembz.map_similar(store.url, tmp_path / name, crs="EPSG:32632", **options)
    assert not [path for path in tmp_path.iterdir() if "map" in path.name]


@pytest.mark.parametrize("is_cut", [False, True])
def test_a_shard_on_a_server_is_read_at_once(
    make_store: MakeStore, tmp_path: Path, rng: np.random.Generator, is_cut: bool
) -> None:
    """Its index and its chunks, which lie one after the other: the map is the local one."""
    values = scene(rng)
    reader = make_store(values=values, pca=8, shard=64)
    options: dict[str, Any] = {"crs": "EPSG:32632", "workers": 1}
    options["like"] = [place_of(reader, 20, 20)]
    geoembz.map_similar(reader.url, tmp_path / "near.zarr", **options)
    if is_cut:
        options["bbox"], options["bbox_crs"] = box_of(reader, 5, 7, 66, 45), "EPSG:32632"
        geoembz.map_similar(reader.url, tmp_path / "near.zarr", overwrite=True, **options)
    with serving(tmp_path) as served:
        url = f"{served.url}/{Path(reader.url).name}"
        geoembz.map_similar(url, tmp_path / "far.zarr", **options)
        asked = Counter(path for path, _, _ in served.log if "/embedding/c/" in path)
    shards = {path: count for path, count in asked.items() if "digests" not in path}
    assert len(shards) == 2
    if not is_cut:
        assert sorted(shards.values()) == [2, 4]  # index and chunks; and those of the example
    near, far = (
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for path in shard_files(tmp_path / name)
        }
        for name in ("near.zarr", "far.zarr")
    )
    assert near == far
    assert near


def box_of(
    reader: StoreReader, top: int, left: int, bottom: int, right: int
) -> tuple[float, float, float, float]:
    """Return the box between the centres of two pixels."""
    (x0, y0), (x1, y1) = place_of(reader, top, left), place_of(reader, bottom, right)
    return (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def shard_files(store: Path) -> list[Path]:
    return sorted(path for path in store.rglob("*") if path.is_file() and path.parts[-2].isdigit())
