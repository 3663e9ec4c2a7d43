"""Measure what an existing store weighs, from its listing and its metadata.

Knows Zarr v3's `zarr.json`; reads no array data. Pixels of shards that were never
written are not counted: an empty shard has no object.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

from geoembz.cost import Layout
from geoembz.errors import InvalidConfigError, StoreError


@dataclass(frozen=True, slots=True)
class StoreSize:
    """What a store weighs.

    Parameters
    ----------
    stored_bytes
        Size of every object, in bytes: codes, `valid`, scales, coordinates, metadata.
    pixels
        Pixels in the shards that exist, over all grids, per time step.
    years
        Time steps.
    layout
        Chunk and shard of the codes, in pixels.
    """

    stored_bytes: int
    pixels: int
    years: int
    layout: Layout


@dataclass(frozen=True, slots=True)
class _Codes:
    """Metadata of one `embedding` array: axes are ([time,] component, y, x)."""

    shape: tuple[int, ...]
    shard: tuple[int, ...]
    chunk: tuple[int, ...]


def measure_store(url: str) -> StoreSize:
    """Return what the store at a path or fsspec URL weighs.

    Raises
    ------
    StoreError
        If there is no store, or no `embedding` array with data in it.
    """
    from geoembz.store import ObjectTree

    tree = ObjectTree(url)
    sizes = tree.sizes()
    arrays = [key for key in sizes if f"/{key}".endswith("/embedding/zarr.json")]
    if not arrays:
        raise StoreError(
            f"cost: {url} holds no 'embedding' array (Zarr v3); "
            "expected a store made by geoembz convert; check the path"
        )
    embeddings = 0
    for key in arrays:
        codes = _codes(tree.read_json(key), f"{url}/{key}")
        prefix = key.removesuffix("zarr.json")
        embeddings += sum(_embeddings(codes, name[len(prefix) :]) for name in sizes
                          if name.startswith(prefix + "c/"))  # fmt: skip
    if embeddings == 0:
        raise StoreError(f"cost: {url} holds no shard of codes yet; run geoembz convert to its end")
    years = codes.shape[0] if len(codes.shape) == 4 else 1
    layout = Layout((codes.chunk[-2], codes.chunk[-1]), (codes.shard[-2], codes.shard[-1]))
    return StoreSize(sum(sizes.values()), -(-embeddings // years), years, layout)


def _codes(metadata: Mapping[str, Any], where: str) -> _Codes:
    try:
        shape = tuple(map(int, metadata["shape"]))
        shard = tuple(map(int, metadata["chunk_grid"]["configuration"]["chunk_shape"]))
        first = metadata["codecs"][0]
        inner = (
            first["configuration"]["chunk_shape"] if first["name"].startswith("shard") else shard
        )
        codes = _Codes(shape, shard, tuple(map(int, inner)))
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise StoreError(f"cost: {where} is not Zarr v3 array metadata: {error}") from error
    if len(shape) not in (3, 4) or not len(shape) == len(shard) == len(codes.chunk):
        raise StoreError(f"cost: {where} has shape {shape}; expected ([time,] component, y, x)")
    return codes


def _embeddings(codes: _Codes, key: str) -> int:
    """Return how many embeddings lie in the shard of a key like ``c/0/3/5``."""
    index = [int(part) for part in key.split("/")[1:] if part.isdecimal()]
    if len(index) != len(codes.shape):
        raise InvalidConfigError(f"cost: object {key!r} does not match shape {codes.shape}")
    component = len(codes.shape) - 3
    if index[component]:
        return 0  # a further part of the same pixels (prefix chunks)
    spans = [
        min(step, size - i * step)
        for i, step, size in zip(index, codes.shard, codes.shape, strict=True)
    ]
    return prod(span for axis, span in enumerate(spans) if axis != component)
