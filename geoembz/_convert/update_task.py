"""Change the shards of a store: fill pixels that hold no embedding, or replace others, as tasks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.held_out import Measured
from geoembz._convert.sampling import read_shape
from geoembz._convert.shard_task import ShardResult, ShardTask
from geoembz._geo.grid import Window, split
from geoembz._util.memory import allocate
from geoembz.encoding._quantization import Codes
from geoembz.sources.base import occupied_window, occupies
from geoembz.sources.layer_reading import read_layers
from geoembz.sources.layers import Layer
from geoembz.store import StoreReader
from geoembz.store.layout import ChunkLayout
from geoembz.store.writer import WrittenCodes


@dataclass(frozen=True)
class UpdateTask(ShardTask):
    """Everything that the tasks of one update share; call it with a shard's window.

    Parameters
    ----------
    base
        The store as it is.
    replaces
        Whether pixels that hold an embedding are replaced where the source has another.
    """

    base: StoreReader = field(kw_only=True)
    replaces: bool = field(kw_only=True)

    def _convert(self, shard: Window) -> ShardResult:
        state = _Shard.read(self.base, shard, self.writer.date or 0)
        result, measured = ShardResult(), list[Measured]()
        for block in self._blocks(shard):
            place = block.relative_to(shard).slices
            if self.replaces or not state.valid[place].all():
                result, tested = self._merge(block, state, place, result)
                measured.append(tested)
        fidelity = Measured.join(measured).sums(self.encoding.dimension)
        result = replace(result, fidelity=fidelity)
        layers = self._layers(shard, state)
        is_changed = result.valid_pixels or result.replaced_pixels or layers is not None
        self.fence.check()  # again: to read and encode takes a while
        if is_changed:
            numbers = state.layers if layers is None else layers
            stored = self.writer.write_shard(shard, state.codes, state.valid, numbers)
            result = replace(result, stored=stored)
        self.journal.record(shard, result.to_json())
        return result

    def _blocks(self, shard: Window) -> Sequence[Window]:
        """Return what is read at once of a shard: where the source can have a pixel."""
        inside = shard.intersection(occupied_window(self.source))
        blocks = [] if inside is None else split(inside, read_shape(self.source))
        return [block for block in blocks if occupies(self.source, block)]

    def _merge(
        self, block: Window, state: "_Shard", place: tuple[slice, slice], result: ShardResult
    ) -> tuple[ShardResult, Measured]:
        """Put a block's vectors where they are wanted; return what is done so far, and how well."""
        data = self.source.read(block)
        out = allocate((self.encoding.code_length, block.size), self.encoding.code_dtype)
        codes, found = self.encode(data, out)
        known = state.valid[place]
        taken = found.reshape(block.shape) & (self.replaces | ~known)
        wanted = taken.reshape(-1)
        tested = Measured.of(self.encoding, self.roles, self.centre, block, data, codes, wanted)
        shaped = codes.reshape(-1, *block.shape)
        np.copyto(state.codes[:, *place], shaped, where=taken)
        fresh = int((taken & ~known).sum())
        known |= taken
        state.taken[place] = taken
        done = replace(
            result,
            valid_pixels=result.valid_pixels + fresh,
            rejected_pixels=result.rejected_pixels + data.rejected,
            partial_pixels=result.partial_pixels + (data.partial if taken.any() else 0),
            replaced_pixels=result.replaced_pixels + int(taken.sum()) - fresh,
        )
        return done, tested

    def _layers(self, shard: Window, state: "_Shard") -> Mapping[str, NDArray[Any]] | None:
        """Return the numbers of the store's layers, those of the source in; None where it has none.

        The source's hold where its vectors do, and where there are neither vectors nor numbers.
        """
        merged, is_changed = {}, False
        fresh = read_layers(self.source, shard) if state.layers else {}
        for layer in self.writer.plan.layers:
            old = state.layers[layer.name]
            numbers = _prepared(layer, fresh[layer.name]) if layer.name in fresh else old
            empty = ~state.valid & (self.replaces | (old == layer.fill) | _is_nan(old))
            new = np.where(state.taken | (empty & ~_is_fill(numbers, layer)), numbers, old)
            is_changed |= not np.array_equal(new, old, equal_nan=layer.is_float)
            merged[layer.name] = new
        return merged if is_changed else None


@dataclass(frozen=True)
class _Shard:
    """What a store holds of a shard, to be changed.

    Parameters
    ----------
    codes
        Shape ``(code_length, height, width)``.
    valid, taken
        bool, shape ``(height, width)``: which pixels hold an embedding, and the source's.
    layers
        Numbers of the store's layers, as stored, by name.
    """

    codes: Codes
    valid: NDArray[np.bool_]
    taken: NDArray[np.bool_]
    layers: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, base: StoreReader, shard: Window, date: int) -> "_Shard":
        """Read what is there."""
        codes, mask = base.read_stored(shard, date)
        if mask is None and base.encoding.nodata is not None:
            mask = ~base.encoding.is_nodata(codes[0])
        valid = np.ones(shard.shape, np.bool_) if mask is None else np.array(mask)
        layers = {name: base.read_layer(name, shard, date) for name in base.layers}
        return cls(np.array(codes), valid, np.zeros(shard.shape, np.bool_), layers)


def _prepared(layer: Layer, numbers: NDArray[Any]) -> NDArray[Any]:
    return np.asarray(layer.prepare(numbers))


def _is_nan(numbers: NDArray[Any]) -> NDArray[np.bool_]:
    return np.asarray(numbers != numbers)


def _is_fill(numbers: NDArray[Any], layer: Layer) -> NDArray[np.bool_]:
    return np.asarray((numbers == layer.fill) | _is_nan(numbers))


@dataclass(frozen=True)
class UpdatedCodes:
    """Reads the codes of a store as they will be. It can be pickled.

    Parameters
    ----------
    base
        The store as it is.
    fresh
        What was written beside it.
    written
        Row and column in pixels of the shards that were.
    chunks
        How the store is cut.
    """

    base: StoreReader
    fresh: WrittenCodes
    written: frozenset[tuple[int, int]]
    chunks: ChunkLayout

    def read_codes(self, window: Window, date: int) -> Codes:
        """Read the codes of a window at a date, shape ``(length, height, width)``."""
        encoding = self.base.encoding
        out = allocate((encoding.code_length, *window.shape), encoding.code_dtype)
        for part in split(window, self.chunks.shard):
            out[:, *part.relative_to(window).slices] = self._of(part).read_codes(part, date)
        return out

    def read_mask(self, window: Window, date: int) -> NDArray[np.bool_] | None:
        """Read the validity of a window at a date, where it is an array of its own."""
        if self.base.mask is None:
            return None
        out = np.empty(window.shape, np.bool_)
        for part in split(window, self.chunks.shard):
            out[part.relative_to(window).slices] = self._of(part).read_mask(part, date)
        return out

    def _of(self, part: Window) -> StoreReader | WrittenCodes:
        """Return what reads a part of one shard."""
        height, width = self.chunks.shard
        corner = (part.row // height * height, part.col // width * width)
        return self.fresh if corner in self.written else self.base
