"""`map cluster`: the nearest centre of every pixel, numbered and coloured by likeness."""

from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz._map.legend import distinct_colours, ordered_colours
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader
from tests.map.conftest import MakeStore, content_of, read_tiff, vectors
from tests.rows import rows

RECIPES = ("pca8-int8", "rot-binary", "pca8-rot-pq4x8", "pca8w0.5-rot-pq4x8", "float32", "int8")


@pytest.mark.parametrize("recipe", rows(RECIPES, ["pca8-int8", "pca8w0.5-rot-pq4x8"]))
def test_pixels_have_their_nearest_centre(
    recipe: str, make_store: MakeStore, tmp_path: Path
) -> None:
    """By Euclidean distance between decoded vectors; where two are as near, either will do."""
    reader = make_store(recipe=recipe)
    result = geoembz.map_cluster(reader.url, tmp_path / "k.tif", k=5)
    values = vectors(reader)
    valid = np.isfinite(values[0])
    x, centres = values[:, valid].T, result.clusters.centres
    distances = np.square(x[:, np.newaxis] - centres).sum(axis=2)
    ranked = np.sort(distances, axis=1)
    clear = ranked[:, 1] - ranked[:, 0] > 1e-4 * ranked.max()
    (found,) = read_tiff(tmp_path / "k.tif")
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(found[valid][clear], distances.argmin(axis=1)[clear] + 1)
    assert (found[~valid] == 0).all()
    assert result.sizes.sum() == valid.sum()
    np.testing.assert_array_equal(result.sizes, np.bincount(found[valid], minlength=6)[1:])
    means = np.stack([x[found[valid] == number].mean(axis=0) for number in range(1, 6)])
    spread = np.sqrt(x.var(axis=0).sum())
    assert np.linalg.norm(means - centres, axis=1).max() < 0.25 * spread
    within = ranked[:, 0].sum() / np.square(x - x.mean(axis=0)).sum()
    assert result.clusters.within_share == pytest.approx(within, rel=0.02)


def test_one_seed_gives_one_map(store: StoreReader, tmp_path: Path) -> None:
    """Whatever the number of workers; another seed gives another one."""
    found = []
    for number, (seed, workers) in enumerate([(0, 1), (0, 3), (1, 1)]):
        out = tmp_path / f"{number}.zarr"
        geoembz.map_cluster(store.url, out, k=4, seed=seed, samples=800, workers=workers)
        found.append(content_of(out))
    assert found[0] == found[1]
    assert found[0] != found[2]


def test_only_the_part_that_is_mapped_counts(store: StoreReader, tmp_path: Path) -> None:
    """Centres are found, and pixels counted, within the box."""
    xmin, _, xmax, ymax = store.attributes.grid.bbox
    result = geoembz.map_cluster(
        store.url, tmp_path / "k.tif", k=3, bbox=(xmin, ymax - 300, xmax, ymax - 100)
    )
    assert result.map.shape == (20, 50)
    assert result.clusters.n_samples == result.sizes.sum() == 1000


def test_result_has_sizes_and_centres(store: StoreReader, tmp_path: Path) -> None:
    """As JSON and as a table, one line for each cluster."""
    result = geoembz.map_cluster(store.url, tmp_path / "k.tif", k=3)
    document = result.to_json()
    assert np.shape(document["centres"]) == (3, 12)
    assert [each["pixels"] for each in document["classes"]] == result.sizes.tolist()
    lines = result.to_table().split("\n")
    assert [line.split()[0] for line in lines[-3:]] == ["1", "2", "3"]
    assert f"{result.sizes[0]:,}" in lines[-3]
    colour = "#{:02x}{:02x}{:02x}".format(*result.clusters.colours[0])
    assert colour in lines[-3]


@pytest.mark.parametrize(("k", "samples"), [(1, 100), (256, 1000), (20, 10)])
def test_too_few_and_too_many_are_refused(
    k: int, samples: int, store: StoreReader, tmp_path: Path
) -> None:
    """A table of colours has room for 255, and one cluster is no clustering."""
    with pytest.raises(InvalidConfigError, match="expected"):
        geoembz.map_cluster(store.url, tmp_path / "k.tif", k=k, samples=samples)


def test_fewer_vectors_than_clusters_are_refused(make_store: MakeStore, tmp_path: Path) -> None:
    """Say so, instead of writing clusters that are empty."""
    values = np.zeros((12, 70, 50), np.float32)
    values[:, 35:] = 1
    reader = make_store("two", values, recipe="float32")
    with pytest.raises(InvalidConfigError, match="holds 2 different vectors; expected at least k="):
        geoembz.map_cluster(reader.url, tmp_path / "k.tif", k=3)
    assert not (tmp_path / "k.tif").exists()


def test_alike_centres_look_alike() -> None:
    """Distances between colours follow those between centres, and order follows the first axis."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(12, 6)) * [5, 2, 1, 0.1, 0.1, 0.1]
    order, colours = ordered_colours(centres)
    wide, shown = centres[order], np.array(colours, float)
    pairs = np.triu_indices(12, 1)
    apart = np.linalg.norm(wide[pairs[0]] - wide[pairs[1]], axis=1)
    seen = np.linalg.norm(shown[pairs[0]] - shown[pairs[1]], axis=1)
    assert np.corrcoef(apart, seen)[0, 1] > 0.7
    assert abs(np.corrcoef(wide[:, 0], np.arange(12))[0, 1]) > 0.9
    light = shown @ [0.299, 0.587, 0.114]
    assert np.corrcoef(light, np.arange(12))[0, 1] > 0.9
    assert len(set(colours)) == 12


@pytest.mark.parametrize("centres", [[[1.0], [1.0]], [[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]])
def test_centres_on_a_line_have_colours(centres: list[list[float]]) -> None:
    """Of fewer axes than three, lightness is left."""
    order, colours = ordered_colours(centres)
    assert sorted(order.tolist()) == [*range(len(centres))]
    assert len(set(colours)) == len(centres)


def test_distinct_colours_are_distinct() -> None:
    """As many as a table of colours holds classes of one map."""
    assert len(set(distinct_colours(40))) == 40
