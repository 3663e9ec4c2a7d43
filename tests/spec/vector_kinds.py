"""Golden stores of the other kinds: with a time axis, roots of several grids, tables."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import zarr
from numpy.typing import NDArray

import geoembz
from geoembz._geo.geoparquet import write_emb, write_geo
from geoembz._geo.wkb import encode_points
from geoembz._objects.tree import ObjectTree
from geoembz.encoding import Encoding
from geoembz.sources import Layer
from geoembz.store import StoreReader, TableReader
from geoembz.store.attributes import StoreAttributes, TableAttributes
from geoembz.store.digests import StoredObject, read_seal
from geoembz.store.documents import StorePlan, open_codes, plain_document
from geoembz.store.grids import write_root
from geoembz.store.journal import Journal
from geoembz.store.layout import ChunkLayout, Column, TablePlan
from geoembz.store.open import array_of
from geoembz.store.table_writer import TableWriter
from geoembz.store.writer import StoreWriter
from tests.spec.vector_states import DIMENSION, values

type Attributes = Callable[[Encoding, str, int], StoreAttributes]
"""Attributes of a raster store: of its encoding, CRS and number of valid pixels."""

SHAPE = (5, 6)
DATES = ("2024-01-01", "2023-01-01")
N_ROWS, CHUNK, SHARD = 11, 2, 4
_SPACES: tuple[Literal["reduced", "original"], ...] = ("reduced", "original")


LAYERS = (
    Layer("observations", "uint16", units="1", description="cloud-free observations"),
    Layer("cloud_share", "uint8", nodata=255, scale=0.25, offset=-0.5),
    Layer("Quality", "int8", nodata=-1, flags={0: "good", 1: "thin cirrus"}),
    Layer("spread", "float32", description="standard deviation over the year"),
)


def layer_numbers(position: int) -> dict[str, NDArray[Any]]:
    """Return numbers of the layers at a date: in some shards none, in one those of no embedding."""
    rows, cols = np.indices(SHAPE)
    numbers: dict[str, NDArray[Any]] = {
        "observations": rows * 6 + cols + position,
        "cloud_share": np.where(rows < 4, 255, cols),
        "Quality": np.full(SHAPE, -1) if position else (rows + cols) % 2,
        "spread": np.where(cols < 5, np.nan, rows / 4),
    }
    return {layer.name: numbers[layer.name].astype(layer.dtype) for layer in LAYERS}


def write_times(
    folder: Path, built: Encoding, attributes: Attributes, layers: tuple[Layer, ...] = ()
) -> None:
    """Write a store with two dates: the second, an earlier year, was appended; it has gaps."""
    chunks = ChunkLayout(SHAPE, (2, 2), (4, 4), is_sharded=True)
    url = str(folder / "two-dates.zarr")
    entries: list[dict[str, Any]] = []
    whole = []
    for position, date in enumerate(DATES):
        data = values((DIMENSION, *SHAPE)) / np.float32(position + 1)
        if position:
            data[3, 1, 2], data[:, 4:, 4:] = np.nan, np.inf
        plan = StorePlan(built, chunks, "plain", DATES[: position + 1], layers=layers)
        writer = StoreWriter(url, plan, position)
        codes, valid, stored = _write_grid(writer, data, layer_numbers(position) if layers else {})
        whole.append(codes)
        alone = attributes(built, "EPSG:32633", int(valid.sum()))
        sources = [{"uri": f"urn:example:raster:{date[:4]}"}]
        entries.append(
            {
                "time": date,
                "sources": sources,
                "pixels": dict(alone.pixels),
                "fidelity": dict(alone.fidelity),
            }
        )
        total = {
            name: sum(entry["pixels"][name] for entry in entries) for name in ("total", "valid")
        }
        together = tuple(source for entry in entries for source in entry["sources"])
        attributes_now = replace(
            alone, times=tuple(entries), pixels=total, sources=together, layers=layers
        )
        root = ObjectTree(url).read_json("zarr.json")  # of the first date, if this is the second
        writer.finish(attributes_now, stored, former=read_seal(root))
    reader = StoreReader.open(url)
    window = reader.attributes.grid.window
    np.save(folder / "two-dates.codes.npy", np.stack(whole))
    for space in _SPACES:
        dates = [reader.read(window, space, date=position) for position in range(len(DATES))]
        np.save(folder / f"two-dates.{space}.npy", np.stack(dates))
    for name in reader.layers:
        numbers = [reader.read_layer(name, window, position) for position in range(len(DATES))]
        np.save(folder / f"two-dates.{name}.npy", np.stack(numbers))


def write_grids(folder: Path, built: Encoding, attributes: Attributes) -> None:
    """Write a root of two UTM zones."""
    root = folder / "two-zones.zarr"
    zones = {"utm32n": "EPSG:32632", "utm33n": "EPSG:32633"}
    for index, (name, crs) in enumerate(zones.items()):
        plan = StorePlan(built, ChunkLayout(SHAPE, (2, 2), (2, 2), is_sharded=False))
        writer = StoreWriter(str(root / name), plan)
        data = values((DIMENSION, *SHAPE)) / np.float32(2**index)
        codes, valid, stored = _write_grid(writer, data)
        entry = attributes(built, crs, int(valid.sum()))
        writer.finish(replace(entry, sources=({"uri": f"urn:example:raster:{name}"},)), stored)
        reader = StoreReader.open(writer.url)
        np.save(folder / f"two-zones.{name}.codes.npy", codes)
        for space in _SPACES:
            came = reader.read(reader.attributes.grid.window, space)
            np.save(folder / f"two-zones.{name}.{space}.npy", came)
    write_root(str(root), list(zones))


def add_overviews(store: Path) -> None:
    """Add two levels to a store, and write what their views hold."""
    geoembz.overviews(store, levels=2, workers=1)
    reader = StoreReader.open(str(store))
    for level in reader.attributes.levels:
        start = store.with_name(f"{store.stem}.{level.factor}")
        group = zarr.open_group(store / level.path, mode="r")
        codes, mask = open_level(reader, level.path), group.get("valid")
        np.save(f"{start}.codes.npy", codes)
        valid = None if mask is None else np.asarray(mask[...]).reshape(-1)  # type: ignore[index]
        axis = 1 if reader.dates else 0
        flat = np.moveaxis(codes, axis, 0).reshape(codes.shape[axis], -1)
        for space in _SPACES:
            came = reader.encoding.decode_block(flat, space, valid)
            shape = (len(came), *np.delete(codes.shape, axis))
            np.save(f"{start}.{space}.npy", np.moveaxis(came.reshape(shape), 0, axis))


def open_level(reader: StoreReader, path: str) -> NDArray[Any]:
    """Return the codes of a level, whatever the layout."""
    array = array_of(reader.url, reader.group, f"{path}/embedding")
    document = array.metadata.to_dict()
    if reader.attributes.layout == "codec":
        document = plain_document(document, reader.encoding)
    return np.asarray(open_codes(array.store, document, array.path)[...])


def write_table(folder: Path, name: str, built: Encoding, *, others: bool) -> None:
    """Write a table store; its last row has no place, its third no vector.

    With `others` it has a text column and points in ``table.parquet``; without, numbers alone.
    """
    columns = (
        Column("count", "<i4"),
        Column("when", "<i8", {"units": "seconds since 1970-01-01", "calendar": "standard"}),
    )
    plan = TablePlan(built, N_ROWS, CHUNK, SHARD, columns)
    writer = TableWriter(str(folder / f"{name}.zarr"), plan)
    data = values((DIMENSION, N_ROWS))
    data[:, 2] = np.nan
    codes, valid = built.encode_block(data)
    rows = np.arange(N_ROWS)
    places = np.column_stack([10.0 + rows / 4, 50.0 - rows / 8])
    places[-1] = np.nan
    numbers = {"count": rows.astype("<i4"), "when": rows.astype("<i8") * 86_400}
    points = [point.tobytes() for point in encode_points(places[:, 0], places[:, 1])]
    table = pa.table({"name": [f"chip {row}" for row in rows], "geometry": points})
    stored: dict[str, StoredObject] = {}
    for shard in plan.shards():
        span = shard.slices[0]
        stored |= writer.write_shard(
            shard.row,
            np.ascontiguousarray(codes[:, span].T),
            valid[span],
            places[span],
            {key: column[span] for key, column in numbers.items()},
            table.slice(shard.row, shard.height) if others else None,
        )
    bounds = [[*p.min(axis=0), *p.max(axis=0)] for p in _known_chunks(places)]
    bounds += [[np.nan] * 4] * (plan.n_chunks - len(bounds))
    attributes = _table_attributes(built, int(valid.sum()), others=others)
    starts = [shard.row for shard in plan.shards()]
    writer.finish(attributes, np.array(bounds), starts, _footer(attributes), stored)
    Journal(ObjectTree(writer.url)).clear()
    reader = TableReader.open(writer.url)
    np.save(folder / f"{name}.codes.npy", codes.T)
    for space in _SPACES:
        np.save(folder / f"{name}.{space}.npy", reader.read(rows, space))


def _write_grid(
    writer: StoreWriter, data: NDArray[np.float32], layers: Mapping[str, NDArray[Any]] | None = None
) -> tuple[NDArray[Any], NDArray[np.bool_], dict[str, StoredObject]]:
    """Encode a raster and write its shards; return codes, validity and what was stored."""
    encoding = writer.plan.encoding
    codes, valid = encoding.encode_block(data.reshape(DIMENSION, -1))
    codes, valid = codes.reshape(-1, *SHAPE), valid.reshape(SHAPE)
    stored: dict[str, StoredObject] = {}
    for window in writer.plan.chunks.shards():
        rows, cols = window.slices
        own = {name: numbers[rows, cols] for name, numbers in (layers or {}).items()}
        stored |= writer.write_shard(window, codes[:, rows, cols], valid[rows, cols], own)
    return codes, valid, stored


def _known_chunks(places: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Return the known places of each chunk that has one."""
    chunks = [places[start : start + CHUNK] for start in range(0, N_ROWS, CHUNK)]
    known = [chunk[np.isfinite(chunk).all(axis=1)] for chunk in chunks]
    return [chunk for chunk in known if len(chunk)]


