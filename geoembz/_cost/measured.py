"""Measure what an existing store weighs, from its listing and its metadata.

Knows Zarr v3's `zarr.json`; reads no array data. Stores of one grid, of several and of tables.
Pixels of shards that were never written are not counted: an empty shard has no object.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

from geoembz._cost.reads import Layout, ObjectCount
from geoembz._objects.names import is_codes
from geoembz._objects.tree import ObjectTree
from geoembz.errors import InvalidConfigError, StoreError

_ARRAY, _SHARDS = "/zarr.json", "/c/"


@dataclass(frozen=True, slots=True)
class StoreSize:
    """What a store weighs.

    Parameters
    ----------
    stored_bytes
        Size of every object, in bytes: codes, `valid`, columns, scales, coordinates, metadata.
    pixels
        Pixels or rows in the shards that exist, over all grids, per time step.
    years
        Time steps.
    layout
        Chunk and shard of the codes, in pixels; one row wide, for a table.
    objects
        How many objects there are, and which become more with the pixels.
    unit
        What `pixels` counts.
    """

    stored_bytes: int
    pixels: int
    years: int
    layout: Layout
    objects: ObjectCount
    unit: Literal["pixels", "rows"]


@dataclass(frozen=True, slots=True)
class _Codes:
    """Metadata of one `embedding` array: axes are ([time,] component, y, x) or (sample, component).

    A table's rows are pixels of a raster that is one column wide.
    """

    shape: tuple[int, ...]
    shard: tuple[int, ...]
    chunk: tuple[int, ...]

    @property
    def is_table(self) -> bool:
        """Whether rows of a table are stored, not pixels."""
        return len(self.shape) == 2

    @property
    def component_axis(self) -> int:
        """Which axis holds the components of a vector."""
        return 1 if self.is_table else len(self.shape) - 3

    @property
    def years(self) -> int:
        """Time steps."""
        return self.shape[0] if len(self.shape) == 4 else 1

    @property
    def layout(self) -> Layout:
        """Chunk and shard, in pixels."""
        axis = self.component_axis
        parts, is_sharded = -(-self.shape[axis] // self.chunk[axis]), self.chunk != self.shard
        if self.is_table:
            return Layout((self.chunk[0], 1), (self.shard[0], 1), parts, is_sharded)
        chunk, shard = ((sides[-2], sides[-1]) for sides in (self.chunk, self.shard))
        return Layout(chunk, shard, parts, is_sharded)


def measure_store(url: str) -> StoreSize:
    """Return what the store at a path or fsspec URL weighs.

    Raises
    ------
    StoreError
        If there is no store, or no `embedding` array with data in it.
    """
    tree = ObjectTree(url)
    sizes = tree.sizes()
    folders = Counter(key.rpartition(_SHARDS)[0] for key in sizes if _SHARDS in key)
    named = [key.removesuffix(_ARRAY) for key in sizes if key.endswith(_ARRAY)]
    read = [name + _ARRAY for name in named if name in folders or is_codes(name)]
    metadata = {key.removesuffix(_ARRAY): found for key, found in tree.read_json_many(read)}
    arrays = {
        folder: _codes(document, f"{url}/{folder}{_ARRAY}")
        for folder, document in metadata.items()
        if is_codes(folder)
    }
    if not arrays:
        raise StoreError(
            f"cost: {url} holds no 'embedding' array (Zarr v3); "
            "expected a store made by geoembz convert; check the path"
        )
    spans = _spans(arrays, sizes)
    if not sum(spans):
        raise StoreError(f"cost: {url} holds no shard of codes yet; run geoembz convert to its end")
    if len({codes.is_table for codes in arrays.values()}) > 1:
        raise StoreError(f"cost: {url} holds both rasters and tables; give the path of one store")
    years = max(codes.years for codes in arrays.values())
    scaling = sum(folders[name] for name in metadata if _scales(name, metadata[name]))
    codes = next(iter(arrays.values()))
    return StoreSize(
        stored_bytes=sum(sizes.values()),
        pixels=-(-sum(spans) // years),
        years=years,
        layout=codes.layout,
        objects=ObjectCount(sum(span > 0 for span in spans), scaling, len(sizes) - scaling),
        unit="rows" if codes.is_table else "pixels",
    )


def _scales(folder: str, metadata: Any) -> bool:
    """Whether an array has more shards where there are more pixels or rows."""
    names = metadata.get("dimension_names") if isinstance(metadata, Mapping) else None
    axes = set(map(str, names)) if isinstance(names, list) else set()
    return is_codes(folder) or {"y", "x"} <= axes or "sample" in axes


def _spans(arrays: Mapping[str, _Codes], keys: Iterable[str]) -> list[int]:
    """Return how many embeddings lie in each shard of codes."""
    spans = []
    for key in keys:
        folder, found, index = key.rpartition(_SHARDS)
        if found and folder in arrays:
            spans.append(_embeddings(arrays[folder], index))
    return spans


def _codes(metadata: Mapping[str, Any], where: str) -> _Codes:
    try:
        shape = tuple(map(int, metadata["shape"]))
        shard = tuple(map(int, metadata["chunk_grid"]["configuration"]["chunk_shape"]))
        first = metadata["codecs"][0]
        is_sharded = str.startswith(first["name"], "sharding")
        inner = first["configuration"]["chunk_shape"] if is_sharded else shard
        codes = _Codes(shape, shard, tuple(map(int, inner)))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(f"cost: {where} is not Zarr v3 array metadata: {error}") from error
    if len(shape) not in (2, 3, 4) or not len(shape) == len(shard) == len(codes.chunk):
        raise StoreError(
            f"cost: {where} has shape {shape}; expected ([time,] component, y, x), or "
            "(sample, component) of a table"
        )
    return codes


def _embeddings(codes: _Codes, key: str) -> int:
    """Return how many embeddings lie in the shard of an index like ``0/3/5``."""
    index = [int(part) for part in key.split("/") if part.isdecimal()]
    if len(index) != len(codes.shape):
        raise InvalidConfigError(f"cost: object {key!r} does not match shape {codes.shape}")
    component = codes.component_axis
    if index[component]:
        return 0  # a further part of the same pixels (prefix chunks)
    spans = [
        min(step, size - i * step)
        for i, step, size in zip(index, codes.shard, codes.shape, strict=True)
    ]
    return prod(span for axis, span in enumerate(spans) if axis != component)
