"""Write the golden vectors of the current format version: ``python -m tests.spec.make_vectors``.

They are written once and never again: what exists is left as it is, and only what is missing is
added. Every number is a small multiple of a power of two, so that each product and sum is exact in
float32 and the bytes are the same on any CPU, with any BLAS; `power` and `normalize`, which round
once, are the exceptions (spec/README.md, "Golden vectors").
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid
from geoembz._version import ENCODING_VERSION, FORMAT_VERSION
from geoembz.codecs import PREFIX
from geoembz.codecs._stages import Stage
from geoembz.encoding import Encoding, FitReport, Recipe
from geoembz.encoding._packing import Bits, pack
from geoembz.encoding._projection import Projection
from geoembz.store import StoreReader
from geoembz.store.attributes import StoreAttributes
from geoembz.store.conventions import Layout
from geoembz.store.documents import StorePlan
from geoembz.store.layout import ChunkLayout
from geoembz.store.writer import StoreWriter
from tests.spec import vector_kinds, vector_states
from tests.spec.vector_states import DIMENSION, values

if TYPE_CHECKING:
    from geoembz.store.digests import StoredObject

VECTORS = Path(__file__).resolve().parents[2] / "spec" / "vectors"
SHAPE = (5, 6)
GRIDS = {
    "EPSG:32632": (10.0, 0.0, 400_000.0, 0.0, -10.0, 5_300_000.0),
    "EPSG:32633": (10.0, 0.0, 500_000.0, 0.0, -10.0, 5_300_000.0),
    "EPSG:4326": (0.25, 0.0, 15.0, 0.0, -0.25, 48.0),
    "EPSG:3857": (10.0, 0.0, 1_000_000.0, 0.0, -10.0, 8_400_000.0),  # at 60° N: 5 m on the ground
}
NAMES = ("A00", "A01", None, "A03", "A04", "A05", "A06", "A07")
ENCODINGS = (
    *("pca5-int8", "pca5-int4", "binary", "float32"),
    *("svd5-int4-lloyd", "pca5w1-rot-int8-quantile", "rot-binary", "l2-float16", "pca5-int2"),
    *("select5-ternary", "pq2x8", "aef", "random5-power1x64", "pca4-rq2x8", "pca5w1-itq-binary"),
)

OVERVIEWS = {"int8-plain": "pca5-int8", "pq-plain": "pq2x8", "l2-plain": "l2-float16"}


def main(vectors: Path = VECTORS) -> None:
    """Write the vectors that are missing: of stores, codecs and encodings, by their versions."""
    parts, target = vectors / ENCODING_VERSION, vectors / FORMAT_VERSION
    if not (parts / "pack").exists():
        _write_packing(parts / "pack")
    for name, stage, data in vector_states.codec_cases():
        if not (parts / "codecs" / name).exists():
            _write_codec(parts / "codecs" / name, name.partition("-")[0], stage, data)
    _write_encodings(parts / "encoding")
    for store in _stores():
        if not (target / "stores" / f"{store['name']}.zarr").exists():
            _write_store(target / "stores", **store)
    _write_kinds(target)


def _write_kinds(target: Path) -> None:
    """Write the stores that are no single raster, if missing."""

    def attributes(built: Encoding, crs: str, valid: int) -> StoreAttributes:
        return _attributes(built, crs, "plain", valid)

    if not (target / "times").exists():
        (target / "times").mkdir(parents=True)
        vector_kinds.write_times(target / "times", encoding("pca5-int4"), attributes)
    if not (target / "layers").exists():
        (target / "layers").mkdir(parents=True)
        built = encoding("pca5-int4")
        vector_kinds.write_times(target / "layers", built, attributes, vector_kinds.LAYERS)
    if not (target / "grids").exists():
        (target / "grids").mkdir(parents=True)
        vector_kinds.write_grids(target / "grids", encoding("pca5-int8"), attributes)
    for name, recipe in OVERVIEWS.items():
        if not (target / "overviews" / f"{name}.zarr").exists():
            _write_overviews(target / "overviews", name, recipe)
    if not (target / "overviews" / "two-dates.zarr").exists():
        folder = target / "overviews" / "two-dates.zarr"
        folder.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(target / "times" / "two-dates.zarr", folder)
        vector_kinds.add_overviews(folder)
    (target / "tables").mkdir(parents=True, exist_ok=True)
    for name, recipe, others in (("int8", "pca5-int8", True), ("pq", "pq2x8", False)):
        if not (target / "tables" / f"{name}.zarr").exists():
            vector_kinds.write_table(target / "tables", name, encoding(recipe), others=others)


def encoding(recipe: str) -> Encoding:
    """Return the encoding of a recipe, its state made up of exact numbers."""
    parsed = Recipe.parse(recipe)
    projected = (
        vector_states.projection(parsed)
        if parsed.projection or parsed.is_rotated
        else Projection("none", DIMENSION)
    )
    count = projected.n_components
    base = 4.0 if parsed.whiten else 2.0
    variance = (base ** -np.arange(count)).astype(np.float32)
    report = FitReport(n_samples=1000, seed=0, explained_variance=0.875)
    quantizer = vector_states.quantizer(parsed, count)
    return Encoding(recipe, projected, quantizer, variance, parsed.normalize, report)


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
    """Write each encoding's file, and its hash into a file of its own.

    ``hashes.json`` was written with the first four and does not grow.
    """
    folder.mkdir(parents=True, exist_ok=True)
    first = {f"{recipe}.npz": encoding(recipe).hash for recipe in ENCODINGS[:4]}
    if not (folder / "hashes.json").exists():
        _write_json(folder / "hashes.json", first)
    for recipe in ENCODINGS:
        path = folder / f"{recipe}.npz"
        if not path.exists():
            built = encoding(recipe)
            built.save(path)
            if path.name not in first:
                path.with_suffix(".hash").write_text(f"{built.hash}\n", encoding="utf-8")


def _stores() -> list[dict[str, Any]]:
    """Return the stores: both layouts, with and without mask, sharded and not."""
    utm, degrees = "EPSG:32633", "EPSG:4326"
    whole: dict[str, Any] = {"crs": degrees, "gaps": False, "shards": False}
    return [
        {"name": "int8-plain", "recipe": "pca5-int8", "crs": utm, "gaps": True},
        {"name": "int8-codec", "recipe": "pca5-int8", "crs": utm, "gaps": True, "layout": "codec"},
        {"name": "int8-prefix", "recipe": "pca5-int8", "crs": utm, "gaps": True, "prefix": 2},
        {"name": "int8-archive", "recipe": "pca5-int8", "crs": utm, "gaps": True, "archive": True},
        {"name": "int4-plain", "recipe": "pca5-int4", "crs": degrees, "gaps": True},
        {"name": "binary-plain", "recipe": "binary", **whole},
        {"name": "ternary-plain", "recipe": "svd5-ternary", "crs": utm, "gaps": True},
        {
            "name": "ternary-codec",
            "recipe": "rot-ternary",
            "crs": utm,
            "gaps": True,
            "layout": "codec",
        },
        {"name": "pq-plain", "recipe": "pq2x8", "crs": degrees, "gaps": True},
        {"name": "pq-codec", "recipe": "pca5w1-pq5x8", **whole, "layout": "codec"},
        {"name": "itq-plain", "recipe": "pca5w1-itq-binary", "crs": degrees, "gaps": True},
        {"name": "rq-plain", "recipe": "pca4-rq2x8", "crs": degrees, "gaps": True},
        {"name": "whitened-plain", "recipe": "pca5w1-rot-int8-lloyd", "crs": utm, "gaps": True},
        {"name": "power-codec", "recipe": "aef", "crs": utm, "gaps": True, "layout": "codec"},
        {
            "name": "float16-plain",
            "recipe": "random5-float16",
            "crs": "EPSG:3857",
            "gaps": True,
            "names": NAMES,
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
    prefix: int | None = None,
    archive: bool = False,
    names: tuple[str | None, ...] = (),
) -> None:
    """Write one store and what its views hold; `gaps` makes a pixel and a whole shard invalid."""
    built = encoding(recipe)
    chunks = ChunkLayout(SHAPE, (2, 2), (4, 4), is_sharded=shards, prefix=prefix)
    plan = StorePlan(built, chunks, layout, archive=archive)
    writer = StoreWriter(str(folder / f"{name}.zarr"), plan)
    data = values((DIMENSION, *SHAPE))
    if gaps:
        data[3, 1, 2] = np.nan
        data[:, 4:, 4:] = np.inf
    codes, valid = built.encode_block(data.reshape(DIMENSION, -1))
    codes, valid = codes.reshape(-1, *SHAPE), valid.reshape(SHAPE)
    stored: dict[str, StoredObject] = {}
    for window in chunks.shards():
        rows, cols = window.slices
        stored |= writer.write_shard(window, codes[:, rows, cols], valid[rows, cols])
    attributes = replace(_attributes(built, crs, layout, int(valid.sum())), band_names=names)
    writer.finish(attributes, stored)
    reader = StoreReader.open(writer.url)
    window = reader.attributes.grid.window
    np.save(folder / f"{name}.codes.npy", codes)
    for space in ("reduced", "original"):
        np.save(folder / f"{name}.{space}.npy", reader.read(window, space))
    if Recipe.parse(recipe).whiten:
        np.save(folder / f"{name}.whitened.npy", reader.read(window, "reduced", whiten=1.0))


def _write_overviews(folder: Path, name: str, recipe: str) -> None:
    """Write a store with two levels, and what the views of the levels hold."""
    with TemporaryDirectory() as other:
        _write_store(Path(other), name, recipe, "EPSG:4326", gaps=True)
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copytree(Path(other) / f"{name}.zarr", folder / f"{name}.zarr")
    vector_kinds.add_overviews(folder / f"{name}.zarr")


def _attributes(built: Encoding, crs: str, layout: Layout, valid: int) -> StoreAttributes:
    from pyproj import CRS

    system = CRS.from_user_input(crs)
    return StoreAttributes(
        grid=Grid(system.to_wkt("WKT2_2019"), crs, GRIDS[crs], SHAPE),
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
