"""Samples of rasters: labels of every kind, blocks read, inputs that do not belong together."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from numpy.typing import NDArray
from rasterio.transform import from_origin
from rasterio.warp import transform_geom

from geoembz import evaluate
from geoembz._demo import DemoFiles
from geoembz._evaluate.inputs import read_sample
from geoembz._evaluate.labels import read_labels
from geoembz._geo.grid import Window
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import SourceData, open_source
from geoembz.sources.raster import RasterSource


def _write(path: Path, values: NDArray[Any], *, like: Path | None = None, **options: Any) -> Path:
    """Write an image; `like` gives CRS and transform."""
    if like is not None:
        with rasterio.open(like) as raster:
            options = {"crs": raster.crs, "transform": raster.transform, **options}
    bands = values if values.ndim == 3 else values[np.newaxis]
    shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2]}
    with rasterio.open(path, "w", driver="GTiff", dtype=bands.dtype, **shape, **options) as raster:
        raster.write(bands)
    return path


class CountingSource(RasterSource):
    """Counts the blocks that its windows touch."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.blocks: list[tuple[int, int]] = []

    def read(self, window: Window) -> SourceData:
        """Note which blocks are touched, then read."""
        height, width = self.block_shape
        for row in range(window.row // height, (window.row + window.height - 1) // height + 1):
            for col in range(window.col // width, (window.col + window.width - 1) // width + 1):
                self.blocks.append((row, col))
        return super().read(window)


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Write a raster of 16 x 16 blocks of 16 pixels, and labels in three of them."""
    directory = tmp_path_factory.mktemp("tiled")
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4, 256, 256)).astype(np.float32)
    labels = np.zeros((256, 256), np.uint8)
    for row, col in ((0, 0), (100, 40), (200, 250)):
        labels[row : row + 4, col : col + 4] = [[1], [2], [1], [2]]
    place: dict[str, Any] = {"crs": "EPSG:32632", "transform": from_origin(5e5, 5e6, 10, 10)}
    tiles: dict[str, Any] = {"tiled": True, "blockxsize": 16, "blockysize": 16}
    source = _write(directory / "e.tif", values, **place, **tiles)
    return source, _write(directory / "l.tif", labels, **place, nodata=0)


def test_only_blocks_with_labels_are_read(tiled: tuple[Path, Path]) -> None:
    """Each block that holds a drawn pixel is read once, and no other."""
    source = CountingSource(tiled[0])
    sample = read_sample(source, labels=read_labels(tiled[1], source.grid), n_samples=1000)
    assert sorted(source.blocks) == sorted({(0, 0), (6, 2), (12, 15)})
    assert len(sample) == 48
    assert sample.exclusions == {"pixel without a label": 256 * 256 - 48}


def test_unlabelled_pixels_come_from_some_blocks(tiled: tuple[Path, Path]) -> None:
    """A small sample of a large raster leaves most of it unread, and no block is read twice."""
    source = CountingSource(tiled[0])
    read_sample(source, n_samples=64)
    assert len(source.blocks) == len(set(source.blocks))
    assert len(source.blocks) <= 64


def test_vectors_belong_to_their_pixels(tiled: tuple[Path, Path]) -> None:
    """What is gathered block by block is what lies at the place."""
    source = open_source(tiled[0])
    sample = read_sample(source, labels=read_labels(tiled[1], source.grid), n_samples=1000)
    with rasterio.open(tiled[0]) as raster:
        values = raster.read()
    assert sample.x is not None
    assert sample.y is not None
    cols = ((sample.x - 5e5) // 10).astype(int)
    rows = ((5e6 - sample.y) // 10).astype(int)
    np.testing.assert_array_equal(sample.vectors, values[:, rows, cols].T)


def test_store_is_judged_by_its_own_codes(scene: DemoFiles, store: Path) -> None:
    """Codes read from the store give the accuracy of encoding anew with its encoding."""
    evaluation = evaluate(store, source=scene.embedding, labels=scene.labels, samples=2000)
    assert evaluation.recipes[0].recipe == "pca8-int8"
    assert evaluation.split["kind"] == "blocked"
    assert "fitted, without labels" in " ".join(evaluation.messages)


def test_labels_on_another_grid_are_reprojected(scene: DemoFiles, tmp_path: Path) -> None:
    """Half the resolution in another CRS: nearest neighbour, and it is said."""
    from rasterio.warp import calculate_default_transform, reproject

    with rasterio.open(scene.labels) as raster:
        values = raster.read(1)
        size = {"width": raster.width // 2, "height": raster.height // 2}
        transform, width, height = calculate_default_transform(
            raster.crs,
            "EPSG:4326",
            raster.width,
            raster.height,
            *raster.bounds,
            dst_width=size["width"],
            dst_height=size["height"],
        )
        warped = np.zeros((height, width), np.uint8)
        reproject(
            values,
            warped,
            src_transform=raster.transform,
            src_crs=raster.crs,
            dst_transform=transform,
            dst_crs="EPSG:4326",
        )
    path = _write(tmp_path / "l4326.tif", warped, crs="EPSG:4326", transform=transform, nodata=0)
    found = read_labels(path, open_source(scene.embedding).grid)
    assert "reprojected" in found.messages[0]
    assert np.mean(values[found.rows, found.cols] == found.labels) > 0.6


def test_polygons_are_groups(scene: DemoFiles, tmp_path: Path) -> None:
    """Pixels inside a polygon get its attribute, and stay together."""
    grid = open_source(scene.embedding).grid
    a, _, c, _, e, f = grid.transform

    def square(row: int, col: int, name: str) -> dict[str, Any]:
        corners = [(col, row), (col + 5, row), (col + 5, row + 5), (col, row + 5), (col, row)]
        ring = [(c + a * i, f + e * j) for i, j in corners]
        geometry = transform_geom(
            grid.crs_wkt, "OGC:CRS84", {"type": "Polygon", "coordinates": [ring]}
        )
        return {"type": "Feature", "properties": {"class": name, "id": row}, "geometry": geometry}

    features = [square(i * 9, i * 9, "ab"[i % 2]) for i in range(10)] + [square(5000, 0, "a")]
    path = tmp_path / "p.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    found = read_labels(path, grid, column="class")
    assert found.groups is not None
    assert len(found) == 250
    assert len(np.unique(found.groups)) == 10
    assert found.exclusions["feature that covers no pixel"] == 1
    np.testing.assert_array_equal(found.rows // 9, found.groups)


def test_points_from_a_table(scene: DemoFiles, tmp_path: Path) -> None:
    """Points in the source's CRS; those outside are counted."""
    grid = open_source(scene.embedding).grid
    lines = [f"{grid.x[i]},{grid.y[2 * i]},{'ab'[i % 2]}" for i in range(40)]
    path = tmp_path / "points.csv"
    path.write_text("\n".join(["x,y,label", *lines, "0,0,a"]))
    found = read_labels(path, grid)
    np.testing.assert_array_equal(found.rows, 2 * np.arange(40))
    np.testing.assert_array_equal(found.cols, np.arange(40))
    assert found.exclusions == {"point outside the source": 1}


def test_no_overlap_is_an_error(scene: DemoFiles, tmp_path: Path) -> None:
    """Labels elsewhere are refused, with the source's bounds."""
    far = {"crs": "EPSG:32632", "transform": from_origin(1e5, 1e6, 10, 10), "nodata": 0}
    path = _write(tmp_path / "far.tif", np.ones((8, 8), np.uint8), **far)
    with pytest.raises(SourceError, match="no label lies on the source"):
        evaluate(source=scene.embedding, labels=path, recipes=["int8"])


def test_all_one_class_is_an_error(scene: DemoFiles, tmp_path: Path) -> None:
    """A raster of one class is refused, with the class's name."""
    path = _write(tmp_path / "one.tif", np.full((96, 96), 3, np.uint8), like=scene.embedding)
    with pytest.raises(InvalidConfigError, match=r"one class \(3\)"):
        evaluate(source=scene.embedding, labels=path, recipes=["int8"])


def test_label_nodata_is_left_out_and_counted(scene: DemoFiles, tmp_path: Path) -> None:
    """Declared in the raster or named by the user, the value that means none is no class."""
    values = np.zeros((96, 96), np.uint8)
    values[50:] = np.arange(96) % 2 + 1
    named = _write(tmp_path / "named.tif", values, like=scene.embedding)
    declared = _write(tmp_path / "declared.tif", values, like=scene.embedding, nodata=0)
    for path, nodata in ((named, 0.0), (declared, None)):
        found = evaluate(
            source=scene.embedding,
            labels=path,
            label_nodata=nodata,
            recipes=["int8"],
            tasks=["knn"],
        )
        assert found.exclusions["pixel without a label"] == 50 * 96
        assert set(found.baseline["tasks"]["knn"]["support"]) == {"1", "2"}


def test_class_with_one_member_is_left_out_and_counted(scene: DemoFiles, tmp_path: Path) -> None:
    """One pixel cannot be both learned and tested."""
    values = np.full((96, 96), 1, np.uint8)
    values[:, ::2], values[40, 41] = 2, 9
    path = _write(tmp_path / "lone.tif", values, like=scene.embedding)
    found = evaluate(source=scene.embedding, labels=path, recipes=["int8"], tasks=["knn"])
    assert found.exclusions["class with one member"] == 1
    assert "class with one member" in found.to_table()


def test_mismatched_source_is_refused(scene: DemoFiles, store: Path, tmp_path: Path) -> None:
    """Another grid, another dimension, and other values on the same grid."""
    with rasterio.open(scene.embedding) as raster:
        values = raster.read()
    cut = _write(tmp_path / "cut.tif", values[:, :90], like=scene.embedding)
    with pytest.raises(SourceError, match="grid"):
        evaluate(store, source=cut)
    fewer = _write(tmp_path / "fewer.tif", values[:9], like=scene.embedding)
    with pytest.raises(SourceError, match="vectors of 16"):
        evaluate(store, source=fewer)
    other = _write(tmp_path / "other.tif", values[::-1].copy(), like=scene.embedding)
    with pytest.raises(SourceError, match="not the source"):
        evaluate(store, source=other)


@pytest.mark.slow
def test_segmentation_reads_whole_windows(scene: DemoFiles) -> None:
    """Windows are the groups, and the bootstrap resamples them."""
    evaluation = evaluate(
        source=scene.embedding,
        labels=scene.labels,
        recipes=["pca8-int8"],
        tasks=["segmentation"],
        samples=4000,
    )
    task = evaluation.recipes[0].tasks["segmentation"]
    assert task["n_groups"] == evaluation.split["n_groups"]
    assert 0 < task["miou"] <= 1


def test_second_date_must_lie_on_the_same_grid(scene: DemoFiles, tmp_path: Path) -> None:
    """Dates are compared pixel by pixel."""
    with rasterio.open(scene.embedding) as raster:
        values = raster.read()
    cut = _write(tmp_path / "cut.tif", values[:, :90], like=scene.embedding)
    with pytest.raises(SourceError, match="expected those of"):
        evaluate(source=scene.embedding, after=cut, labels=scene.labels, recipes=["int8"])


def test_thinned_labels_keep_rare_classes(
    monkeypatch: pytest.MonkeyPatch, scene: DemoFiles
) -> None:
    """Of a raster with too many labels a share is kept, of rare classes more."""
    from geoembz._evaluate import label_raster

    monkeypatch.setattr(label_raster, "_MOST_PIXELS", 500)
    monkeypatch.setattr(label_raster, "_FEWEST_PER_CLASS", 20)
    source = open_source(scene.embedding)
    found = read_labels(scene.labels, source.grid)
    assert 150 < len(found) < 1500
    with rasterio.open(scene.labels) as raster:
        present = set(np.unique(raster.read(1))) - {0}
    assert set(np.unique(found.labels)) == present
