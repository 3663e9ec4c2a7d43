"""Write the shards of one grid at one date: read, encode, store and record each as a task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.held_out import Measured
from geoembz._convert.sampling import PixelRoles, read_shape
from geoembz._convert.site import Build
from geoembz._geo.grid import Window, pick, split
from geoembz._util.memory import allocate
from geoembz._util.progress import Progress
from geoembz._work.executors import Workers, run_recorded
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import FidelitySums
from geoembz.encoding._projection import TILE_PIXELS
from geoembz.encoding._quantization import Codes, PowerQuantizer
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source, SourceData
from geoembz.sources.base import occupies
from geoembz.sources.layer_reading import read_layers
from geoembz.store.digests import StoredObjects, parse_objects
from geoembz.store.documents import StorePlan
from geoembz.store.journal import Journal
from geoembz.store.lock import Fence
from geoembz.store.writer import StoreWriter

_DECODED_PIXELS = 8 * TILE_PIXELS
"""Pixels decoded at once where a source holds codes of its own."""


@dataclass(frozen=True)
class ShardResult:
    """What a finished shard adds to the summary.

    Parameters
    ----------
    valid_pixels
        Number of valid pixels.
    fidelity
        Sums over the shard's held-out pixels.
    rejected_pixels
        Number of pixels that the source rejected as corrupt.
    partial_pixels
        Number of valid pixels that hold the source's nodata value in some components.
    stored
        The objects that were written, by key.
    replaced_pixels
        Number of pixels that held another embedding before; of an update.
    """

    valid_pixels: int = 0
    fidelity: FidelitySums = field(default_factory=FidelitySums)
    rejected_pixels: int = 0
    partial_pixels: int = 0
    stored: StoredObjects = field(default_factory=dict)
    replaced_pixels: int = 0
    kept: ClassVar[StoredObjects] = {}

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal records it."""
        return {
            "valid_pixels": self.valid_pixels,
            "rejected_pixels": self.rejected_pixels,
            "partial_pixels": self.partial_pixels,
            "fidelity": self.fidelity.to_dict(),
            "stored": dict(self.stored),
            "replaced_pixels": self.replaced_pixels,
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        return cls(
            document["valid_pixels"],
            FidelitySums.from_dict(document["fidelity"]),
            document["rejected_pixels"],
            document.get("partial_pixels", 0),
            parse_objects(document["stored"]),
            document.get("replaced_pixels", 0),
        )


@dataclass(frozen=True)
class ShardTask:
    """Everything that the tasks of one conversion share; call it with a shard's window.

    Parameters
    ----------
    source
        The input.
    writer
        The destination.
    journal
        Where finished shards are recorded.
    fence
        Says whose the destination is.
    roles
        Which pixels are held out.
    centre
        Mean vector that the centred cosine takes off, float64, shape ``(dimension,)``.
    may_repeat
        Whether a shard may be finished already: by a worker that was lost afterwards.
    """

    source: Source
    writer: StoreWriter
    journal: Journal
    fence: Fence
    roles: PixelRoles
    centre: NDArray[np.float64]
    may_repeat: bool = False

    @property
    def encoding(self) -> Encoding:
        """The encoding that the shards are written with."""
        return self.writer.plan.encoding

    def __call__(self, shard: Window) -> ShardResult:
        """Convert one shard, unless the journal has it.

        Raises
        ------
        StoreError
            If the destination is another's by now, or out of reach.
        SourceError
            If the source cannot be read there.
        InvalidConfigError
            If the codec layout meets an invalid pixel that its codes have no room for.
        """
        self.fence.check()
        done = self.journal.find(shard) if self.may_repeat else None
        return self._convert(shard) if done is None else ShardResult.from_json(done)

    def _convert(self, shard: Window) -> ShardResult:
        codes = allocate((self.encoding.code_length, *shard.shape), self.encoding.code_dtype)
        valid = np.empty(shard.shape, dtype=np.bool_)
        measured: list[Measured] = []
        rejected, partial = 0, 0
        for block in split(shard, read_shape(self.source)):
            rows, cols = block.relative_to(shard).slices
            data = self.source.read(block)
            rejected += data.rejected
            partial += data.partial
            measured.append(self._encode(block, data, codes[:, rows, cols], valid[rows, cols]))
        self.fence.check()  # again: to read and encode takes a while
        layers = read_layers(self.source, shard)
        stored = self.writer.write_shard(shard, codes, valid, layers)
        fidelity = Measured.join(measured).sums(self.encoding.dimension)
        result = ShardResult(int(valid.sum()), fidelity, rejected, partial, stored)
        self.journal.record(shard, result.to_json())
        return result

    def _encode(
        self, block: Window, data: SourceData, codes_out: Codes, valid_out: NDArray[np.bool_]
    ) -> Measured:
        """Encode one block into the shard's buffers; return the fidelity of its held-out pixels."""
        codes, valid = self.encode(data, _columns(codes_out))
        if not valid.all():
            refuse_invalid(self.writer.plan, block, valid)
        if not np.may_share_memory(codes, codes_out):
            codes_out[:] = codes.reshape(codes_out.shape)
        valid_out[:] = valid.reshape(valid_out.shape)
        return Measured.of(self.encoding, self.roles, self.centre, block, data, codes, valid)

    def encode(self, data: SourceData, out: Codes) -> tuple[Codes, NDArray[np.bool_]]:
        """Encode a block, into `out` ``(length, n_pixels)`` unless codes are merely looked up."""
        known = None if data.valid is None else data.valid.reshape(-1)
        if not data.is_coded:
            return self.encoding.encode_block(
                data.values.reshape(len(data.values), -1), known, out=out
            )
        recoded = self._recode(data, known)
        if recoded is not None:
            return recoded
        valid = np.empty(out.shape[1], dtype=np.bool_)
        for start in range(0, len(valid), _DECODED_PIXELS):  # of its own codes, a few at a time
            part = slice(start, start + _DECODED_PIXELS)
            _, valid[part] = self.encoding.encode_block(
                data.pixels(part), None if known is None else known[part], out=out[:, part]
            )
        return out, valid

    def _recode(
        self, data: SourceData, known: NDArray[np.bool_] | None
    ) -> tuple[Codes, NDArray[np.bool_]] | None:
        """Look the codes of 8-bit codes up, where each component is encoded alone and alike."""
        encoding = self.encoding
        alone = encoding.projection.matrix is None and not encoding.normalize
        if data.table is None or not alone or not isinstance(encoding.quantizer, PowerQuantizer):
            return None
        finite = np.isfinite(data.table)
        lookup = encoding.quantizer.quantize(np.where(finite, data.table, 0)[np.newaxis])[0]
        lookup[~finite] = encoding.quantizer.nodata
        source_codes = data.values.reshape(len(data.values), -1).view(np.uint8)
        codes = np.take(lookup, source_codes)
        valid = np.ones(codes.shape[1], np.bool_) if known is None else known.copy()
        if not valid.all():
            codes[:, ~valid] = encoding.quantizer.nodata
        return codes, valid


def refuse_invalid(plan: StorePlan, block: Window, valid: NDArray[np.bool_]) -> None:
    """Refuse invalid pixels where the codec layout meets codes that have no room for them.

    Raises
    ------
    InvalidConfigError
        If it does.
    """
    if plan.layout == "codec" and plan.encoding.nodata is None:
        raise InvalidConfigError(
            f"layout codec: {int((~valid).sum())} of {valid.size} pixels from row {block.row}, "
            f"column {block.col} are invalid, and {plan.encoding.quantizer.kind} codes have no "
            "room for nodata; use --layout plain, or --int8"
        )


def _columns(codes: Codes) -> Codes:
    """Return codes ``(length, height, width)`` as columns: a view, or memory of that shape."""
    try:
        return codes.reshape(len(codes), -1, copy=False)
    except ValueError:  # the block is narrower than its shard
        return allocate((len(codes), codes[0].size), codes.dtype)


def shards_of(source: Source, plan: StorePlan) -> Sequence[Window]:
    """Return the shards of a store that a source may fill."""
    shards: Sequence[Window] = plan.chunks.shards()
    if plan.layers:  # which may have numbers where there are no vectors
        return shards
    return pick(shards, partial(occupies, source))


def write_shards(
    source: Source,
    writer: StoreWriter,
    build: Build,
    centre: NDArray[np.float64],
    seed: int,
    workers: Workers,
    progress: Progress | None,
) -> list[ShardResult]:
    """Write the shards that the journal lacks; return the results of all, in order.

    Parameters
    ----------
    source, writer
        Where pixels come from and where codes go.
    build
        Its journal says what is finished, and is told what is; its fence, whose it is.
    centre
        Mean vector of the sample, float64 ``(dimension,)``.
    seed
        Seed of the choice of held-out pixels.
    workers
        Run the tasks.
    progress
        Called with the numbers of finished and of missing shards.
    """
    shards = shards_of(source, writer.plan)
    roles = PixelRoles(seed, source.grid.shape)
    task = ShardTask(source, writer, build.journal, build.fence, roles, centre, workers.may_repeat)
    return run_recorded(
        task,
        shards,
        build.journal,
        build.tree,
        writer.date,
        ShardResult.from_json,
        workers,
        progress,
    )
