"""Lance finds in its folder what a search finds in the store."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz.errors import DestinationExistsError, InvalidConfigError, NoValidPixelsError
from geoembz.store import StoreReader
from tests.conftest import MakeRaster

lance: Any = pytest.importorskip(
    "lance", reason="the package pylance is not installed: pip install 'geoembz[lance]'"
)

SIZE, BANDS, LISTS = 40, 12, 6

CASES = {
    "cosine": ("pca12-int8", "cosine", "reduced"),
    "dot": ("int8", "dot", "reduced"),
    "euclidean, original": ("pca8-int4", "euclidean", "original"),
    "bits": ("rot-binary", "hamming", "codes"),
}


@pytest.fixture(scope="module")
def values() -> np.ndarray:
    """Vectors of a few kinds around zero, some absent."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(8, BANDS))
    found = centres[rng.integers(0, 8, (SIZE, SIZE))] + 0.3 * rng.normal(size=(SIZE, SIZE, BANDS))
    found[10:14, 20:30] = np.nan
    return np.ascontiguousarray(found.transpose(2, 0, 1).astype(np.float32))


def make(path: Path, make_raster: MakeRaster, values: np.ndarray, recipe: str) -> StoreReader:
    """Store them."""
    raster = make_raster(path.with_suffix(".tif"), values)
    geoembz.convert(raster, path, recipe=recipe, chunk=16, shard=32)
    return StoreReader.open(path)


def ask(folder: Path, row: int, col: int, k: int) -> list[dict[str, Any]]:
    """Return the nearest of a pixel, whose vector is taken from the folder, in all lists."""
    dataset = lance.dataset(str(folder))
    (place,) = dataset.to_table(filter=f"row = {row} and col = {col}").to_pylist()
    vector = np.array(place["embedding"])
    if vector.dtype.kind == "i":
        vector = vector.astype(np.uint8)
    nearest = {"column": "embedding", "q": vector, "k": k, "nprobes": LISTS, "refine_factor": 5}
    found = dataset.to_table(nearest=nearest, columns=["row", "col", "_distance"])
    return list(found.to_pylist())


@pytest.mark.parametrize(("recipe", "metric", "space"), CASES.values(), ids=CASES)
def test_lance_finds_the_nearest(
    recipe: str,
    metric: str,
    space: Any,
    tmp_path: Path,
    make_raster: MakeRaster,
    values: np.ndarray,
) -> None:
    """Rows are those of a table, and an index of the metric is over them."""
    reader = make(tmp_path / "s.zarr", make_raster, values, recipe)
    out = tmp_path / "s.lance"
    asked = space if space == "original" else None
    summary = geoembz.index(reader.url, out, metric=metric, space=asked, lists=LISTS)
    assert (summary.engine, summary.holds, summary.metric) == ("lance", space, metric)
    assert (summary.vectors, summary.lists) == (SIZE * SIZE - 40, LISTS)
    assert summary.bytes_written == sum(p.stat().st_size for p in out.rglob("*") if p.is_file())
    (index,) = lance.dataset(str(out)).describe_indices()
    assert index.field_names == ["embedding"]
    geoembz.index(reader.url, tmp_path / "s.parquet", space=space)
    assert lance.dataset(str(out)).to_table().equals(pq.read_table(tmp_path / "s.parquet"))
    query = geoembz.open(reader.url).embedding.values[:, 20, 9]
    exact = geoembz.search(reader.url, query, 8, metric)
    found = ask(out, 20, 9, 8)
    if metric == "hamming":  # of equally near ones Lance may take others
        assert [place["_distance"] for place in found] == exact.scores[0].tolist()
        return
    places = {*zip(exact.rows[0].tolist(), exact.cols[0].tolist(), strict=True)}
    assert len({(place["row"], place["col"]) for place in found} & places) >= 7


def test_few_vectors_have_no_index(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """Lance compares them all."""
    reader = make(tmp_path / "s.zarr", make_raster, values[:, :10, :12].copy(), "int8")
    summary = geoembz.index(reader.url, tmp_path / "s.lance")
    assert (summary.vectors, summary.lists) == (120, 0)
    assert lance.dataset(str(tmp_path / "s.lance")).describe_indices() == []
    assert ask(tmp_path / "s.lance", 3, 4, 2)[0]["row"] == 3


def test_a_folder_is_replaced_whole(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """Where that is asked for; nothing is left beside it."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca4-int8")
    out = tmp_path / "s.lance"
    geoembz.index(reader.url, out, lists=2)
    with pytest.raises(DestinationExistsError):
        geoembz.index(reader.url, out, lists=2)
    summary = geoembz.index(reader.url, out, lists=3, space="original", overwrite=True)
    assert (summary.length, lance.dataset(str(out)).version) == (BANDS, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["s.lance", "s.tif", "s.zarr"]


def test_what_lance_cannot_compare_is_refused(
    tmp_path: Path, make_raster: MakeRaster, values: np.ndarray
) -> None:
    """In words, and nothing is left."""
    reader = make(tmp_path / "s.zarr", make_raster, values, "pca4-int8")
    cases: list[tuple[dict[str, Any], str]] = [
        ({"metric": "cosine-w0.5"}, "Lance weighs no components"),
        ({"metric": "hamming"}, "it counts bits"),
        ({"space": "codes"}, "compares codes by hamming, and only them"),
    ]
    for options, said in cases:
        with pytest.raises(InvalidConfigError, match=said):
            geoembz.index(reader.url, tmp_path / "s.lance", **options)
    grid = reader.attributes.grid
    hole = (float(grid.x[20]), float(grid.y[13]), float(grid.x[29]), float(grid.y[10]))
    with pytest.raises(NoValidPixelsError):
        geoembz.index(reader.url, tmp_path / "s.lance", bbox=hole)
    assert not list(tmp_path.glob("*.lance*"))
    (tmp_path / "s.lance").mkdir()
    (tmp_path / "s.lance" / "mine.txt").touch()
    with pytest.raises(InvalidConfigError, match="is no folder of Lance"):
        geoembz.index(reader.url, tmp_path / "s.lance", overwrite=True)
    assert (tmp_path / "s.lance" / "mine.txt").exists()
