"""The writer of a store: it takes vectors window by window, from any number of processes."""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.conversion import fit_once
from geoembz._convert.destination import Destination
from geoembz._convert.held_out import Measured
from geoembz._convert.sampling import PixelRoles
from geoembz._convert.shard_task import ShardResult, refuse_invalid
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import AppendSummary, ConvertSummary
from geoembz._geo.grid import Blocks, Grid, Window
from geoembz._util.arrays import as_numpy, components_first
from geoembz._util.progress import Progress
from geoembz._util.threads import worker_count
from geoembz._work.executors import ThreadWorkers, Workers
from geoembz._write.pieces import Piece
from geoembz._write.places import Place, place_window
from geoembz._write.shards import ConflictError, Shards, check_repeats, describe
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.sources import SourceData
from geoembz.store.writer import StoreWriter, prepare_layers


class Target(Protocol):
    """What is written: a new store, or a date of one."""

    def conclude(
        self,
        build: Build,
        writer: StoreWriter,
        results: list[ShardResult],
        workers: Workers,
        progress: Progress | None,
    ) -> None:
        """Write what follows the shards: levels, metadata."""
        ...

    def summary(self, started: float) -> ConvertSummary | AppendSummary:
        """Return what was done, once it is in its place."""
        ...


@dataclass(frozen=True)
class Intake:
    """What every process of a job needs. It can be pickled.

    Parameters
    ----------
    grid
        Where the pixels lie.
    shards
        Takes codes in.
    roles
        Which pixels are held out.
    centre
        Mean vector that the centred cosine takes off, float64 ``(dimension,)``.
    """

    grid: Grid
    shards: Shards
    roles: PixelRoles
    centre: NDArray[np.float64]

    @property
    def encoding(self) -> Encoding:
        """What vectors are encoded with."""
        return self.shards.writer.plan.encoding

    def take(
        self,
        window: Window,
        vectors: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        layers: Mapping[str, NDArray[Any]],
    ) -> None:
        """Encode vectors ``(dimension, height, width)``, shard by shard, and hand them on."""
        for shard, part in self.shards.cells.shards(window):
            rows, cols = part.relative_to(window).slices
            known = None if valid is None else valid[rows, cols]
            numbers = {name: values[rows, cols] for name, values in layers.items()}
            piece = self._encode(part, vectors[:, rows, cols], known, numbers)
            try:
                self.shards.take(shard, piece)
            except ConflictError as error:
                raise StoreError(f"window of {describe(window)}: {error}") from error

    def _encode(
        self,
        part: Window,
        vectors: NDArray[Any],
        valid: NDArray[np.bool_] | None,
        layers: Mapping[str, NDArray[Any]],
    ) -> Piece:
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float32: infinite, so invalid
            values = np.ascontiguousarray(vectors, dtype=np.float32)
        columns = values.reshape(len(values), -1)
        known = None if valid is None else valid.reshape(-1)
        codes, mask = self.encoding.encode_block(columns, known)
        if not mask.all():
            refuse_invalid(self.shards.writer.plan, part, mask)
        data = SourceData(values, None)
        measured = Measured.of(self.encoding, self.roles, self.centre, part, data, codes, mask)
        codes = codes.reshape(len(codes), *part.shape)
        return Piece(part, codes, mask.reshape(part.shape), measured, layers)


