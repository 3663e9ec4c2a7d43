"""Tables may be named as rasters may: globs, directories, lists, URLs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

import geoembz
from geoembz.errors import SourceError
from geoembz.sources.inputs import table_files
from tests import products, tables
from tests.sources.serving import serving
from tests.trees import objects


@pytest.fixture
def folder(tmp_path: Path, rng: np.random.Generator) -> Path:
    """Return a folder with a table in three files, and what writers leave beside such."""
    whole = pq.read_table(tables.plain(tmp_path / "whole.parquet", rng, rows=120).path)
    parts = tmp_path / "parts"
    parts.mkdir()
    for index, name in enumerate(("part-1", "part-2", "part-10")):
        pq.write_table(whole.slice(40 * index, 40), parts / f"{name}.parquet", row_group_size=7)
    (parts / "_common_metadata.parquet").write_bytes(b"")
    (parts / "README.md").write_text("no input")
    return parts


def converted(source: object, folder: Path) -> dict[str, bytes]:
    """Return the arrays' objects of a conversion; the metadata name the inputs."""
    geoembz.convert(source, folder, recipe="pca8-int8")  # type: ignore[arg-type]
    return {key: value for key, value in objects(folder).items() if "/c/" in f"/{key}"}


def test_directories_globs_and_lists_are_the_table_of_their_files(
    folder: Path, tmp_path: Path
) -> None:
    """However the parts are named, the store is that of the whole table."""
    listing = tmp_path / "parts.txt"
    listing.write_text(
        "parts/part-1.parquet\nparts/part-2.parquet # a part\nparts/part-10.parquet\n"
    )
    expected = converted(tmp_path / "whole.parquet", tmp_path / "whole.zarr")
    for index, source in enumerate((folder, f"{folder}/part-*.parquet", listing, [str(folder)])):
        assert converted(source, tmp_path / f"{index}.zarr") == expected


def test_tables_are_read_over_http(folder: Path, tmp_path: Path) -> None:
    """Parquet and CSV by URL give what they give locally, and no secret is stored."""
    flat = pq.read_table(folder / "part-1.parquet")
    numbers = np.array(flat["embedding"].to_pylist(), np.float64)
    columns = {f"X_{index}": numbers[:, index] for index in range(numbers.shape[1])}
    pa.csv.write_csv(
        pa.table({"lon": flat["lon"], "lat": flat["lat"], **columns}), folder / "flat.csv"
    )
    with serving(folder) as url:
        for name in ("part-1.parquet", "flat.csv"):
            near = converted(folder / name, tmp_path / f"near-{name}.zarr")
            far = converted(f"{url}/{name}?token=secret", tmp_path / f"far-{name}.zarr")
            assert far == near
        metadata = (tmp_path / "far-flat.csv.zarr" / "zarr.json").read_text()
        assert "secret" not in metadata
        assert f"{url}/flat.csv" in metadata
        with pytest.raises(SourceError, match=r"absent\.parquet: cannot be opened"):
            geoembz.convert(f"{url}/absent.parquet?token=secret", tmp_path / "absent.zarr")


def test_stac_items_may_name_a_table(folder: Path) -> None:
    item = {"type": "Feature", "assets": {"embeddings": {"href": "part-1.parquet"}}}
    (folder / "item.json").write_text(json.dumps(item))
    assert table_files(folder / "item.json") == (str(folder / "part-1.parquet"),)


def test_rasters_are_no_tables(tmp_path: Path) -> None:
    """A folder of tiles stays one, whatever tables lie beside them."""
    products.write_raster(tmp_path / "a.tif", np.zeros((2, 4, 4), np.float32))
    (tmp_path / "index.csv").write_text("name\na.tif\n")
    for inputs in (tmp_path, tmp_path / "a.tif", [tmp_path / "a.tif"], "/vsimem/a.tif", 5, []):
        assert table_files(inputs) is None


def test_tables_and_rasters_together_are_refused(folder: Path, tmp_path: Path) -> None:
    raster = products.write_raster(tmp_path / "a.tif", np.zeros((2, 4, 4), np.float32))
    with pytest.raises(SourceError, match=r"part-1\.parquet is a table, .*a\.tif is none"):
        geoembz.convert([folder / "part-1.parquet", raster], tmp_path / "out.zarr")
    shutil.copy(folder / "part-1.parquet", folder / "a.csv")
    with pytest.raises(SourceError, match="CSV and Parquet together"):
        geoembz.convert([folder / "part-1.parquet", folder / "a.csv"], tmp_path / "out.zarr")
    with pytest.raises(SourceError, match="named twice"):
        geoembz.convert([folder / "part-1.parquet"] * 2, tmp_path / "out.zarr")
