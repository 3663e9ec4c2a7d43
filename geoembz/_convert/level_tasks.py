"""Make the shards of levels: read what lies below, average, encode, store and record, as tasks.

All levels are means of the full resolution, which is read once. A task of the finest level reads
the pixels below its shard, and encodes all levels there: a square of ``2**n`` pixels has whole
pixels of the first n levels. It stores its own shard, and keeps the codes of coarser ones beside
the journal; a task of a coarser level puts together what up to four tasks have kept. So no task
holds more than the codes of one shard and those above it.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.sampling import PixelRoles
from geoembz._geo.grid import Window, split
from geoembz._util.memory import allocate
from geoembz.encoding._fidelity import FidelitySums
from geoembz.encoding._means import MeanEncoder, Sums, join_sums
from geoembz.encoding._quantization import Codes
from geoembz.errors import StoreError
from geoembz.store.digests import StoredObject, StoredObjects, parse_objects
from geoembz.store.journal import Journal
from geoembz.store.layout import ChunkLayout
from geoembz.store.lock import Fence
from geoembz.store.writer import StoreWriter

_SQUARE_LEVELS = 3
"""Levels that are encoded square by square; coarser ones have few pixels, and are all at once."""

_SQUARE_BYTES = 2**22
"""Numbers whose means are encoded at once, at most: they stay in cache, and are not too few."""

_READ_BYTES = 2**24
"""Codes that are read at once from a server, at most: many requests wait together."""


class CodesReader(Protocol):
    """Reads codes at full resolution. It can be pickled."""

    def read_codes(self, window: Window, date: int) -> Codes:
        """Read the codes of a window at one date, shape ``(length, height, width)``."""
        ...

    def read_mask(self, window: Window, date: int) -> NDArray[np.bool_] | None:
        """Read the validity of a window, where it is an array of its own."""
        ...


@dataclass(frozen=True)
class LevelResult:
    """What a finished shard of a level adds to the summary.

    Parameters
    ----------
    valid_pixels
        Number of valid pixels.
    fidelity
        Of this level and all coarser ones, finest first; of the finest level's shards only.
    stored
        The objects that were written, by key.
    kept
        What was kept for the next level.
    """

    valid_pixels: int = 0
    fidelity: tuple[FidelitySums, ...] = ()
    stored: StoredObjects = field(default_factory=dict)
    kept: StoredObjects = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as the journal records it."""
        return {
            "valid_pixels": self.valid_pixels,
            "fidelity": [sums.to_dict() for sums in self.fidelity],
            "stored": dict(self.stored),
            "kept": dict(self.kept),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned."""
        return cls(
            document["valid_pixels"],
            tuple(map(FidelitySums.from_dict, document["fidelity"])),
            parse_objects(document["stored"]),
            parse_objects(document["kept"]),
        )


class Part(NamedTuple):
    """The codes of a level in a window."""

    window: Window
    codes: Codes
    valid: NDArray[np.bool_]

    @classmethod
    def empty(cls, writer: StoreWriter, window: Window) -> Self:
        """Return a window without a valid pixel."""
        encoding = writer.plan.encoding
        shape = (encoding.code_length, *window.shape)
        codes = allocate(shape, encoding.code_dtype)
        codes.fill(encoding.fill_value)
        return cls(window, codes, np.zeros(window.shape, np.bool_))

    def cut(self, window: Window) -> Self:
        """Return a smaller window of it."""
        rows, cols = window.relative_to(self.window).slices
        return self._replace(
            window=window, codes=self.codes[:, rows, cols], valid=self.valid[rows, cols]
        )

    def put(self, other: "Part") -> None:
        """Copy a smaller window in."""
        rows, cols = other.window.relative_to(self.window).slices
        self.codes[:, rows, cols], self.valid[rows, cols] = other.codes, other.valid


def windows_above(window: Window, writers: Sequence[StoreWriter]) -> list[Window]:
    """Return what a window of the first level is of each level; its corner lies on them all."""
    found = []
    for steps, writer in enumerate(writers):
        row, col = window.row >> steps, window.col >> steps
        height, width = writer.plan.chunks.shape
        rows, cols = (-(-side // 2**steps) for side in window.shape)
        found.append(Window(row, col, min(rows, height - row), min(cols, width - col)))
    return found


@dataclass(frozen=True)
class LevelTask(ABC):
    """What the tasks of one level share; call it with a shard's window.

    Parameters
    ----------
    writers
        Of this level and all coarser ones, finest first.
    journal, fence
        Where finished shards are recorded; whose the destination is.
    date
        Position on the time axis; 0 where there is none.
    may_repeat
        Whether a shard may be finished already: by a worker that was lost afterwards.
    """

    writers: tuple[StoreWriter, ...]
    journal: Journal
    fence: Fence
    date: int
    may_repeat: bool

    def __call__(self, shard: Window) -> LevelResult:
        """Write one shard, unless the journal has it.

        Raises
        ------
        StoreError
            If the destination is another's by now, or what lies below cannot be read.
        """
        self.fence.check()
        done = self.journal.find(shard) if self.may_repeat else None
        return self._write(shard) if done is None else LevelResult.from_json(done)

    def _write(self, shard: Window) -> LevelResult:
        parts, fidelity = self._make(shard)
        own, *coarser = parts
        self.fence.check()  # again: to read and encode takes a while
        stored = self.writers[0].write_shard(own.window, own.codes, own.valid)
        kept = self._keep(shard, coarser) if coarser else {}
        result = LevelResult(int(own.valid.sum()), fidelity, stored, kept)
        self.journal.record(shard, result.to_json())
        return result

    @abstractmethod
    def _make(self, shard: Window) -> tuple[list[Part], tuple[FidelitySums, ...]]:
        """Return the codes of all levels above a shard, its own first, and their fidelity."""

    def _keep(self, shard: Window, parts: Sequence[Part]) -> dict[str, StoredObject]:
        is_empty = not any(part.valid.any() for part in parts)
        arrays = [] if is_empty else [array for part in parts for array in part[1:]]
        content = memoryview(
            np.concatenate(
                [np.empty(0, np.uint8), *(one.reshape(-1).view(np.uint8) for one in arrays)]
            )
        )
        key = kept_key(self.journal, shard)
        self.journal.tree.write(key, content, sync=False)  # lost, it is made again
        return {key: StoredObject.of(content)}


def kept_key(journal: Journal, shard: Window) -> str:
    """Return where the codes of coarser levels above a shard are kept."""
    return f"{journal.records}/c/{shard.row}/{shard.col}"


@dataclass(frozen=True)
class FinestTask(LevelTask):
    """The shards of the finest level, from the full resolution.

    Parameters
    ----------
    reader
        Reads the full resolution.
    full
        How it is cut.
    encoder
        Makes means, and codes of them.
    """

    reader: CodesReader
    full: ChunkLayout
    encoder: MeanEncoder

    def _make(self, shard: Window) -> tuple[list[Part], tuple[FidelitySums, ...]]:
        windows = windows_above(shard, self.writers)
        making = _Making(
            self.encoder,
            [Part.empty(*pair) for pair in zip(self.writers, windows, strict=True)],
            [Tested.of(writer.plan.chunks.shape) for writer in self.writers],
        )
        depth = min(len(windows), _SQUARE_LEVELS)
        rest = making.coarse_sums(depth)
        for window, halved in self._squares(shard, depth):
            sums = halved
            for number in range(depth):
                sums = sums.halved() if number else halved
                making.encode(number, window.row >> number + 1, window.col >> number + 1, sums)
            making.collect(rest, depth, window, sums)
        for number in range(depth, len(windows)):
            rest = rest.halved()
            making.encode(number, windows[number].row, windows[number].col, rest)
        return making.parts, tuple(map(making.fidelity, range(len(windows))))

    def _squares(self, shard: Window, depth: int) -> Iterator[tuple[Window, Sums]]:
        """Yield squares of pixels below a shard that have a valid one, and their sums in fours."""
        encoding = self.encoder.encoding
        vector_bytes = encoding.n_components * self.encoder.number_bytes
        side = _largest(2**depth, vector_bytes, _SQUARE_BYTES)
        block = self._block(side)
        least = min(side, block)
        height, width = self.full.shape
        row, col = 2 * shard.row, 2 * shard.col
        below = Window(
            row, col, min(2 * shard.height, height - row), min(2 * shard.width, width - col)
        )
        for outer in split(below, (max(side, block),) * 2):
            many = self._read(outer) if block > side else None
            for square in split(outer, (side, side)):
                parts = split(square, (least, least))
                read = (self._read(one) if many is None else many.cut(one) for one in parts)
                found = [self._halve(part, square, least) for part in read if part.valid.any()]
                if found:
                    yield square, join_sums(found, side // 2)

    def _read(self, window: Window) -> Part:
        mask = self.reader.read_mask(window, self.date)  # first: see `StoreReader.read_stored`
        codes = self.reader.read_codes(window, self.date)
        return Part(window, codes, self.encoder.known(codes) if mask is None else mask)

    def _halve(self, part: Part, square: Window, side: int) -> tuple[tuple[int, int], Sums]:
        """Return the sums of a part in fours, and where they begin in those of a square."""
        sums = self.encoder.sums(part.codes, part.valid, side).halved()
        inside = part.window.relative_to(square)
        return (inside.row // 2, inside.col // 2), sums

    def _block(self, side: int) -> int:
        """Return the side of what is read at once: a chunk where it is near, else many."""
        chunk = max(self.full.chunk)
        is_square = self.full.chunk == (chunk, chunk) and chunk.bit_count() == 1
        if is_square and self.journal.tree.is_local:  # the store's disk is the journal's
            return max(chunk, 1 << len(self.writers))
        return _largest(side, self.encoder.encoding.bytes_per_vector, _READ_BYTES)


def _largest(side: int, vector_bytes: int, most: int) -> int:
    """Return the side of the largest square of at most so many bytes: `side`, or doubled."""
    while 4 * side * side * vector_bytes <= most:
        side *= 2
    return side


@dataclass(frozen=True)
class Tested:
    """Which pixels of a level tell its fidelity: every so many, along its rows.

    Parameters
    ----------
    width
        Of the level.
    step
        Pixels from one to the next; 0 for none.
    """

    width: int
    step: int

    @classmethod
    def of(cls, shape: tuple[int, int]) -> Self:
        """Choose as large a share of a level as is held out of a raster of its size."""
        share = PixelRoles(0, shape).held_out_share
        return cls(shape[1], int(1 / share) | 1 if share else 0)  # odd: no column of even rasters

    def positions(self, window: Window) -> NDArray[np.intp]:
        """Return which pixels of a window are tested: ``row * width + col`` in it, ascending."""
        if not self.step:
            return np.empty(0, np.intp)
        rows = np.arange(window.height)[:, np.newaxis]
        first = (window.row + rows) * self.width + window.col
        cols = -first % self.step + np.arange(0, window.width, self.step)
        return np.asarray((rows * window.width + cols)[cols < window.width])


type _TestedPixels = tuple[NDArray[np.intp], NDArray[np.float32], Codes]
"""Where they are, the components of their means, and their codes."""


@dataclass
class _Making:
    """The codes of all levels above one shard of the finest, while they are made."""

    encoder: MeanEncoder
    parts: list[Part]
    tested: list[Tested]

    def __post_init__(self) -> None:
        self._tested: list[list[_TestedPixels]] = [[] for _ in self.parts]

    def coarse_sums(self, depth: int) -> Sums:
        """Return zeros for the sums at the coarsest level that squares have."""
        window, step = self.parts[depth - 1].window, 2 ** (len(self.parts) - depth)
        shape = tuple(0 if step == 1 else -(-side // step) * step for side in window.shape)
        components = np.zeros((self.encoder.encoding.n_components, *shape), np.float32)
        return Sums(components, np.zeros(shape, np.float32), 4**depth)

    def collect(self, rest: Sums, depth: int, square: Window, sums: Sums) -> None:
        """Put the sums of a square among those that are encoded at the end, if there are any."""
        if depth == len(self.parts):
            return
        corner = self.parts[depth - 1].window
        row, col = (square.row >> depth) - corner.row, (square.col >> depth) - corner.col
        height, width = (
            min(side, whole - start)
            for side, whole, start in zip(
                sums.counts.shape, rest.counts.shape, (row, col), strict=True
            )
        )
        place = np.s_[..., row : row + height, col : col + width]
        rest.components[place] = sums.components[:, :height, :width]
        rest.counts[place] = sums.counts[:height, :width]

    def encode(self, number: int, row: int, col: int, sums: Sums) -> None:
        """Encode means into a level, from a row and a column on; sums may reach beyond it."""
        part, encoding = self.parts[number], self.encoder.encoding
        found = Window(row, col, *sums.counts.shape).intersection(part.window)
        if found is None:
            return
        inside = np.s_[..., : found.height, : found.width]
        components = np.ascontiguousarray(sums.components[inside])
        cut = Sums(components, sums.counts[inside], sums.pixels)
        valid = (cut.counts > 0).reshape(-1)
        means = self.encoder.means(cut)
        tested = self.tested[number].positions(found)
        tested = tested[valid[tested]]
        originals = means[:, tested]
        codes = np.empty((encoding.code_length, found.size), encoding.code_dtype)
        self.encoder.encode(means, valid, codes)
        if len(tested):
            rows, cols = np.divmod(tested, found.width)
            place = (rows + found.row) * part.window.width + cols + found.col
            self._tested[number].append((place, originals, codes[:, tested]))
        shape = found.shape
        part.put(Part(found, codes.reshape(-1, *shape), valid.reshape(shape)))

    def fidelity(self, number: int) -> FidelitySums:
        """Return the fidelity of a level's tested pixels: decoded together, which costs less.

        They are put in the order of the raster, so that sums do not depend on how it was cut.
        """
        if not self._tested[number]:
            return FidelitySums()
        places, means, codes = (
            np.concatenate(parts, axis=-1) for parts in zip(*self._tested[number], strict=True)
        )
        order = np.argsort(places)
        originals = self.encoder.vectors(means[:, order])
        decoded = self.encoder.encoding.decode_block(codes[:, order])
        return FidelitySums.of(originals.T, decoded.T, self.encoder.centre)


@dataclass(frozen=True)
class CoarserTask(LevelTask):
    """The shards of a coarser level, from what the tasks of the level below it kept.

    Parameters
    ----------
    finer
        Writes the level below.
    finer_journal
        Of the level below.
    """

    finer: StoreWriter
    finer_journal: Journal

    def _make(self, shard: Window) -> tuple[list[Part], tuple[FidelitySums, ...]]:
        windows = windows_above(shard, self.writers)
        parts = [Part.empty(*pair) for pair in zip(self.writers, windows, strict=True)]
        for below in self._below(shard):
            content = self.finer_journal.tree.read(kept_key(self.finer_journal, below))
            if content is None:
                raise StoreError(
                    f"{self.finer.url}: the codes of coarser levels that were kept for row "
                    f"{below.row}, column {below.col} are gone; run the same command again"
                )
            first = windows_above(below, (self.finer, *self.writers))[1:]
            for part, other in zip(parts, self._read(content, first), strict=True):
                part.put(other)
        return parts, ()

    def _below(self, shard: Window) -> Iterator[Window]:
        """Yield the windows of the shards of the finer level that a shard lies above."""
        chunks = self.finer.plan.chunks
        wanted = Window(2 * shard.row, 2 * shard.col, 2 * shard.height, 2 * shard.width)
        whole = Window(0, 0, *chunks.shape)
        inside = wanted.intersection(whole)
        if inside is not None:
            yield from split(inside, chunks.shard)

    def _read(self, content: bytes, windows: Sequence[Window]) -> Iterator[Part]:
        encoding, start = self.finer.plan.encoding, 0
        for writer, window in zip(self.writers, windows, strict=True):
            if not content:
                yield Part.empty(writer, window)
                continue
            count = encoding.code_length * window.size
            codes = np.frombuffer(content, encoding.code_dtype, count, start)
            start += codes.nbytes
            valid = np.frombuffer(content, np.bool_, window.size, start)
            start += valid.nbytes
            yield Part(window, codes.reshape(-1, *window.shape), valid.reshape(window.shape))
