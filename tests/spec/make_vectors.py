"""Write the golden vectors of the current format version: ``python -m tests.spec.make_vectors``.

They are written once and never again: an existing version is refused. Every number is a small
multiple of a power of two, so that each product and sum is exact in float32 and the bytes are the
same on any CPU, with any BLAS.
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._version import FORMAT_VERSION
from geoembz.codecs import PREFIX, ProjectionStage, QuantizerStage
from geoembz.codecs.stages import Stage
from geoembz.conventions import Layout, StoreAttributes
from geoembz.encoding import Encoding, FitReport, Recipe
from geoembz.grid import Grid
from geoembz.packing import Bits, pack
from geoembz.projection import Projection
from geoembz.quantization import Quantizer
from geoembz.quantization.binary import BinaryQuantizer
from geoembz.quantization.linear import LinearQuantizer
from geoembz.quantization.passthrough import FloatQuantizer
from geoembz.store import ChunkLayout, StorePlan, StoreReader, StoreWriter

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
SHAPE = (5, 6)
DIMENSION = 8
GRIDS = {
    "EPSG:32633": (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0),
    "EPSG:4326": (0.25, 0.0, 15.0, 0.0, -0.25, 48.0),
}


def main() -> None:
    """Write the vectors of this version, or say that they exist."""
    target = VECTORS / FORMAT_VERSION
    if target.exists():
        sys.exit(f"{target} exists: golden vectors are written once; raise the format version")
    _write_packing(target / "pack")
    for name, stage, values in _codec_cases():
        _write_codec(target / "codecs" / name, name, stage, values)
    _write_encodings(target / "encoding")
    for store in _stores():
        _write_store(target / "stores", **store)


def projection() -> Projection:
    """Return 5 orthonormal components of 8 dimensions, entries ±1/2 and 0."""
    hadamard = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    matrix = np.zeros((5, DIMENSION), dtype=np.float32)
    matrix[:4, ::2] = hadamard / 2
    matrix[4, 1::2] = hadamard[1] / 2
    mean = np.array([1, -2, 0.5, 3, 0, -0.25, 2, 4], dtype=np.float32)
    return Projection("pca", DIMENSION, matrix, mean)


def quantizer(kind: str, n_components: int) -> Quantizer:
    """Return a quantizer whose steps and values are powers of two."""
    index = np.arange(n_components)
    step = (2.0 ** -(index % 4)).astype(np.float32)
    offset = ((index % 5) - 2).astype(np.float32)
    half = offset / np.float32(2)
    if kind == "int8":
        return LinearQuantizer(8, step / np.float32(16), offset / np.float32(8))
    if kind == "int4":
        return LinearQuantizer(4, step, offset - np.float32(4))
    if kind == "binary":
        return BinaryQuantizer(half, np.stack([half - step, half + step], axis=1))
    return FloatQuantizer(32, n_components)


def encoding(recipe: str) -> Encoding:
    """Return the encoding of a recipe: the projection above where it has one."""
    parsed = Recipe.parse(recipe)
    projected = projection() if parsed.projection else Projection("none", DIMENSION)
    count = projected.n_components
    variance = (2.0 ** -np.arange(count)).astype(np.float32)
    report = FitReport(n_samples=1000, seed=0, explained_variance=0.875)
    return Encoding(recipe, projected, quantizer(parsed.quantizer, count), variance, report=report)


def values(shape: tuple[int, ...], *, step: float = 0.25) -> NDArray[np.float32]:
    """Return multiples of `step` between −8 and 8, in no order that a reader could guess."""
    index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    return ((index * 37 + index // 7 * 11) % 64 - 32).astype(np.float32) * np.float32(step)


def _codec_cases() -> list[tuple[str, Stage, NDArray[np.float32]]]:
    """Return name, stage and input ``(length, 2, 3)`` of every codec."""
    return [
        ("projection", ProjectionStage(projection()), values((DIMENSION, 2, 3))),
        ("int8", QuantizerStage(_int8()), _int8_values()),
        ("int4", QuantizerStage(quantizer("int4", 5)), values((5, 2, 3))),
        ("binary", QuantizerStage(quantizer("binary", 11)), values((11, 2, 3))),
    ]


def _int8() -> LinearQuantizer:
    """Return steps of 1, 1/4 and, to show that decoding rounds twice, float32's 0.1."""
    return LinearQuantizer(8, np.array([1, 0.25, 0.1], "f4"), np.array([0, 8, 0.7], "f4"))


def _int8_values() -> NDArray[np.float32]:
    """Return ties (component 0, exact), values out of range, and pixels that are not finite."""
    rows = [
        [[0.5, 1.5, -2.5], [3.0, -126.0, 7.0]],
        [[8.0, 8.25, 100.0], [-100.0, 1.0, 7.9]],
        [[0.7, 1.04, 13.0], [-11.97, np.nan, np.inf]],
    ]
    return np.array(rows, dtype=np.float32)


