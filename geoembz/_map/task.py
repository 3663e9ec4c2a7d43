"""Make the shards of a map: read codes, compute, write and record each as a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import Region
from geoembz._export.tiling import window_shape
from geoembz._geo.grid import Window, split
from geoembz._map.kernel import Kernel
from geoembz._map.writer import MapWriter
from geoembz._objects.explain import stage
from geoembz._objects.tree import ObjectTree
from geoembz._search.scorer import valid_codes
from geoembz.encoding._quantization import Codes
from geoembz.store.digests import StoredObjects, parse_objects
from geoembz.store.journal import Journal
from geoembz.store.lock import Fence
from geoembz.store.map_figures import MapFigures

_BLOCK_BYTES = 16 * 2**20
"""Codes and values that are held at once, beside the values of a shard."""

_SHARD_BYTES = 2**27
"""Codes of a server's shard that are held at once; ours have 64 MB, and at most twice that."""


@dataclass(frozen=True)
class MapShard:
    """What a finished shard adds to a map.

    Parameters
    ----------
    figures
        Sums over its valid pixels.
    stored
        The objects that were written, by key.
    """

    figures: MapFigures = field(default_factory=MapFigures)
    stored: StoredObjects = field(default_factory=dict)
    kept: ClassVar[StoredObjects] = {}

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal records it."""
        return {"figures": self.figures.to_json(), "stored": dict(self.stored)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        return cls(MapFigures.from_json(document["figures"]), parse_objects(document["stored"]))


@dataclass(frozen=True)
class MapTask:
    """Makes one shard of a map after another; call it with the shard's window.

    Parameters
    ----------
    inputs
        What is read: regions of one shape.
    kernel
        Makes values of their codes.
    writer
        Of the map.
    journal, fence
        Where finished shards are recorded; whose the destination is.
    may_repeat
        Whether a shard may be finished already: by a worker that was lost afterwards.
    """

    inputs: tuple[Region, ...]
    kernel: Kernel
    writer: MapWriter
    journal: Journal
    fence: Fence
    may_repeat: bool

    def __call__(self, shard: Window) -> MapShard:
        """Make one shard, unless the journal has it.

        Raises
        ------
        StoreError
            If the destination is another's by now, or the store cannot be read.
        """
        self.fence.check()
        done = self.journal.find(shard) if self.may_repeat else None
        return self._make(shard) if done is None else MapShard.from_json(done)

    def _make(self, shard: Window) -> MapShard:
        bands = self.kernel.bands
        values, valid = bands.empty(*shard.shape), np.zeros(shard.shape, np.bool_)
        chunk = self.inputs[0].reader.codes.chunks
        pixel_bytes = bands.pixel_bytes + sum(
            region.reader.encoding.code_length * region.reader.codes.dtype.itemsize
            for region in self.inputs
        )
        shape = window_shape((chunk[-2], chunk[-1]), shard.width, pixel_bytes, _BLOCK_BYTES)
        inputs = [_Input.of(region, shard) for region in self.inputs]
        for block in split(shard, shape):
            rows, cols = block.relative_to(shard).slices
            found = [each.read(block) for each in inputs]
            self._fill(found, values[:, rows, cols], valid[rows, cols])
        figures = MapFigures()
        if valid.any():
            figures = MapFigures.of(values[:, valid], has_classes=bool(bands.classes))
        self.fence.check()  # again: to read and compute takes a while
        result = MapShard(figures, self.writer.write(shard, values))
        self.journal.record(shard, result.to_json())
        return result

    def _fill(self, found: Sequence["Block"], out: NDArray[Any], valid: NDArray[np.bool_]) -> None:
        """Write the values of a block of the map, and which of its pixels have one."""
        masks = [mask for _, mask in found if mask is not None]
        known = np.logical_and.reduce(masks) if masks else np.ones(valid.size, np.bool_)
        valid[:] = known.reshape(valid.shape)
        if not known.any():
            return
        with stage("compute"):
            values = self.kernel(*(codes for codes, _ in found))
        out[:] = values.reshape(out.shape)
        if masks:
            out[:, ~valid] = self.kernel.bands.nodata


type Block = tuple[Codes, NDArray[np.bool_] | None]
"""Codes of some pixels, and which of them hold an embedding; see `read_block`."""


@dataclass(frozen=True)
class _Input:
    """Codes of a shard of a map: read block by block from this machine, at once from a server.

    The chunks of a stored shard lie in an order of their own (Morton): one row of them costs a
    request for each, all of them one.

    Parameters
    ----------
    region
        Where from.
    shard
        Of the map.
    whole
        All of its pixels; None where blocks are read one by one.
    """

    region: Region
    shard: Window
    whole: Block | None

    @classmethod
    def of(cls, region: Region, shard: Window) -> Self:
        """Read a shard, if it is better read at once."""
        reader = region.reader
        size = shard.size * reader.encoding.code_length * reader.codes.dtype.itemsize
        is_near = ObjectTree(reader.url).is_local or size > _SHARD_BYTES
        return cls(region, shard, None if is_near else read_block(region, shard))

    def read(self, place: Window) -> Block:
        """Return what a block of the map is made of."""
        if self.whole is None:
            return read_block(self.region, place)
        rows, cols = place.relative_to(self.shard).slices
        codes, mask = self.whole
        part = codes.reshape(-1, *self.shard.shape)[:, rows, cols]
        some = None if mask is None else mask.reshape(self.shard.shape)[rows, cols].reshape(-1)
        return part.reshape(len(part), -1), some


def read_block(region: Region, place: Window) -> Block:
    """Read the codes of a block of a map, and which of its pixels hold an embedding.

    Parameters
    ----------
    region
        Where from.
    place
        In rows and columns of the map, which run south and east from the region's corner.

    Returns
    -------
    codes
        Shape ``(code_length, n_pixels)``, row by row of the map.
    valid
        bool, shape ``(n_pixels,)``; None where all do.
    """
    reader, window = region.reader, region.source_of(place)
    codes, mask = reader.read_stored(window, region.date)
    turn = slice(None, None, -1 if region.runs_north else 1)
    flat = codes[:, turn].reshape(len(codes), -1)
    some = None if mask is None else mask[turn].reshape(-1)
    return flat, valid_codes(reader.encoding.quantizer, flat, some)
