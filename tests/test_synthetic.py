"""The demonstration scene: real enough to be a test of compression, the same from the same seed."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, label
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier

from geoembz._demo.landscape import COVERS, FIELDS, Landscape
from geoembz._demo.scene import CLASSES, CRS, DemoFiles, write_demo
from geoembz.errors import DestinationExistsError, InvalidConfigError

SIZE, DIMENSION = 192, 128


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return write_demo(tmp_path_factory.mktemp("demo"), size=SIZE, dimension=DIMENSION)


@pytest.fixture(scope="module")
def landscape() -> Landscape:
    return Landscape.draw(256, 0)


@pytest.fixture(scope="module")
def vectors(files: DemoFiles) -> NDArray[np.float32]:
    """Every pixel's vector, shape (pixel, dimension)."""
    with rasterio.open(files.embedding) as raster:
        values: NDArray[np.float32] = raster.read()
    return values.reshape(DIMENSION, -1).T


@pytest.fixture(scope="module")
def labels(files: DemoFiles) -> NDArray[np.uint8]:
    with rasterio.open(files.labels) as raster:
        classes: NDArray[np.uint8] = raster.read(1)
    return classes.ravel()


def test_both_rasters_lie_on_one_georeferenced_grid(files: DemoFiles) -> None:
    """CRS, transform and shape agree, and the embedding is tiled and declares its nodata."""
    with rasterio.open(files.embedding) as embedding, rasterio.open(files.labels) as labels:
        assert embedding.crs == labels.crs == CRS
        assert embedding.transform == labels.transform
        assert embedding.res == (10.0, 10.0)
        assert embedding.shape == labels.shape == (SIZE, SIZE)
        assert embedding.dtypes == ("float32",) * DIMENSION
        assert np.isnan(embedding.nodata)
        assert embedding.block_shapes[0] == (256, 256)
        assert labels.nodata == 0


def test_some_pixels_have_no_data(vectors: NDArray[np.float32]) -> None:
    """A few per cent are invalid, in all components at once; everything else is finite."""
    missing = np.isnan(vectors)
    np.testing.assert_array_equal(missing.any(axis=1), missing.all(axis=1))
    assert 0.01 < missing.all(axis=1).mean() < 0.1
    assert not np.isinf(vectors).any()


def test_the_spectrum_decays_but_does_not_end(vectors: NDArray[np.float32]) -> None:
    """As in embeddings by Galileo: 0.90, 0.96 and 0.9975 by 8, 16 and 64 components."""
    valid = vectors[np.isfinite(vectors).all(axis=1)]
    explained = PCA(DIMENSION).fit(valid).explained_variance_ratio_.cumsum()
    assert 0.88 < explained[7] < 0.95
    assert 0.95 < explained[15] < 0.985
    assert 0.995 < explained[63] < 0.999


def test_the_mean_is_far_from_zero(vectors: NDArray[np.float32]) -> None:
    """The mean vector alone resembles every pixel: raw cosine flatters here as it does in life."""
    valid = vectors[np.isfinite(vectors).all(axis=1)]
    mean = valid.mean(axis=0)
    cosine = valid @ mean / np.linalg.norm(valid, axis=1) / np.linalg.norm(mean)
    assert 0.5 < cosine.mean() < 0.9


def test_land_cover_can_be_told_but_not_perfectly(
    vectors: NDArray[np.float32], labels: NDArray[np.uint8]
) -> None:
    """All classes occur, some pixels have none, and kNN on float32 is good and not perfect."""
    assert set(np.unique(labels)) == set(range(len(CLASSES) + 1))
    usable = np.flatnonzero((labels > 0) & np.isfinite(vectors).all(axis=1))
    order = np.random.default_rng(0).permutation(usable)
    train, test = order[:5000], order[5000:7000]
    score = KNeighborsClassifier(5).fit(vectors[train], labels[train])
    assert 0.88 < score.score(vectors[test], labels[test]) < 0.985


