"""The metadata and the small arrays of a store, made by zarr-python in memory.

zarr-python writes every ``zarr.json``; we only decide when each one goes to the destination.
"""

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
import zarr_cm
from numpy.typing import NDArray
from zarr.codecs import ShardingCodec
from zarr.core.buffer import default_buffer_prototype
from zarr.core.metadata import ArrayV3Metadata
from zarr.storage import MemoryStore, StorePath

from geoembz._geo.grid import Grid
from geoembz.codecs import PREFIX
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from geoembz.sources.layers import Layer, checked_layers
from geoembz.store.attributes import StoreAttributes, place_attributes
from geoembz.store.conventions import (
    CF_TIME,
    TIME,
    TIMES,
    Layout,
    cf_axis,
    cf_grid_mapping,
    records_digests,
)
from geoembz.store.digests import (
    DIGESTS,
    ROOT,
    StoredObjects,
    read_seal,
    write_digests,
)
from geoembz.store.layout import ChunkLayout
from geoembz.store.levels import MULTISCALES, OVERVIEWS, Level
from geoembz.store.packing import compression, differences

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer

EMBEDDING, VALID = "embedding", "valid"

CONSOLIDATED = "consolidated_metadata"
"""Member of a root document that repeats all others."""

_TIME_CHUNK = 64
"""Dates per chunk of `time`, written whole: a store that grows rewrites one object."""

_ENCODING_DIMENSIONS: dict[tuple[str, int], tuple[str, ...]] = {
    ("projection", 2): ("component", "dimension"),
    ("inverse", 2): ("component", "dimension"),
    ("rotation", 2): ("component", "unrotated_component"),
    ("mean", 1): ("dimension",),
    ("variance", 1): ("component",),
    ("scale", 1): ("component",),
    ("offset", 1): ("component",),
    ("threshold", 1): ("component",),
    ("threshold", 2): ("component", "boundary"),
    ("codebook", 2): ("component", "level"),
}
"""Names of the dimensions of every array of an encoding, by its name and number of dimensions."""

_CENTRES_DIMENSIONS = {
    "subquantizer": ("subquantizer", "level", "subcomponent"),
    "stage": ("stage", "level", "component"),
}
"""Those of a codebook of whole vectors, or of parts of them, by the axis of the codes."""


@dataclass(frozen=True)
class StorePlan:
    """What a store will be: enough to write its shards on any machine and its metadata at the end.

    Parameters
    ----------
    encoding
        The fitted encoding.
    chunks
        Chunk and shard shapes.
    layout
        ``plain`` or ``codec``: only ``zarr.json`` of `embedding` differs.
    dates
        Dates of the time axis, as ``YYYY-MM-DD``; empty for a store without one.
    levels
        Chunk and shard shapes of the levels below the full resolution, finest first.
    archive
        Whether chunks are packed to be small, not to be read often.
    layers
        Numbers of pixels beside the vectors.
    """

    encoding: Encoding
    chunks: ChunkLayout
    layout: Layout = "plain"
    dates: tuple[str, ...] = ()
    levels: tuple[ChunkLayout, ...] = ()
    archive: bool = False
    layers: tuple[Layer, ...] = ()

    def __post_init__(self) -> None:
        """Refuse a codec layout without codecs, and layers of one name."""
        checked_layers(self.layers)
        if self.layout not in {"plain", "codec"}:
            raise InvalidConfigError(f"layout {self.layout!r}; expected 'plain' or 'codec'")
        if self.chunks.prefix is not None and self.layout == "codec":
            raise InvalidConfigError(
                "layout codec with prefix chunks: our codecs take a vector whole; use "
                "--layout plain, or leave --prefix-chunks out"
            )
        if self.archive and self.layout == "codec":
            raise InvalidConfigError(
                "layout codec as an archive: the differences that it stores are of codes, and the "
                "array's are vectors; use --layout plain, or leave --archive out"
            )
        if self.dates and self.layout == "codec":
            raise InvalidConfigError(
                "layout codec with a time axis: our codecs take the component axis first; use "
                "--layout plain, or leave --time out"
            )

    @property
    def has_mask(self) -> bool:
        """Whether validity is an array of its own."""
        return self.encoding.nodata is None and self.layout == "plain"

    def level(self, number: int) -> "StorePlan":
        """Return the plan of a level's arrays; 1 is the finest."""
        return replace(self, chunks=self.levels[number - 1], levels=(), layers=())

    @property
    def arrays(self) -> tuple[str, ...]:
        """Paths of the arrays whose chunks are many: of codes, masks, layers and levels."""
        own = (EMBEDDING, VALID) if self.has_mask else (EMBEDDING,)
        paths = [f"{OVERVIEWS}/{2**number}" for number in range(1, len(self.levels) + 1)]
        layers = (layer.name for layer in self.layers)
        return (*own, *layers, *(f"{path}/{name}" for path in paths for name in own))

    @property
    def time_axis(self) -> tuple[str, ...]:
        """``("time",)`` where there is such an axis, else nothing."""
        return (TIME,) if self.dates else ()

    @staticmethod
    def axis_of(encoding: Encoding) -> str:
        """Return the name of the first axis of an encoding's stored codes."""
        quantizer = encoding.quantizer
        if quantizer.bits < 8:
            return "component_byte"
        return quantizer.axis


