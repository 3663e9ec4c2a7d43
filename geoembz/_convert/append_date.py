"""Append one date to one store: see whether the source fits it, then write its shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from geoembz._convert.conversion import Fit, fit_once
from geoembz._convert.date_build import (
    check_date,
    date_attributes,
    date_plan,
    date_store_plan,
    date_writer,
    finish_date,
    make_room,
    order_notes,
)
from geoembz._convert.destination import Destination
from geoembz._convert.outlook import Outlook, outlook_of_raster
from geoembz._convert.record import Written, summarise
from geoembz._convert.shard_task import shards_of, write_shards
from geoembz._convert.site import Build, Site
from geoembz._convert.store_fit import check_sample, match_vectors
from geoembz._util.progress import Progress
from geoembz._work.executors import Workers
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions, Source
from geoembz.sources.base import traits_of
from geoembz.sources.georeference import describe_grid, same_pixels
from geoembz.sources.placed_layers import with_layers_of
from geoembz.sources.provenance import BBOX
from geoembz.store import StoreReader


@dataclass(frozen=True)
class AppendOptions:
    """How to append.

    Parameters
    ----------
    date
        As ``YYYY-MM-DD``.
    replace
        Write over a date that is there already.
    recode
        Accept a store with another encoding as input: its vectors are decoded and encoded again.
    seed
        Seed of the choice of held-out pixels.
    workers
        Shards written at once.
    breaks_lock
        Take the store from another conversion that seems to hold it.
    read
        How the inputs are read.
    """

    date: str
    replace: bool
    recode: bool
    seed: int
    workers: int
    breaks_lock: bool
    read: ReadOptions


def fit_to_store(
    url: str,
    reader: StoreReader,
    source: Source,
    options: AppendOptions,
    *,
    is_begun: bool = False,
) -> Source:
    """Return a source with its bands in the order of a store's; refuse one that does not fit.

    Parameters
    ----------
    url, reader
        The store.
    source
        What is to be appended.
    options
        How.
    is_begun
        Whether the same command was interrupted: the date may be there already.

    Raises
    ------
    StoreError
        If the store has no time axis.
    InvalidConfigError
        If the date is there, or the grid is another one.
    EncodingError
        If the vectors have another length, model or encoding.
    SourceError
        If the names of its bands say that they are others, or its layers do not fit.
    """
    check_date(url, reader, options.date, replaces=options.replace or is_begun)
    _check_grid(url, reader, source)
    source = match_vectors(url, reader, source, recode=options.recode)
    return with_layers_of(source, reader.attributes.layers, url, options.date)


def _check_grid(url: str, reader: StoreReader, source: Source) -> None:
    stored, new = reader.attributes.grid, source.grid
    if not same_pixels(stored, new):
        raise InvalidConfigError(
            f"{source.name}: {describe_grid(new)}; but {url}: {describe_grid(stored)}; expected "
            "the same grid at every date"
        )


@dataclass(frozen=True)
class DateAppending:
    """One date for one store.

    Parameters
    ----------
    url
        The store.
    source
        The date's pixels, on the grid of the store.
    options
        How.
    pool
        Writes the shards.
    is_ahead
        Whether an interrupted call may have appended the date here, of several stores, already.
    """

    url: str
    source: Source
    options: AppendOptions
    pool: Workers
    is_ahead: bool = False

    def run(self, progress: Progress | None) -> tuple[Written, tuple[str, ...]]:
        """Append; readers see the store as it was until the metadata are written.

        Returns
        -------
        written, notes
            What was added, and what a reader may want to know of it.

        Raises
        ------
        GeoembzError
            If the source does not fit the store (see `fit_to_store`), or cannot be read.
        """
        StoreReader.open(self.url)  # before the lock, which would make a folder
        destination = Destination(self.url, breaks_lock=self.options.breaks_lock)
        with Site(destination) as site:
            reader = StoreReader.open(self.url)
            plan = self._plan(reader, site)
            if plan in site.ended:
                return Written.of_entry(reader.attributes.times[plan["position"]]), ()
            if self.is_ahead and self._is_here(reader):
                return Written.of_entry(reader.attributes.times[plan["position"]]), ()
            is_begun = any(journal.matches(plan) for journal in site.journals())
            source = fit_to_store(self.url, reader, self.source, self.options, is_begun=is_begun)
            written = replace(self, source=source).write(site.begin(plan), reader, progress)
            site.finish()
        return written, (*traits_of(source).notes, *order_notes(reader, self.options.date))

    def foresee(self) -> tuple[Outlook, str]:
        """Return what that would take, and what is there, in words; nothing is changed.

        Raises
        ------
        GeoembzError
            As `run` would, before it writes.
        """
        date, reader = self.options.date, StoreReader.open(self.url)
        site = Site(Destination(self.url, breaks_lock=self.options.breaks_lock))
        plan = self._plan(reader, site)
        journal, state = site.foresee(plan)
        begun = journal is not None
        source = fit_to_store(self.url, reader, self.source, self.options, is_begun=begun)
        if journal is None:
            where = "replaced" if date in reader.dates else "added"
            state = f"a store of {', '.join(reader.dates)}; {date} is {where}"
        store = date_store_plan(reader, plan["position"], date)
        shards = shards_of(source, store)
        done = 0 if journal is None else len(journal.finished())
        outlook = outlook_of_raster(source, store, shards, done, self.options.workers)
        notes = (*outlook.notes, *order_notes(reader, date))
        return replace(outlook, notes=notes), state

    def _is_here(self, reader: StoreReader) -> bool:
        """Whether the store has the date, from the same inputs."""
        entries = {entry["time"]: entry for entry in reader.attributes.times}
        entry = entries.get(self.options.date)
        ours = [info.provenance() for info in self.source.info]
        if entry is None:
            return False
        return [_without_extras(e) for e in entry["sources"]] == [*map(_without_extras, ours)]

    def _plan(self, reader: StoreReader, site: Site) -> dict[str, Any]:
        """Return all that the date's bytes depend on, and whether it replaces one."""
        plan = {
            "seed": self.options.seed,
            "sources": [info.identity() for info in self.source.info],
        }
        if self.options.read.checksum:
            plan["checksum"] = True
        return date_plan(reader, site, self.options.date, plan)

    def write(self, build: Build, reader: StoreReader, progress: Progress | None) -> Written:
        """Write the date of a source that fits the store."""
        writer = date_writer(build, reader, self.options.date)
        _, centre = fit_once(build, lambda: self._fit(build, reader, writer.plan.arrays))
        results = write_shards(
            self.source,
            writer,
            build,
            centre,
            self.options.seed,
            self.pool,
            progress,
        )
        written = summarise(self.source, results, checksum=self.options.read.checksum)
        attributes = date_attributes(reader.attributes, written, build.plan, traits_of(self.source))
        finish_date(build, writer, reader, attributes, results, self.pool, progress)
        return written

    def _fit(self, build: Build, reader: StoreReader, arrays: Sequence[str]) -> Fit:
        """Check the store's encoding on a sample; make room for the date where it is written."""
        fit = check_sample(
            self.source,
            reader.encoding,
            self.options.seed,
            self.options.workers,
            self.options.read.nodata,
        )
        make_room(build, arrays)
        return fit


def _without_extras(source: Mapping[str, Any]) -> dict[str, Any]:
    """Return a source's entry without what was asked for besides, or later versions added."""
    return {name: value for name, value in source.items() if name not in {"sha256", BBOX}}