def _table_attributes(built: Encoding, valid: int, *, others: bool) -> TableAttributes:
    from pyproj import CRS

    return TableAttributes(
        crs_wkt=CRS.from_user_input("OGC:CRS84").to_wkt("WKT2_2019"),
        crs_code="OGC:CRS84",
        bbox=(10.0, 48.875, 12.25, 50.0),
        chip_layout={"layout_type": "irregular", "chip_size": [256, 256]},
        encoding=built.config(),
        encoding_hash=built.hash,
        original_dtype="float32",
        stored_dtype=str(built.code_dtype),
        rows={"total": N_ROWS, "valid": valid},
        columns=("count", "when"),
        table="table.parquet" if others else None,
        place={"product": "plain", "geometry": None, "x": "lon", "y": "lat"},
        gsd=10.0,
        model="urn:example:model",
        sources=({"uri": "urn:example:table", "size_bytes": 2112},),
        fit={"n_samples": 1000, "seed": 0, "explained_variance": 0.875},
        fidelity={"cosine": None, "cosine_centred": None, "rmse": None, "n": 0},
        software="geoembz golden vectors",
        license="CC0-1.0",
    )


def _footer(attributes: TableAttributes) -> dict[bytes, bytes]:
    geo = write_geo("geometry", "OGC:CRS84", ["Point"], attributes.bbox)
    emb = write_emb(
        model=attributes.model,
        dimension=DIMENSION,
        kind="chip",
        quantization="geoembz:pca5-int8",
        sources=["urn:example:table"],
    )
    return {b"geo": geo, b"emb": emb}
