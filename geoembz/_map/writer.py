"""Write a map as a plain Zarr group: shards in any order, metadata at the end (spec/map.md)."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
import zarr_cm
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from geoembz._geo.grid import Grid, Window
from geoembz._map.bands import MapBands
from geoembz._objects.tree import ObjectTree
from geoembz.store.attributes import place_attributes
from geoembz.store.chunk_reader import reader_of
from geoembz.store.digests import StoredObject, StoredObjects, check_stored
from geoembz.store.documents import (
    array_options,
    consolidated,
    open_codes,
    write_coordinates,
    write_small,
)
from geoembz.store.layout import ChunkLayout
from geoembz.store.lock import Fence
from geoembz.store.maps import ATTRIBUTE, BAND, MAP
from geoembz.store.writer import ChunkWriter, open_zarr_store, writable_store, write_faults

if TYPE_CHECKING:
    from zarr.core.buffer import Buffer


@dataclass(frozen=True)
class MapPlan:
    """Enough to write a map's shards on any machine and its metadata at the end.

    Parameters
    ----------
    grid
        Where its pixels lie, the first row in the north.
    bands
        What they hold.
    chunks
        Chunk and shard shapes.
    """

    grid: Grid
    bands: MapBands
    chunks: ChunkLayout

    def create(self, group: zarr.Group) -> None:
        """Create `map`."""
        bands, chunks = self.bands, self.chunks
        options = array_options()
        attributes = {"nodata": None if np.isnan(bands.nodata) else bands.nodata, **_cf(bands)}
        known = {name: value for name, value in attributes.items() if value is not None}
        options["attributes"] = {**options["attributes"], **known}
        group.create_array(
            MAP,
            shape=(bands.count, *chunks.shape),
            dtype=bands.dtype,
            chunks=(1, *chunks.chunk),
            shards=(bands.count, *chunks.shard),
            fill_value=np.dtype(bands.dtype).type(bands.nodata),
            dimension_names=(BAND, "y", "x"),
            **options,
        )


def _cf(bands: MapBands) -> dict[str, Any]:
    """Return the CF attributes of a map's array."""
    cf: dict[str, Any] = {"long_name": bands.kind}
    if bands.classes:
        cf["flag_values"] = [each.value for each in bands.classes]
        cf["flag_meanings"] = " ".join("_".join(each.name.split()) for each in bands.classes)
    if bands.scale != 1:
        cf |= {"scale_factor": bands.scale, "_FillValue": bands.nodata}
    return cf


class MapWriter:
    """Writes one map. It can be pickled: every process opens the destination by itself.

    Parameters
    ----------
    tree
        Where it is built.
    plan
        What it will be.
    """

    def __init__(self, tree: ObjectTree, plan: MapPlan) -> None:
        self.tree, self.plan = tree, plan
        objects: dict[str, Buffer] = {}
        plan.create(zarr.create_group(MemoryStore(objects)))
        self._document = json.loads(objects[f"{MAP}/zarr.json"].to_bytes())
        self._array: ChunkWriter | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Leave out the open array."""
        return {**self.__dict__, "_array": None}

    def write(self, shard: Window, values: NDArray[Any]) -> dict[str, StoredObject]:
        """Write the values of a shard, shape ``(n_bands, height, width)``; return its objects."""
        with write_faults(self.tree.url, f"PUT shard at row {shard.row}, column {shard.col}"):
            if self._array is None:
                array = open_codes(writable_store(self.tree), self._document, MAP)
                self._array = ChunkWriter(array)
            return self._array.write((0, shard.row, shard.col), values)

    def read(self, window: Window) -> NDArray[Any]:
        """Read what was written of a window, shape ``(n_bands, height, width)``."""
        array = open_codes(open_zarr_store(self.tree.url), self._document, MAP)
        return reader_of(array)((slice(None), *window.slices))

    def finish(self, attributes: Mapping[str, Any], stored: StoredObjects, fence: Fence) -> None:
        """Write the small arrays, then all metadata, the root's last: the map now exists.

        Raises
        ------
        StoreError
            If a shard was lost or cut since it was written, or the place is another's.
        """
        check_stored(self.tree, stored)
        objects: dict[str, Buffer] = {}
        memory = MemoryStore(objects)
        place = dict(zarr_cm.create_many(place_attributes(self.plan.grid)))  # type: ignore[arg-type]
        root = zarr.create_group(memory, attributes={**place, ATTRIBUTE: dict(attributes)})
        self.plan.create(root)
        write_coordinates(root, self.plan.grid)
        numbers = np.arange(1, self.plan.bands.count + 1)
        write_small(root, BAND, numbers, (BAND,), {"names": list(self.plan.bands.names)})
        for key, content in consolidated(memory, objects).items():
            if key == "zarr.json":
                fence.check()
            self.tree.write(key, content)