def test_neighbours_resemble_each_other(
    vectors: NDArray[np.float32], labels: NDArray[np.uint8]
) -> None:
    """Land cover comes in patches: a pixel's right-hand neighbour is mostly of its own class."""
    cover = labels.reshape(SIZE, SIZE)
    both = (cover[:, 1:] > 0) & (cover[:, :-1] > 0)
    assert (cover[:, 1:] == cover[:, :-1])[both].mean() > 0.8


def test_the_seed_decides(tmp_path: Path) -> None:
    """The same seed gives the same bytes, another one another scene."""
    first, again, other = (
        write_demo(tmp_path / name, size=300, dimension=5, seed=seed)
        for name, seed in (("first", 4), ("again", 4), ("other", 5))
    )
    assert first.embedding.read_bytes() == again.embedding.read_bytes()
    assert first.labels.read_bytes() == again.labels.read_bytes()
    assert first.embedding.read_bytes() != other.embedding.read_bytes()


@pytest.mark.parametrize(("size", "dimension"), [(1, 1), (3, 2), (257, 3)])
def test_any_size_works(tmp_path: Path, size: int, dimension: int) -> None:
    """Smaller than a tile, one pixel more than a tile, fewer dimensions than smooth fields."""
    files = write_demo(tmp_path, size=size, dimension=dimension)
    with rasterio.open(files.embedding) as raster:
        assert (raster.count, *raster.shape) == (dimension, size, size)


@pytest.mark.parametrize(("size", "dimension"), [(0, 4), (4, 0)])
def test_an_empty_scene_is_refused(tmp_path: Path, size: int, dimension: int) -> None:
    """Nothing is written where nothing could be in it."""
    with pytest.raises(InvalidConfigError, match="at least 1"):
        write_demo(tmp_path / "demo", size=size, dimension=dimension)
    assert not (tmp_path / "demo").exists()


def test_files_of_somebody_else_are_left_alone(tmp_path: Path) -> None:
    """An existing file survives, unless the caller says that it may go; no partial file stays."""
    mine = tmp_path / "labels.tif"
    mine.write_text("mine")
    with pytest.raises(DestinationExistsError, match=r"labels\.tif: exists already"):
        write_demo(tmp_path, size=8, dimension=2)
    assert mine.read_text() == "mine"
    assert list(tmp_path.iterdir()) == [mine]
    files = write_demo(tmp_path, size=8, dimension=2, overwrite=True)
    assert sorted(tmp_path.iterdir()) == [files.embedding, files.labels]


def test_the_noise_of_neighbours_is_shared(vectors: NDArray[np.float32]) -> None:
    """As in real embeddings, not even the last component is independent from pixel to pixel."""
    valid = np.isfinite(vectors).all(axis=1)
    last = PCA(DIMENSION).fit(vectors[valid]).components_[-1]
    scores = ((vectors - vectors[valid].mean(axis=0)) @ last).reshape(SIZE, SIZE)
    both = np.isfinite(scores[:, 1:] + scores[:, :-1])
    left, right = scores[:, :-1][both], scores[:, 1:][both]
    assert 0.4 < np.corrcoef(left, right)[0, 1] < 0.7


def test_another_seed_is_another_place_seen_by_the_same_model(
    vectors: NDArray[np.float32], tmp_path: Path
) -> None:
    """Components fitted on one scene explain another nearly as well as its own."""
    files = write_demo(tmp_path, size=SIZE, dimension=DIMENSION, seed=1)
    with rasterio.open(files.embedding) as raster:
        there = raster.read().reshape(DIMENSION, -1).T
    here, there = (a[np.isfinite(a).all(axis=1)] for a in (vectors, there))
    basis = PCA(16).fit(here)
    lost = there - basis.inverse_transform(basis.transform(there))
    assert 0.95 < 1 - lost.var(axis=0).sum() / there.var(axis=0).sum() < 0.985