class Writer:
    """Writes a store window by window; `geoembz.create` and `geoembz.extend` make it.

    A pickled copy writes from another process or machine, at the same time, as long as the writer
    itself is open: it holds the destination. Only the writer itself can `finish`. What was written
    stays on the disk when it is closed, or its process is killed: the same call of `create` or
    `extend` goes on.

    A pixel is written once. The same values again change nothing, so that a job that is started
    again may simply repeat its windows; other values are an error, in whichever order they come.

    Attributes
    ----------
    grid
        Where the pixels lie.
    encoding
        What vectors are encoded with.
    shards
        Windows that are written as they come; all others wait, encoded, for the rest of theirs.
    """

    def __init__(
        self, intake: Intake, build: Build, target: Target, site: Site, started: float
    ) -> None:
        self._intake, self._build = intake, build
        self._target: Target | None = target
        self._site: Site | None = site
        self._started, self._pid = started, os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what only the writer itself may do."""
        return {**self.__dict__, "_target": None, "_site": None}

    def __enter__(self) -> Self:
        """Return the writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the writer; what was written stays."""
        self._close(error)

    @property
    def grid(self) -> Grid:
        """Where the pixels lie."""
        return self._intake.grid

    @property
    def encoding(self) -> Encoding:
        """What vectors are encoded with."""
        return self._intake.encoding

    @property
    def shards(self) -> Blocks:
        """Windows of the shards, row by row."""
        return self._intake.shards.writer.plan.chunks.shards()

    @property
    def is_owner(self) -> bool:
        """Whether this is the writer that `create` or `extend` returned, in its own process."""
        return self._site is not None and self._pid == os.getpid()

    def write(
        self,
        window: Place | None,
        vectors: Any,
        valid: Any = None,
        *,
        bbox: Sequence[float] | None = None,
        axis: int | None = None,
        layers: Mapping[str, Any] | None = None,
    ) -> None:
        """Write the vectors of a window. They are on the disk, or at the server, on return.

        Parameters
        ----------
        window
            Which pixels: a `geoembz.Window` or ``(row_slice, col_slice)``; of any size, wherever on
            the grid. None with `bbox`.
        vectors
            Floats ``(dimension, height, width)`` or ``(height, width, dimension)``: an array of
            NumPy, or what has ``__array__`` or ``__dlpack__``, such as a tensor on the CPU. A
            vector with a component that is not finite is an invalid pixel.
        valid
            bool ``(height, width)``: False makes a pixel invalid as well.
        bbox
            ``(xmin, ymin, xmax, ymax)`` of the window in units of the CRS, instead of `window`.
        axis
            Which axis of `vectors` has the components, 0 or -1, where the shape does not tell.
        layers
            Numbers of the store's layers by their names, ``(height, width)`` each; what is left
            out is none.

        Raises
        ------
        InvalidConfigError
            If the window is not within the grid, or the vectors are not its pixels.
        StoreError
            If other vectors are there already, the writer is closed, or the place cannot be
            written.
        """
        place = place_window(self.grid, window, bbox)
        values = self._checked(place, vectors, axis)
        mask = None if valid is None else _checked_mask(place, valid)
        numbers = self._checked_layers(place, layers or {})
        self._intake.take(place, values, mask, numbers)

    def missing(self, windows: int | Iterable[Place]) -> list[Window]:
        """Return those of some windows that are not wholly written.

        Parameters
        ----------
        windows
            Which, or the side of the squares that the grid is cut into.
        """
        if isinstance(windows, int):
            windows = Blocks(self.grid.shape, (windows, windows))
        places = (place_window(self.grid, window, None) for window in windows)
        return list(self._intake.shards.missing(places))

    def finish(
        self, *, workers: int | None = None, progress: Progress | None = None
    ) -> ConvertSummary | AppendSummary:
        """Make the store appear. Pixels that nobody wrote are invalid; `missing` tells which.

        Parameters
        ----------
        workers
            Shards written at once; None for one per core.
        progress
            Called with the numbers of finished and of all shards.

        Returns
        -------
        summary
            What it cost and what it lost: a `ConvertSummary` of a new store, an `AppendSummary` of
            a date.

        Raises
        ------
        StoreError
            If this is a copy, the writer is closed, or the destination is another's by now.
        """
        site, target = self._site, self._target
        if site is None or target is None or not self.is_owner:
            raise StoreError(
                f"{self._build.fence.url}: finish: expected the writer that create returned, in "
                "its process and open; copies only write"
            )
        pool, shards = ThreadWorkers(worker_count(workers)), self._intake.shards
        results = shards.complete_all(pool, progress)
        target.conclude(self._build, shards.writer, results, pool, progress)
        site.finish()
        self._close(None)
        return target.summary(self._started)

    def close(self) -> None:
        """Let go of the destination; what was written stays, and the same call goes on."""
        self._close(None)

    def _close(self, error: BaseException | None) -> None:
        if not self.is_owner or self._site is None:
            return
        site, self._site = self._site, None
        if isinstance(error, Exception) and self._build.has_finished():
            error = None  # whatever went wrong, windows are worth keeping
        site.__exit__(None if error is None else type(error), error, None)

    def _checked(self, window: Window, vectors: Any, axis: int | None) -> NDArray[Any]:
        values = as_numpy(vectors, "vectors")
        if values.dtype.kind != "f":
            raise InvalidConfigError(
                f"vectors: type {values.dtype}; expected floats; integers are codes of a product: "
                "apply its scale first"
            )
        return components_first(
            values, self.encoding.dimension, "vectors", shape=window.shape, axis=axis
        )

    def _checked_layers(self, window: Window, given: Mapping[str, Any]) -> dict[str, NDArray[Any]]:
        """Return the stored numbers of all layers of a window."""
        layers = self._intake.shards.writer.plan.layers
        arrays = {
            name: values if isinstance(values, np.ndarray) else as_numpy(values, name, "biuf")
            for name, values in given.items()
        }
        numbers = prepare_layers(layers, window, arrays)
        for layer in layers:
            if layer.name not in numbers:
                numbers[layer.name] = np.full(window.shape, layer.fill, layer.dtype)
        return {layer.name: numbers[layer.name] for layer in layers}


def _checked_mask(window: Window, valid: Any) -> NDArray[np.bool_]:
    mask = as_numpy(valid, "valid", "b")
    if mask.shape != window.shape:
        raise InvalidConfigError(f"valid: shape {mask.shape}; expected {window.shape}")
    return mask


@dataclass(frozen=True)
class Begun:
    """What is begun at a destination.

    Parameters
    ----------
    build, writer, target
        Where, how and what.
    grid
        Of the store.
    seed, centre
        As in `geoembz.create`.
    """

    build: Build
    writer: StoreWriter
    target: Target
    grid: Grid
    seed: int
    centre: NDArray[np.float64]


def open_writer(
    destination: Destination, begin: Callable[[Site], Begun], repeats: str, started: float
) -> Writer:
    """Take a destination, begin there or go on, and return what writes there.

    Parameters
    ----------
    destination
        Where.
    begin
        Called once the destination is held.
    repeats
        As in `geoembz.create`.
    started
        When that was called, by `time.perf_counter`.
    """
    known = check_repeats(repeats)
    site = Site(destination)
    site.__enter__()
    try:
        begun = begin(site)
        encoding = begun.writer.plan.encoding
        fit_once(begun.build, lambda: (encoding, begun.centre))
        shards = Shards(begun.build, begun.writer, known)
        shards.forget_lost()
    except BaseException as error:
        site.__exit__(type(error), error, None)
        raise
    roles = PixelRoles(begun.seed, begun.grid.shape)
    intake = Intake(begun.grid, shards, roles, begun.centre)
    return Writer(intake, begun.build, begun.target, site, started)
