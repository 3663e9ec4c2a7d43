"""What one real scene takes, kept in other ways and in ours: bytes a pixel, and what is lost.

    uv run --with pcodec --with lancedb python -m benchmarks.beside ../shared/data

The scene is Galileo's over Brazil: 128 float32 numbers for each of 58,539 pixels. Sizes are of
files. pcodec and LanceDB are measured where they are installed.
"""

import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import rasterio
from numcodecs import Zstd
from numpy.typing import NDArray

import geoembz

SCENE = "galileo_s2/galileo_nano_s2_patch1_128d_float32.tif"
RECIPES = ("int8", "pca64-int8", "l2-pca64-int4-lloyd", "pca64-itq-binary", "pca64-rq8x8")
type Row = tuple[str, float, str]


def main() -> None:
    """Print a table: way, bytes a pixel, and what is lost."""
    source = Path(sys.argv[1], SCENE)
    with rasterio.open(source) as raster:
        scene = raster.read()
    pixels = scene[0].size
    print("| kept as | bytes/pixel | centred cosine with the original |\n|---|--:|---|")
    with tempfile.TemporaryDirectory() as name:
        for way, size, lost in (*lossless(scene, Path(name)), *ours(source, Path(name))):
            print(f"| {way} | {size / pixels:.1f} | {lost} |")


def lossless(scene: NDArray[np.float32], folder: Path) -> Iterator[Row]:
    """Yield what keeps every bit of the float32 numbers."""
    yield "float32", scene.nbytes, "1"
    yield "float32, zstd 19", len(Zstd(19).encode(scene)), "1"
    if find_spec("pcodec"):
        from pcodec import ChunkConfig, standalone

        numbers = scene.reshape(-1)
        yield "float32, pcodec", len(standalone.simple_compress(numbers, ChunkConfig())), "1"
    table = as_table(scene)
    pq.write_table(table, folder / "table.parquet", compression="zstd")
    yield "float32, Parquet with zstd", size_of(folder / "table.parquet"), "1"
    if find_spec("lancedb"):
        yield from lance(table, folder)


def lance(table: Any, folder: Path) -> Iterator[Row]:
    """Yield a table of LanceDB, and with an index of one byte for eight numbers."""
    import lancedb  # type: ignore[import-not-found,unused-ignore]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # theirs
        rows = lancedb.connect(folder / "lance").create_table("pixels", table)
        yield "float32, table of LanceDB", size_of(folder / "lance"), "1"
        rows.create_index("cosine", vector_column_name="embedding", num_sub_vectors=16)
        yield "the same with its IVF_PQ index", size_of(folder / "lance"), "1"


def ours(source: Path, folder: Path) -> Iterator[Row]:
    """Yield stores of several recipes."""
    for recipe in RECIPES:
        store = folder / f"{recipe}.zarr"
        summary = geoembz.convert(source, store, recipe=recipe)
        kept = f"{summary.cosine_centred:.4f}"
        yield f"geoembz `{recipe}`", size_of(store), kept
        if recipe == "pca64-int8":
            geoembz.repack(store, folder / "archive.zarr")
            yield "the same, repacked as an archive", size_of(folder / "archive.zarr"), kept


def as_table(scene: NDArray[np.float32]) -> Any:
    """Return a row for each pixel: its row and column, and its vector."""
    dimension, height, width = scene.shape
    vectors = pa.array(scene.reshape(dimension, -1).T.reshape(-1))
    row, col = np.indices((height, width)).reshape(2, -1)
    columns = {"row": row, "col": col}
    vector = pa.FixedSizeListArray.from_arrays(vectors, dimension)
    return pa.table({**columns, "embedding": vector})


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [each for each in path.rglob("*") if each.is_file()]
    return sum(each.stat().st_size for each in files)


if __name__ == "__main__":
    main()
