"""Take encoded windows in, and write a shard once all of its pixels are there.

Any number of processes do this at once, and none waits for another. Each says first what it has (a
piece, a shard's record) and looks then at what is there: of two who complete a shard at least one
sees so, and both would write the same bytes. A pixel that was written stays: the same values again
are no news, others are refused.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import starmap
from typing import Literal

from geoembz._convert.held_out import Measured
from geoembz._convert.shard_task import ShardResult, refuse_invalid
from geoembz._convert.site import Build
from geoembz._geo.grid import Window
from geoembz._util.progress import Progress
from geoembz._work.executors import Workers, find_lost
from geoembz._write.cells import Cells, covers
from geoembz._write.pieces import Entry, Piece, PieceFolder
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.store.journal import PIECES
from geoembz.store.writer import StoreWriter

type Repeats = Literal["refuse", "keep"]

_ATTEMPTS = 8
"""Each lost to another process that put pieces of the same shard together."""


def check_repeats(repeats: str) -> Repeats:
    """Return what holds for repeated pixels; refuse what says nothing of them.

    Raises
    ------
    InvalidConfigError
        If it does not.
    """
    if repeats not in {"refuse", "keep"}:
        raise InvalidConfigError(f"repeats {repeats!r}; expected 'refuse' or 'keep'")
    return "keep" if repeats == "keep" else "refuse"


@dataclass(frozen=True)
class Shards:
    """The shards of a store that is being written. It can be pickled.

    Parameters
    ----------
    build, writer
        Where, and what.
    repeats
        ``refuse``: a pixel that is written again with other values is an error. ``keep``: the
        pixel stays as it is.
    """

    build: Build
    writer: StoreWriter
    repeats: Repeats

    @cached_property
    def cells(self) -> Cells:
        """How pixels are shared out."""
        return Cells(self.writer.plan.chunks)

    @cached_property
    def pieces(self) -> PieceFolder:
        """The pieces of this plan."""
        journal = self.build.journal
        folder = f"{PIECES}/{(journal.digest or '')[:16]}"
        return PieceFolder(journal.tree, folder, self.writer.plan)

    @property
    def width(self) -> int:
        """Columns of the raster."""
        return self.writer.plan.chunks.shape[1]

    def take(self, shard: Window, piece: Piece) -> None:
        """Take in a window of a shard, or all of it; what is there is durable on return.

        Raises
        ------
        StoreError
            If other vectors are there already, or the place is another's by now.
        """
        if self._is_there(shard, piece):
            return
        if piece.window == shard and not self.pieces.of_shard(shard):
            self._write(piece)
            return
        drafts = [
            self._draft(shard, cell, piece.cut(part, self.width))
            for cell, part in self.cells.cells(piece.window)
        ]
        for draft in drafts:  # none before all of them agree with what is there
            self._keep(shard, draft)

    def missing(self, windows: Iterable[Window]) -> Iterator[Window]:
        """Yield those of some windows that are not wholly there, by one look at what is."""
        finished = self.build.journal.finished()
        found: dict[tuple[int, int], list[Window]] = {}
        rows, cols = self.cells.shape
        for window, _ in self.pieces.every():
            found.setdefault((window.row // rows, window.col // cols), []).append(window)

        def is_there(shard: Window, part: Window) -> bool:
            return (shard.row, shard.col) in finished or all(
                covers(found.get((cell.row // rows, cell.col // cols), []), piece)
                for cell, piece in self.cells.cells(part)
            )

        for window in windows:
            if not all(starmap(is_there, self.cells.shards(window))):
                yield window

    def forget_lost(self) -> None:
        """Take shards that were lost or cut since for not written: power may fail."""
        journal = self.build.journal
        finished = {
            at: ShardResult.from_json(record).stored for at, record in journal.finished().items()
        }
        for at in find_lost(self.build.tree, finished, self.writer.date):
            journal.unrecord(self.cells.shard_at(*at))

    def complete_all(self, workers: Workers, progress: Progress | None) -> list[ShardResult]:
        """Write what is there of all shards that are not complete; return the results of all."""
        journal = self.build.journal
        journal.forget_levels()  # of an end that was interrupted: windows may have come since
        finished = journal.finished()
        shards = list(self.writer.plan.chunks.shards())
        waiting = [shard for shard in shards if (shard.row, shard.col) not in finished]
        done = dict(
            zip(waiting, workers.run(self._complete, waiting, progress=progress), strict=True)
        )
        self.build.tree.remove_partials()
        return [
            ShardResult.from_json(finished[shard.row, shard.col])
            if (shard.row, shard.col) in finished
            else done[shard]
            for shard in shards
        ]

    def _complete(self, shard: Window) -> ShardResult:
        """Write a shard from what there is of it, gaps invalid.

        Nothing is recorded: pieces stay until the store is complete, so that a job that is killed
        now may go on to fill the gaps.
        """
        found = self._join(shard, lambda: self.pieces.of_shard(shard), has_gaps=True)
        return ShardResult() if found is None else self._store(found)

    def _is_there(self, shard: Window, piece: Piece) -> bool:
        """Whether a shard is written; refuse other vectors than are in it."""
        if self.build.journal.find(shard) is None:
            return False
        self._refuse_other(piece, self._read(piece.window))
        return True

    def _draft(self, shard: Window, cell: Window, piece: Piece) -> "_Draft":
        """Refuse a piece that does not agree with what is there."""
        before = self.pieces.of_cell(shard, cell)
        own, content = self.pieces.name(shard, cell, piece)
        self._refuse_conflicts(piece, own, before)
        return _Draft(cell, piece, own, content, frozenset(entry.key for entry in before))

    def _keep(self, shard: Window, draft: "_Draft") -> None:
        """Write a piece, and put together what it completes."""
        cell, piece, own = draft.cell, draft.piece, draft.own
        if own.key not in draft.before:
            self.build.fence.check()
            self.pieces.tree.write(own.key, draft.content)
        try:
            if self._is_there(shard, piece):  # completed meanwhile
                self.pieces.remove([own])
                return
            entries = self.pieces.of_cell(shard, cell)
            new = [entry for entry in entries if entry.key not in draft.before]
            self._refuse_conflicts(piece, own, new)
        except ConflictError:
            self.pieces.remove([] if own.key in draft.before else [own])
            raise
        if covers([entry.window for entry in entries], cell):
            self._complete_cell(shard, cell, entries)

    def _complete_cell(self, shard: Window, cell: Window, entries: Sequence[Entry]) -> None:
        """Put the pieces of a cell together, and the shard if that was the last of its cells."""
        if len(entries) > 1 or entries[0].window != cell:
            whole = self._join(cell, lambda: self.pieces.of_cell(shard, cell))
            if whole is None:
                return  # somebody else puts them together
            own, content = self.pieces.name(shard, cell, whole)
            self.pieces.tree.write(own.key, content)
            self.pieces.remove([entry for entry in entries if entry.key != own.key])
        wholes = {entry.window for entry in self.pieces.of_shard(shard)}
        if wholes.issuperset(self.cells.of(shard)):
            found = self._join(shard, lambda: self.pieces.of_shard(shard))
            if found is not None:
                self._write(found)

    def _write(self, piece: Piece) -> None:
        """Write a whole shard and record it; then no piece of it is needed any more."""
        result = self._store(piece)
        shard, tree = piece.window, self.build.tree
        tree.sync(list(result.stored))
        self.build.journal.record(shard, result.to_json())
        left = self.pieces.of_shard(shard)
        for entry in left:  # after the record: who wrote one later looks at that
            other = self.pieces.read(entry)
            if other is not None:
                self._refuse_other(other, piece)
        self.pieces.remove(left)

    def _store(self, piece: Piece) -> ShardResult:
        """Write the objects of a shard."""
        plan = self.writer.plan
        if not piece.valid.all():
            refuse_invalid(plan, piece.window, piece.valid)
        self.build.fence.check()
        stored = self.writer.write_shard(piece.window, piece.codes, piece.valid, piece.layers)
        fidelity = piece.measured.sums(plan.encoding.dimension)
        return ShardResult(int(piece.valid.sum()), fidelity, stored=stored)

    def _join(
        self, window: Window, find: Callable[[], list[Entry]], *, has_gaps: bool = False
    ) -> Piece | None:
        """Put pieces together; None where they went meanwhile: into something larger."""
        for _ in range(_ATTEMPTS):
            entries = find()
            is_whole = covers([entry.window for entry in entries], window)
            if not entries or not (is_whole or has_gaps):
                return None
            try:
                return Piece.join(window, self._read_all(entries), self.writer.plan)
            except _GoneError:
                continue
        return None

    def _read_all(self, entries: Sequence[Entry]) -> Iterator[Piece]:
        """Yield pieces, each checked against those before it that it overlaps."""
        for number, entry in enumerate(entries):
            piece = self._read_piece(entry)
            if piece is None:
                raise _GoneError
            self._refuse_conflicts(piece, entry, entries[:number])
            yield piece

    def _read_piece(self, entry: Entry) -> Piece | None:
        """Read a piece; None where it is gone. One that was cut is removed: it is no use."""
        piece = self.pieces.read(entry)
        if piece is None and self.pieces.tree.size(entry.key) is not None:
            self.pieces.remove([entry])
            raise StoreError(
                f"{self.build.fence.url}: {describe(entry.window)}: what was written there is cut, "
                "as when power fails; expected the same call to go on, and to write once more what "
                "`missing` tells"
            )
        return piece

    def _refuse_conflicts(self, piece: Piece, own: Entry, entries: Sequence[Entry]) -> None:
        """Refuse a piece that says something else than one that it overlaps."""
        for entry in entries:
            if entry.key != own.key and entry.window.intersection(piece.window) is not None:
                other = self._read_piece(entry)
                if other is not None:
                    self._refuse_other(piece, other)

    def _refuse_other(self, piece: Piece, former: Piece) -> None:
        if self.repeats == "keep" or piece.agrees(former):
            return
        raise ConflictError(
            f"{self.build.fence.url}: {describe(piece.window)}: other vectors are written there "
            "already; expected each pixel once, or the same values again; leave windows out that "
            "are written (`missing` tells the others), or keep what is there with repeats='keep'"
        )

    def _read(self, window: Window) -> Piece:
        """Read back what is written of a shard."""
        date, plan = self.writer.date or 0, self.writer.plan
        reader = self.writer.reader()
        codes = reader.read_codes(window, date)
        valid = reader.read_mask(window, date)
        if valid is None:
            valid = ~plan.encoding.is_nodata(codes[0])
        layers = {each.name: reader.read_layer(each.name, window, date) for each in plan.layers}
        return Piece(window, codes, valid, Measured.join([]), layers)


@dataclass(frozen=True)
class _Draft:
    """A piece that is about to be written, and the keys of those that its cell had before."""

    cell: Window
    piece: Piece
    own: Entry
    content: bytes
    before: frozenset[str]


class ConflictError(StoreError):
    """Other vectors are there already."""


class _GoneError(Exception):
    """A piece was removed while it was about to be read."""


def describe(window: Window) -> str:
    """Return a window as messages name it.

    Examples
    --------
    >>> describe(Window(0, 8, 4, 2))
    'rows 0 to 4, columns 8 to 10'
    """
    bottom, right = window.row + window.height, window.col + window.width
    return f"rows {window.row} to {bottom}, columns {window.col} to {right}"
