"""What a conversion, an appended date or an update would read and write: for dry runs."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

import numpy as np

from geoembz._convert.sampling import read_shape
from geoembz._geo.grid import Window
from geoembz._util.dry_run import DryRun
from geoembz.encoding import Encoding, Recipe
from geoembz.sources import Source
from geoembz.sources.base import traits_of
from geoembz.store.documents import StorePlan
from geoembz.store.layout import ChunkLayout, TablePlan

if TYPE_CHECKING:
    from geoembz.sources.tables import TableSource

_FEWEST_ROWS = 1_024
"""Of noise: what codebooks of 256 vectors can be fitted on."""

_PLACE_BYTES = 2 * np.dtype(np.float64).itemsize
"""Of `x` and `y`."""


@dataclass(frozen=True)
class Outlook:
    """What one grid, or a table, would take.

    Parameters
    ----------
    inputs
        Sizes of the files that are read, by their names; None for those that nobody knows.
    count
        Pixels or rows that are read.
    vector_bytes
        Of one of them, uncompressed.
    encoding
        As stored vectors would have it.
    shards, done
        Stored shards, and those of them that are written already.
    objects, bytes_written
        Objects and bytes of all shards, at most, before compression.
    memory_bytes
        What the work holds at once.
    notes
        What a reader may want to know.
    """

    inputs: Mapping[str, int | None]
    count: int
    vector_bytes: int
    encoding: Encoding
    shards: int
    done: int
    objects: int
    bytes_written: int
    memory_bytes: int
    notes: tuple[str, ...] = ()


def foresee(
    command: str, destination: str, state: str, parts: Sequence[Outlook], unit: str = "pixel"
) -> DryRun:
    """Return what a command would do to all grids of a store.

    Parameters
    ----------
    command, destination, state, unit
        As `DryRun` has them.
    parts
        Of each grid.
    """
    inputs = {name: size for part in parts for name, size in part.inputs.items()}
    sizes = [size for size in inputs.values() if size is not None]
    encoding = parts[0].encoding
    return DryRun(
        command=command,
        destination=destination,
        state=state,
        inputs=tuple(inputs),
        input_bytes=sum(sizes) if len(sizes) == len(inputs) else None,
        unit=unit,
        count=sum(part.count for part in parts),
        bytes_read=sum(part.count * part.vector_bytes for part in parts),
        recipe=encoding.recipe,
        bytes_per_embedding=encoding.bytes_per_vector,
        grids=len(parts),
        shards=sum(part.shards for part in parts),
        shards_done=sum(part.done for part in parts),
        objects=sum(part.objects for part in parts),
        bytes_written=sum(part.bytes_written for part in parts),
        memory_bytes=max(part.memory_bytes for part in parts),
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def foresee_all(command: str, url: str, parts: Sequence[tuple[Outlook, str]]) -> DryRun:
    """Return what a command would do to the grids of a store, each with what is there now."""
    states = dict.fromkeys(state for _, state in parts)
    return foresee(command, url, "; ".join(states), [outlook for outlook, _ in parts])


def outlook_of_raster(
    source: Source, plan: StorePlan, shards: Sequence[Window], done: int, workers: int
) -> Outlook:
    """Return what it takes to write shards of a raster.

    Parameters
    ----------
    source
        The input.
    plan
        Of the store.
    shards
        Those to write.
    done
        How many of them are written already.
    workers
        Shards at once.
    """
    encoding, traits = plan.encoding, traits_of(source)
    pixels = [shard.size for shard in shards]
    pixel_bytes = encoding.bytes_per_vector + plan.has_mask
    layer_bytes = sum(np.dtype(layer.dtype).itemsize for layer in plan.layers)
    levels = [prod(level.shape) for level in plan.levels]
    objects = _count_objects(plan, shards, plan.chunks, len(plan.layers))
    objects += sum(_count_objects(plan, level.shards(), level) for level in plan.levels)
    block = prod(read_shape(source)) * source.dimension * _held_bytes(source)
    return Outlook(
        inputs={info.uri: info.size_bytes for info in source.info},
        count=source.grid.window.size,
        vector_bytes=source.dimension * source.dtype.itemsize,
        encoding=encoding,
        shards=len(pixels),
        done=done,
        objects=objects,
        bytes_written=sum(pixels) * (pixel_bytes + layer_bytes) + sum(levels) * pixel_bytes,
        memory_bytes=workers * (2 * max(pixels, default=0) * pixel_bytes + block),
        notes=traits.notes,
    )


def _held_bytes(source: Source) -> int:
    """Return the size of a number while it is read, converted and projected."""
    return source.dtype.itemsize + 2 * np.dtype(np.float32).itemsize


def _count_objects(
    plan: StorePlan, shards: Iterable[Window], chunks: ChunkLayout, n_layers: int = 0
) -> int:
    """Return how many objects the codes, masks and layers of shards are."""
    is_cut = not chunks.is_sharded and chunks.prefix is not None
    parts = -(-plan.encoding.code_length // (chunks.prefix or 1)) if is_cut else 1
    height, width = chunks.stored_chunk
    places = sum(-(-shard.height // height) * -(-shard.width // width) for shard in shards)
    return places * (parts + plan.has_mask + n_layers)


def outlook_of_table(source: "TableSource", plan: TablePlan, done: int, workers: int) -> Outlook:
    """Return what it takes to write the shards of a table; see `outlook_of_raster`."""
    from geoembz.store.table_writer import row_arrays

    row_bytes = plan.encoding.bytes_per_vector + plan.has_mask + _PLACE_BYTES
    row_bytes += sum(np.dtype(column.dtype).itemsize for column in plan.columns)
    shards = len(list(plan.shards()))
    shard_bytes = plan.shard * (row_bytes + source.other_bytes)
    return Outlook(
        inputs={info.uri: info.size_bytes for info in source.info},
        count=plan.n_rows,
        vector_bytes=source.dimension * source.dtype.itemsize,
        encoding=plan.encoding,
        shards=shards,
        done=done,
        objects=shards * len(row_arrays(plan)) + 1,  # the file of the other columns
        bytes_written=int(plan.n_rows * (row_bytes + source.other_bytes)),
        memory_bytes=int(2 * workers * shard_bytes),
    )


def encoding_like(recipe: Recipe, dimension: int, seed: int) -> Encoding:
    """Return an encoding of the form that a recipe will have: fitted on noise, to read nothing."""
    n_rows = max(_FEWEST_ROWS, 2 * (recipe.n_components or 0))
    noise = np.random.default_rng(seed).normal(size=(dimension, n_rows)).astype(np.float32)
    return Encoding.fit_blocks([noise], recipe, dimension, seed)