def array_options(*, archive: bool = False) -> dict[str, Any]:
    """Return what all large arrays share: spatial attributes and entropy coding."""
    return {
        "compressors": [compression(archive=archive)],
        "attributes": {"grid_mapping": "spatial_ref", "coordinates": "spatial_ref"},
        "config": {"write_empty_chunks": False},
        "overwrite": False,
    }


def create_codes(group: zarr.Group, plan: StorePlan) -> None:
    """Create `embedding` as the integers it holds, whatever the layout."""
    encoding, options = plan.encoding, array_options(archive=plan.archive)
    dimensions = (*plan.time_axis, StorePlan.axis_of(encoding), "y", "x")
    if plan.archive:
        options["filters"] = differences(encoding.code_dtype.name, dimensions, encoding.fill_value)
    if encoding.code_dtype == np.int8:
        options["attributes"] = {**options["attributes"], "nodata": encoding.nodata}
    group.create_array(
        EMBEDDING,
        dtype=encoding.code_dtype,
        fill_value=encoding.fill_value,
        dimension_names=dimensions,
        **_shapes(plan, encoding.code_length),
        **options,
    )


def _create_vectors(group: zarr.Group, plan: StorePlan) -> None:
    """Create `embedding` as the float32 vectors that its codec chain decodes to."""
    from geoembz.codecs.zarr import codec_chain

    encoding = plan.encoding
    group.create_array(
        EMBEDDING,
        dtype=np.float32,
        fill_value=np.nan,
        dimension_names=("dimension", "y", "x"),
        filters=codec_chain(encoding),
        **_shapes(plan, encoding.dimension),
        **array_options(archive=plan.archive),
    )


def create_mask(group: zarr.Group, plan: StorePlan) -> None:
    """Create `valid`."""
    group.create_array(
        VALID,
        dtype=np.bool_,
        fill_value=False,
        dimension_names=(*plan.time_axis, "y", "x"),
        **_shapes(plan),
        **array_options(archive=plan.archive),
    )


def create_layers(group: zarr.Group, plan: StorePlan) -> None:
    """Create the arrays of the layers, cut as `valid` is."""
    for layer in plan.layers:
        options = array_options(archive=plan.archive)
        group.create_array(
            layer.name,
            dtype=layer.dtype,
            fill_value=layer.fill,
            dimension_names=(*plan.time_axis, "y", "x"),
            **_shapes(plan),
            **{**options, "attributes": {**options["attributes"], **layer.attributes()}},
        )


def store_documents(
    plan: StorePlan, attributes: StoreAttributes, stored: StoredObjects, date: int = 0
) -> dict[str, bytes]:
    """Return every object of a finished store but the shards, by key, root ``zarr.json`` last.

    Parameters
    ----------
    plan, attributes
        The store.
    stored
        What was written of `embedding`, `valid` and layers, at one date where there is a time axis.
    date
        Position of that date: chunks of `digests` that belong to others are not returned.
    """
    objects: dict[str, Buffer] = {}
    memory = MemoryStore(objects)
    root = zarr.create_group(memory, attributes=attributes.to_json())
    _write_raster(root, plan, attributes.grid)
    write_encoding(root.create_group("encoding"), plan.encoding)
    _write_levels(root, plan, attributes)
    if records_digests(attributes.version):
        write_digests(root, objects, plan.arrays, stored, date)
    return consolidated(memory, objects)


