"""What an earlier commit wrote, this one reads, and writes again byte for byte.

The stores beside this file were written by ``ffed9ea``, the last commit before the package was
rearranged: a raster, a table and a root of two grids. A format's golden vectors say that a store
*means* the same; these say that a conversion *does* the same. Their encodings are not fitted here
(`encoding.npz`): the last bits of a fit belong to the machine's linear algebra.

One key is newer than these stores: `bbox` of a source (spec/format.md, "geoembz:sources"), and the
package names its own version. Before documents are compared both are taken out, and the digests
that follow from them are blanked; nothing else of a document may differ, and every other object is
the same.

``python -m tests.remade.test_remade FOLDER`` writes the conversions of the checkout into a folder.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from pyarrow import parquet

import geoembz
from tests.products import unit_vectors, write_raster
from tests.trees import objects

HERE = Path(__file__).parent
ENCODING = HERE / "encoding.npz"
WRITTEN_BY = "0.1.0"
DIMENSION = 12
EAST = (10.0, 0.0, 200_000.0, 0.0, -10.0, 5_300_000.0)


def vectors(seed: int, size: int = 40) -> NDArray[np.float32]:
    """Return vectors with a hole: float32 ``(12, size, size)``, exact on any machine."""
    values = np.round(unit_vectors(size, size, DIMENSION, seed) * 2**10) / 2**10
    values[:, 3:9, 5:30] = np.nan
    return values.astype(np.float32)


def convert_raster(folder: Path, store: Path) -> None:
    source = write_raster(folder / "scene.tif", vectors(1), nodata=float("nan"), block=16)
    geoembz.convert(source, store, basis=ENCODING, chunk=16, shard=32, time="2024")


def convert_table(folder: Path, store: Path) -> None:
    values = vectors(2)[:, 10:, :].reshape(DIMENSION, -1).T
    rows = len(values)
    columns = {
        "lon": np.linspace(7.0, 8.0, rows),
        "lat": np.linspace(46.0, 47.0, rows),
        "name": [f"chip {row % 7}" for row in range(rows)],
        "embedding": list(values),
    }
    parquet.write_table(pa.table(columns), folder / "chips.parquet")
    geoembz.convert(folder / "chips.parquet", store, basis=ENCODING)


def convert_grids(folder: Path, store: Path) -> None:
    west = write_raster(folder / "west.tif", vectors(3), nodata=float("nan"))
    east = write_raster(
        folder / "east.tif", vectors(4), crs="EPSG:32633", transform=EAST, nodata=float("nan")
    )
    geoembz.convert([west, east], store, basis=ENCODING, chunk=16, shard=32)


CASES: dict[str, Callable[[Path, Path], None]] = {
    "raster": convert_raster,
    "table": convert_table,
    "grids": convert_grids,
}


@pytest.mark.parametrize("name", CASES)
def test_the_same_bytes(name: str, tmp_path: Path) -> None:
    CASES[name](tmp_path, tmp_path / f"{name}.zarr")
    made, kept = objects(tmp_path / f"{name}.zarr"), objects(HERE / f"{name}.zarr")
    assert sorted(made) == sorted(kept)
    differing = [key for key in kept if made[key] != kept[key]]
    assert set(differing) <= {key for key in kept if Path(key).name == "zarr.json"}
    for key in differing:
        now = comparable(made[key], geoembz.__version__)
        then = comparable(kept[key], WRITTEN_BY)
        assert json.dumps(now) == json.dumps(then)  # the order of members, too
    assert geoembz.verify(str(tmp_path / f"{name}.zarr")).problems == ()


def comparable(document: bytes, version: str) -> Any:
    """Return a root's metadata without its writer's version and the bboxes of sources.

    Digests of what is left out are blank.
    """
    writer = f'"geoembz {version}"'.encode()
    assert writer in document
    root = json.loads(document.replace(writer, b'"geoembz"'))
    nodes = root.get("consolidated_metadata", {}).get("metadata", {})
    for node in (root, *nodes.values()):
        attributes = node["attributes"]
        for entry in (attributes, *attributes.get("geoembz:times", [])):
            for source in entry.get("geoembz:sources", entry.get("sources", [])):
                source.pop("bbox", None)
        digests = attributes.get("geoembz:digests")
        if digests is not None:
            digests["document"] = None
            for grid in attributes.get("geoembz:grids", []):
                digests["objects"][f"{grid}/zarr.json"] = None
    return root


@pytest.mark.parametrize("name", CASES)
def test_earlier_stores_are_whole(name: str) -> None:
    assert geoembz.verify(str(HERE / f"{name}.zarr")).problems == ()


def test_earlier_stores_are_read() -> None:
    decoded = geoembz.open(HERE / "raster.zarr")["embedding"].values[0].reshape(DIMENSION, -1)
    original = vectors(1).reshape(DIMENSION, -1)
    held = np.isfinite(original).all(axis=0)
    encoding = geoembz.Encoding.load(ENCODING)
    expected = encoding.decode(encoding.encode(original[:, held].T))
    np.testing.assert_allclose(decoded[:, held].T, expected, atol=1e-5)
    assert np.isnan(decoded[:, ~held]).all()


def write_all(folder: Path) -> None:
    """Write the conversions of this checkout, and the encoding where there is none."""
    folder.mkdir(parents=True, exist_ok=True)
    if not ENCODING.exists():
        rows = vectors(0).reshape(DIMENSION, -1).T
        rows = rows[np.isfinite(rows).all(axis=1)]
        geoembz.Encoding.fit(rows, geoembz.Recipe.parse("pca8-int8")).save(ENCODING)
    for name, convert in CASES.items():
        (folder / "inputs").mkdir(exist_ok=True)
        convert(folder / "inputs", folder / f"{name}.zarr")


if __name__ == "__main__":
    write_all(Path(sys.argv[1]))
