"""Add a date to a store window by window."""

import time as clock
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from geoembz._convert.date_build import (
    check_date,
    date_attributes,
    date_plan,
    date_writer,
    finish_date,
    make_room,
    order_notes,
    summarise_date,
)
from geoembz._convert.destination import Destination
from geoembz._convert.options import FitOptions, parse_date
from geoembz._convert.record import Written, summarise
from geoembz._convert.shard_task import ShardResult
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import AppendSummary
from geoembz._util.progress import Progress
from geoembz._work.executors import Workers
from geoembz._write.create import Declared, centre_of, source_infos
from geoembz._write.shards import Repeats
from geoembz._write.writer import Begun, Writer, open_writer
from geoembz.sources.provenance import SourceInfo
from geoembz.store import StoreReader
from geoembz.store.journal import BY_WINDOW
from geoembz.store.writer import StoreWriter


@dataclass(frozen=True)
class NewDate:
    """A date that a store does not have yet, or that is replaced.

    Parameters
    ----------
    reader
        The store as it was.
    declared
        What is said of the vectors.
    date
        As ``YYYY-MM-DD``.
    written
        What was written, once that is known.
    """

    reader: StoreReader
    declared: Declared
    date: str
    written: list[Written] = field(default_factory=list)

    def conclude(
        self,
        build: Build,
        writer: StoreWriter,
        results: list[ShardResult],
        workers: Workers,
        progress: Progress | None,
    ) -> None:
        """Write what follows the shards; see `Target`."""
        self.written[:] = [summarise(self.declared, results)]
        attributes = date_attributes(
            self.reader.attributes, self.written[0], build.plan, self.declared.traits
        )
        finish_date(build, writer, self.reader, attributes, results, workers, progress)

    def summary(self, started: float) -> AppendSummary:
        """Return what was added."""
        notes = order_notes(self.reader, self.date)
        return summarise_date(self.declared.name, self.date, self.written, notes, started)


def extend(
    store: str | Path,
    *,
    time: str,
    sources: Sequence[str] = (),
    centre: ArrayLike | None = None,
    seed: int = 0,
    repeats: Repeats = "refuse",
    replace_date: bool = False,
    break_lock: bool = False,
) -> Writer:
    """Begin a date of a store that has a time axis, written window by window.

    Grid, encoding, layers and overviews are the store's own. Readers see the store as it was until
    `Writer.finish`. A job that was killed goes on after the same call.

    Parameters
    ----------
    store
        A store with a time axis: that `geoembz.create` or `geoembz.convert` gave a time.
    time
        ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``.
    sources, centre, seed, repeats, break_lock
        As in `geoembz.create`.
    replace_date
        Replace the date if the store has it already.

    Returns
    -------
    writer
        Open: it holds the store until it is closed.

    Raises
    ------
    StoreError
        If there is no such store, it has no time axis, or it cannot be written.
    InvalidConfigError
        If the date is there already, or another job is unfinished there.
    DestinationExistsError
        If another command holds the store.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(8, 64, 64)).astype("float32")
    >>> place = geoembz.Grid("EPSG:32633", "EPSG:32633", (10, 0, 5e5, 0, -10, 5e6), (64, 64))
    >>> encoding = geoembz.fit(vectors.reshape(8, -1).T, "pca4-int8")
    >>> with geoembz.create(tmp_path / "out.zarr", place, encoding, time="2023") as writer:
    ...     writer.write(place.window, vectors)
    ...     summary = writer.finish()
    >>> with geoembz.extend(tmp_path / "out.zarr", time="2024") as writer:
    ...     writer.write(place.window, vectors + 0.1)
    ...     summary = writer.finish()
    >>> geoembz.info(tmp_path / "out.zarr").dates
    ('2023-01-01', '2024-01-01')
    """
    started, url, date = clock.perf_counter(), str(store), parse_date(time)
    seed, infos = FitOptions(seed=seed).seed, source_infos(sources)
    StoreReader.open(url)  # before the lock, which would make a folder

    def begin(site: Site) -> Begun:
        reader = StoreReader.open(url)
        middle = centre_of(reader.encoding, centre)
        identities = [info.identity() for info in infos]
        own = {**BY_WINDOW, "seed": seed, "sources": identities}
        plan = date_plan(reader, site, date, {**own, "centre": middle.tolist()})
        is_ended = plan in site.ended
        is_begun = any(journal.matches(plan) for journal in site.journals()) and not is_ended
        check_date(url, reader, date, replaces=(replace_date and not is_ended) or is_begun)
        build = site.begin(plan)
        writer = date_writer(build, reader, date)
        if not build.journal.exists():
            make_room(build, writer.plan.arrays)
        target = NewDate(reader, _declared(url, reader, infos), date)
        return Begun(build, writer, target, reader.attributes.grid, seed, middle)

    destination = Destination(url, breaks_lock=break_lock)
    return open_writer(destination, begin, repeats, started)


def _declared(url: str, reader: StoreReader, infos: tuple[SourceInfo, ...]) -> Declared:
    attributes, dimension = reader.attributes, reader.encoding.dimension
    names = attributes.band_names or (None,) * dimension
    return Declared(url, attributes.grid, dimension, np.dtype(np.float32), infos, names)