def level_documents(
    document: Mapping[str, Any],
    plan: StorePlan,
    attributes: StoreAttributes,
    stored: StoredObjects,
) -> dict[str, bytes]:
    """Return the objects, but for shards, that give levels to a finished store; its root last.

    Parameters
    ----------
    document
        The root's ``zarr.json``, without levels; attributes unknown here are kept.
    plan, attributes
        The store, levels included.
    stored
        What was written of the levels, at all dates.
    """
    objects: dict[str, Buffer] = {}
    memory = MemoryStore(objects)
    own = attributes.to_json()
    others = {key: value for key, value in document["attributes"].items() if key not in own}
    root = zarr.create_group(memory, attributes={**own, **others})
    insert_documents(objects, "", document)
    former = set(objects)
    _write_levels(root, plan, attributes)
    levels = [path for path in plan.arrays if path.startswith(OVERVIEWS)]
    write_digests(root, objects, levels, stored, None)
    made = consolidated(memory, objects)
    return {key: value for key, value in made.items() if key == ROOT or key not in former}


def without_levels(document: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Return a root document, and the digests of a store's objects, as if it had no levels.

    Parameters
    ----------
    document
        The root's ``zarr.json``.
    """

    def is_kept(key: str) -> bool:
        return not f"{key}/".startswith((f"{OVERVIEWS}/", f"{DIGESTS}/{OVERVIEWS}/"))

    attributes = {k: v for k, v in document["attributes"].items() if k != MULTISCALES}
    attributes["zarr_conventions"] = [
        entry for entry in attributes["zarr_conventions"] if entry.get("name") != MULTISCALES
    ]
    if TIMES in attributes:
        attributes[TIMES] = [
            {key: value for key, value in entry.items() if key != OVERVIEWS}
            for entry in attributes[TIMES]
        ]
    listed = document[CONSOLIDATED]
    members = {key: value for key, value in listed["metadata"].items() if is_kept(key)}
    digests = read_seal(document) or {}
    return (
        {**document, "attributes": attributes, CONSOLIDATED: {**listed, "metadata": members}},
        {key: value for key, value in digests.items() if is_kept(key)},
    )


def insert_documents(objects: "dict[str, Buffer]", below: str, document: Mapping[str, Any]) -> None:
    """Put the documents that a root's consolidated metadata repeat among objects in memory.

    Parameters
    ----------
    objects
        Of a `MemoryStore`.
    below
        Where they go: a group and ``/``, or nothing.
    document
        The root's ``zarr.json``.
    """
    for key, member in document[CONSOLIDATED]["metadata"].items():
        alone = {part: value for part, value in member.items() if part != CONSOLIDATED}
        content = default_buffer_prototype().buffer.from_bytes(json.dumps(alone).encode())
        objects[f"{below}{key}/{ROOT}"] = content


def _write_raster(group: zarr.Group, plan: StorePlan, grid: Grid) -> None:
    """Create the arrays of codes, validity and layers; write what says where and when."""
    (_create_vectors if plan.layout == "codec" else create_codes)(group, plan)
    if plan.has_mask:
        create_mask(group, plan)
    create_layers(group, plan)
    write_coordinates(group, grid)
    if plan.dates:
        _write_time(group, plan.dates)


def _write_levels(root: zarr.Group, plan: StorePlan, attributes: StoreAttributes) -> None:
    for number in range(1, len(plan.levels) + 1):
        level = Level.of(attributes.grid, number)
        place = dict(zarr_cm.create_many(place_attributes(level.grid)))  # type: ignore[arg-type]
        group = root.create_group(level.path, attributes=place)
        _write_raster(group, plan.level(number), level.grid)


def consolidated(memory: MemoryStore, objects: "Mapping[str, Buffer]") -> dict[str, bytes]:
    """Return a store's objects with consolidated metadata, in the order of writing them."""
    with warnings.catch_warnings():
        # Zarr v3 readers look for consolidated metadata although v3 does not specify it yet.
        warnings.filterwarnings("ignore", message="Consolidated metadata is currently not part")
        zarr.consolidate_metadata(memory)
    order = sorted(objects, key=lambda key: (write_stage(key), key))
    return {key: objects[key].to_bytes() for key in order}


def open_codes(
    store: Any, document: Mapping[str, Any], path: str, *, first_axis_slowest: bool = False
) -> zarr.Array[Any]:
    """Bind array metadata to a store that need not hold it (yet).

    Inside a shard zarr-python writes chunks along a Morton curve. `first_axis_slowest` writes those
    of the first components before all others, so that a prefix is one run of bytes: readers join
    ranges with small gaps, and would fetch what lies between.
    """
    metadata = ArrayV3Metadata.from_dict(dict(document))
    if first_axis_slowest:
        codecs = tuple(_in_array_order(codec) for codec in metadata.codecs)
        metadata = replace(metadata, codecs=codecs)
    return zarr.Array(zarr.AsyncArray(metadata=metadata, store_path=StorePath(store, path)))


def _in_array_order(codec: Any) -> Any:
    if not isinstance(codec, ShardingCodec):
        return codec
    return ShardingCodec(
        chunk_shape=codec.chunk_shape,
        codecs=codec.codecs,
        index_codecs=codec.index_codecs,
        index_location=codec.index_location,
        subchunk_write_order="lexicographic",
    )


def plain_document(document: Mapping[str, Any], encoding: Encoding) -> dict[str, Any]:
    """Return the metadata under which an `embedding` of the codec layout reads as integers.

    The layouts differ only here: take our codecs out of the chain, and give shape, chunks, type
    and fill value of what comes out of them.
    """
    length, fill = encoding.code_length, encoding.fill_value

    def cut(shape: list[int]) -> list[int]:
        return [length, *shape[1:]]

    def without_ours(codecs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        kept = [codec for codec in codecs if not codec["name"].startswith(PREFIX)]
        return [_plain_sharding(codec) if "sharding" in codec["name"] else codec for codec in kept]

    def _plain_sharding(codec: dict[str, Any]) -> dict[str, Any]:
        inner = codec["configuration"]
        changed = {
            "chunk_shape": cut(inner["chunk_shape"]),
            "codecs": without_ours(inner["codecs"]),
        }
        return {**codec, "configuration": {**inner, **changed}}

    grid = document["chunk_grid"]
    chunk_shape = cut(grid["configuration"]["chunk_shape"])
    return {
        **document,
        "shape": cut(document["shape"]),
        "data_type": encoding.code_dtype.name,
        "chunk_grid": {**grid, "configuration": {"chunk_shape": chunk_shape}},
        "fill_value": "NaN" if fill != fill else fill,
        "codecs": without_ours(document["codecs"]),
    }


def _shapes(plan: StorePlan, *components: int) -> dict[str, Any]:
    """Return shape, chunks and shards behind the time axis, of which every chunk holds one date."""
    chunks, one = plan.chunks, tuple(1 for _ in plan.time_axis)
    dates = tuple(len(plan.dates) for _ in plan.time_axis)
    parts = tuple(chunks.prefix or count for count in components)
    whole = tuple(-(-count // part) * part for count, part in zip(components, parts, strict=True))
    return {
        "shape": (*dates, *components, *chunks.shape),
        "chunks": (*one, *parts, *chunks.chunk),
        "shards": (*one, *whole, *chunks.shard) if chunks.is_sharded else None,
    }


def write_stage(key: str) -> int:
    """Return when an object is written: data first, then metadata, the root's metadata last."""
    if key == ROOT:
        return 2
    return 1 if key.endswith(ROOT) else 0


def write_coordinates(root: zarr.Group, grid: Grid) -> None:
    """Write `x`, `y` and the CF grid mapping `spatial_ref`."""
    for name, values in (("y", grid.y), ("x", grid.x)):
        write_small(root, name, values, (name,), cf_axis(grid, name))
    mapping = np.array(0, dtype=np.int64)
    write_small(root, "spatial_ref", mapping, (), cf_grid_mapping(grid))


def _write_time(root: zarr.Group, dates: tuple[str, ...]) -> None:
    days = np.array(dates, dtype="datetime64[D]").astype(np.int64)
    array = root.create_array(
        TIME,
        shape=days.shape,
        dtype=np.int64,
        chunks=(_TIME_CHUNK,),
        dimension_names=(TIME,),
        attributes=dict(CF_TIME),
        compressors=[compression(archive=False)],
        config={"write_empty_chunks": True},
    )
    array[...] = days


def write_encoding(group: zarr.Group, encoding: Encoding) -> None:
    """Write the arrays of an encoding."""
    for name, array in sorted(encoding.arrays().items()):
        names = _ENCODING_DIMENSIONS.get((name, array.ndim))
        write_small(group, name, array, names or _CENTRES_DIMENSIONS[encoding.quantizer.axis], {})


def write_small(
    group: zarr.Group,
    name: str,
    values: NDArray[Any],
    dimensions: tuple[str, ...],
    attributes: dict[str, Any],
) -> None:
    """Write an array as one chunk, even where every value is the fill value."""
    array = group.create_array(
        name,
        shape=values.shape,
        dtype=values.dtype,
        chunks=values.shape,
        dimension_names=dimensions,
        attributes=attributes,
        compressors=[compression(archive=False)],
        config={"write_empty_chunks": True},
    )
    array[...] = values