@pytest.mark.parametrize("seed", range(4))
def test_a_river_crosses_every_landscape(seed: int) -> None:
    """Water leads from the west edge to the east edge, at most bridges across it."""
    water = Landscape.draw(256, seed).cover == COVERS.index("water")
    parts, count = label(
        binary_closing(np.pad(water, 8, mode="edge"), iterations=3), np.ones((3, 3))
    )
    assert count > 0
    assert set(parts[:, 8]) & set(parts[:, -9]) - {0}


def test_woods_stand_higher_than_water_and_crops(landscape: Landscape) -> None:
    """Land cover follows the terrain."""
    height = landscape.fields[FIELDS.index("height")]
    mean = {name: height[landscape.cover == n].mean() for n, name in enumerate(COVERS)}
    assert mean["water"] < mean["cereal"] < mean["coniferous wood"]


def test_fields_are_parcels(landscape: Landscape) -> None:
    """A crop grows evenly over a field, whose neighbours are others: season is constant in it."""
    season = landscape.fields[FIELDS.index("season")]
    crops = landscape.cover >= COVERS.index("cereal")
    both = crops[:, 1:] & crops[:, :-1]
    same = season[:, 1:] == season[:, :-1]
    assert 0.8 < same[both].mean() < 0.98
    assert len(np.unique(season[crops])) > 100


def test_labels_have_names_and_colours(files: DemoFiles) -> None:
    """A viewer shows what a label means without a manual."""
    with rasterio.open(files.labels) as raster:
        tags, palette = raster.tags(1), raster.colormap(1)
    assert {int(key): name for key, name in tags.items() if key.isdigit()} == dict(
        enumerate(CLASSES, start=1)
    )
    assert palette[1][:3] == CLASSES["water"][1]


def test_a_year_changes_what_a_year_can(landscape: Landscape) -> None:
    """Crops rotate, a few stands are felled, houses are built; water and hills stay."""
    later = Landscape.draw(256, 0, later=True)
    before, after = (np.array(COVERS)[scene.cover] for scene in (landscape, later))
    changed = before != after
    assert 0.3 < changed.mean() < 0.6
    wooded = np.char.endswith(before, "wood")
    assert (after[wooded & changed] == "bare soil").mean() > 0
    assert changed[wooded].mean() < 0.15
    assert (after == "houses").sum() > 1.1 * (before == "houses").sum()
    np.testing.assert_array_equal(before == "water", after == "water")
    np.testing.assert_array_equal(landscape.fields[0], later.fields[0])
    assert set(after[before == "cereal"]) >= {"maize", "rapeseed", "cereal"}


def test_two_dates_are_two_rasters_and_their_difference(tmp_path: Path) -> None:
    """The first date is the same without the second; vectors differ more where the cover does."""
    alone = write_demo(tmp_path / "alone", size=SIZE, dimension=16)
    files = write_demo(tmp_path / "two", size=SIZE, dimension=16, later=True)
    assert alone.later is alone.changed is None
    assert files.embedding.read_bytes() == alone.embedding.read_bytes()
    assert files.labels.read_bytes() == alone.labels.read_bytes()
    assert files.later is not None
    assert files.changed is not None
    images = []
    for path in (files.embedding, files.later, files.changed):
        with rasterio.open(path) as raster:
            images.append(raster.read())
    first, second, (changed,) = images
    distance = np.linalg.norm(first - second, axis=0)
    assert set(np.unique(changed)) == {0, 1, 255}
    assert np.nanmedian(distance[changed == 1]) > 2 * np.nanmedian(distance[changed == 0])
    clouds = np.isnan(first[0]) != np.isnan(second[0])
    assert 0.01 < clouds.mean() < 0.1
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "later.tif").write_bytes(b"mine")
    with pytest.raises(DestinationExistsError, match=r"later\.tif: exists already"):
        write_demo(tmp_path / "three", size=8, dimension=2, later=True)