def _write_packing(folder: Path) -> None:
    """13 codes per pixel, 2 pixels: the last byte is padded at every width."""
    folder.mkdir(parents=True)
    widths: tuple[Bits, ...] = (1, 2, 4)
    for bits in widths:
        codes = ((np.arange(26).reshape(13, 2) * 7 + 3) % 2**bits).astype(np.uint8)
        np.save(folder / f"codes-{bits}.npy", codes)
        (folder / f"packed-{bits}.bin").write_bytes(pack(codes, bits).tobytes())


def _write_codec(folder: Path, name: str, stage: Stage, data: NDArray[np.float32]) -> None:
    folder.mkdir(parents=True)
    encoded = stage.encode(data)
    _write_json(folder / "zarr.json", {"name": PREFIX + name, "configuration": stage.config()})
    legacy = {"id": PREFIX + name, "chunk_shape": list(data.shape), **stage.config()}
    _write_json(folder / "numcodecs.json", legacy)
    np.save(folder / "input.npy", data)
    (folder / "encoded.bin").write_bytes(encoded.tobytes())
    np.save(folder / "decoded.npy", stage.decode(encoded))


def _write_encodings(folder: Path) -> None:
    folder.mkdir(parents=True)
    hashes = {}
    for recipe in ("pca5-int8", "pca5-int4", "binary", "float32"):
        built = encoding(recipe)
        built.save(folder / f"{recipe}.npz")
        hashes[f"{recipe}.npz"] = built.hash
    _write_json(folder / "hashes.json", hashes)


def _stores() -> list[dict[str, Any]]:
    """Return the stores: both layouts, with and without mask, sharded and not."""
    utm, degrees = GRIDS
    return [
        {"name": "int8-plain", "recipe": "pca5-int8", "crs": utm, "gaps": True},
        {"name": "int8-codec", "recipe": "pca5-int8", "crs": utm, "gaps": True, "layout": "codec"},
        {"name": "int4-plain", "recipe": "pca5-int4", "crs": degrees, "gaps": True},
        {
            "name": "binary-plain",
            "recipe": "binary",
            "crs": degrees,
            "gaps": False,
            "shards": False,
        },
    ]


def _write_store(
    folder: Path,
    name: str,
    recipe: str,
    crs: str,
    *,
    gaps: bool,
    layout: Layout = "plain",
    shards: bool = True,
) -> None:
    """Write one store and what its views hold; `gaps` makes a pixel and a whole shard invalid."""
    built = encoding(recipe)
    chunks = ChunkLayout(SHAPE, (2, 2), (4, 4), is_sharded=shards)
    writer = StoreWriter(str(folder / f"{name}.zarr"), StorePlan(built, chunks, layout))
    data = values((DIMENSION, *SHAPE))
    if gaps:
        data[3, 1, 2] = np.nan
        data[:, 4:, 4:] = np.inf
    codes, valid = built.encode_block(data.reshape(DIMENSION, -1))
    codes, valid = codes.reshape(-1, *SHAPE), valid.reshape(SHAPE)
    for window in chunks.shards():
        rows, cols = window.slices
        writer.write_shard(window, codes[:, rows, cols], valid[rows, cols])
    writer.finish(_attributes(built, crs, layout, int(valid.sum())))
    reader = StoreReader.open(writer.url)
    np.save(folder / f"{name}.codes.npy", codes)
    for space in ("reduced", "original"):
        np.save(folder / f"{name}.{space}.npy", reader.read(reader.attributes.grid.window, space))


def _attributes(built: Encoding, crs: str, layout: Layout, valid: int) -> StoreAttributes:
    from pyproj import CRS

    system = CRS.from_user_input(crs)
    metres = 1.0 if system.is_projected else None
    return StoreAttributes(
        grid=Grid(system.to_wkt("WKT2_2019"), crs, GRIDS[crs], SHAPE, metres),
        encoding=built.config(),
        encoding_hash=built.hash,
        layout=layout,
        original_dtype="float32",
        stored_dtype=str(built.code_dtype),
        model="urn:example:model",
        sources=({"uri": "urn:example:raster", "size_bytes": 960},),
        fit={"n_samples": 1000, "seed": 0, "explained_variance": 0.875},
        fidelity={"cosine": None, "cosine_centred": None, "rmse": None, "n": 0},
        pixels={"total": SHAPE[0] * SHAPE[1], "valid": valid},
        software="geoembz golden vectors",
        license="CC0-1.0",
    )


def _write_json(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
