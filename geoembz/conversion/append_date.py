"""Append one date to one store."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from geoembz._version import __version__
from geoembz.conventions import StoreAttributes
from geoembz.conversion.append_checks import fitted
from geoembz.conversion.append_options import AppendOptions
from geoembz.conversion.basis import check_coverage
from geoembz.conversion.runner import Progress, run_tasks
from geoembz.conversion.sampling import PixelRoles, draw_sample, sample_mean
from geoembz.conversion.shards import Written, summarise, write_shards
from geoembz.conversion.totals import total_fidelity, total_pixels, written_at
from geoembz.conversion.workers import ThreadWorkers
from geoembz.sources import Source, check_vectors, traits_of
from geoembz.store import (
    EMBEDDING,
    VALID,
    ChunkLayout,
    DestinationLock,
    Journal,
    ObjectTree,
    StorePlan,
    StoreReader,
    StoreWriter,
)

_CENTRE_SAMPLES = 16_384
"""Pixels for the mean that the centred cosine takes off."""


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
    """

    url: str
    source: Source
    options: AppendOptions

    def run(self, progress: Progress | None) -> tuple[Written, tuple[str, ...]]:
        """Append; readers see the store as it was until the metadata are written.

        Returns
        -------
        written, notes
            What was added, and what a reader may want to know of it.

        Raises
        ------
        GeoembzError
            If the source does not fit the store (see `fitted`), or cannot be read.
        """
        with DestinationLock(ObjectTree(self.url)) as lock:
            reader = StoreReader.open(self.url)
            fitting = replace(self, source=fitted(self.url, reader, self.source, self.options))
            written = fitting.build(lock, reader, progress)
        return written, (*traits_of(fitting.source).notes, *self._order_notes(reader))

    def _order_notes(self, reader: StoreReader) -> list[str]:
        """Return what to tell of a date that is stored behind later ones."""
        later = [date for date in reader.dates if date > self.options.date]
        if not later or self.options.date in reader.dates:
            return []
        note = (
            f"stored behind {max(later)}: dates stand in the order they were added in; geoembz "
            "sorts them on opening, plain readers see them as stored (xarray: sortby('time'))"
        )
        return [note]

    def build(
        self, lock: DestinationLock, reader: StoreReader, progress: Progress | None
    ) -> Written:
        """Write the date of a source that fits the store."""
        dates = reader.dates
        position = dates.index(self.options.date) if self.options.date in dates else len(dates)
        if position == len(dates):
            dates = (*dates, self.options.date)
        plan = StorePlan(reader.encoding, _chunks(reader), "plain", dates)
        writer = StoreWriter(self.url, plan, position)
        journal = Journal(ObjectTree(self.url))
        centre = self._prepare(journal, reader, position)
        results = write_shards(
            self.source,
            writer,
            journal,
            lock.fence,
            centre,
            self.options.seed,
            ThreadWorkers(self.options.workers),
            progress,
        )
        written = summarise(self.source, results)
        writer.finish(self._attributes(reader.attributes, written, position))
        lock.release()
        journal.clear()
        return written

    def _prepare(self, journal: Journal, reader: StoreReader, position: int) -> NDArray[np.float64]:
        """Start the journal or take it up; return the mean that the centred cosine takes off."""
        plan = {
            "append": self.options.date,
            "software": __version__,
            "seed": self.options.seed,
            "sources": [info.provenance() for info in self.source.info],
        }
        if journal.exists():
            return journal.resume(plan)[1]
        roles = PixelRoles(self.options.seed, self.source.grid.shape)
        run = partial(run_tasks, workers=self.options.workers)
        sample = draw_sample(self.source, roles, _CENTRE_SAMPLES, run)
        check_vectors(self.source, sample)
        encoding = reader.encoding
        check_coverage(self.source.name, encoding, sample, strict=False)
        centre = sample_mean([encoding.target(block) for block in sample])
        for array in (EMBEDDING, VALID):  # shards of a former date: gaps must not show them
            journal.tree.remove(f"{array}/c/{position}")
        journal.start(plan, encoding, centre)
        return centre

    def _attributes(
        self, attributes: StoreAttributes, written: Written, position: int
    ) -> StoreAttributes:
        """Return the store's attributes with the date's entry, and the sums over all dates."""
        entries = list(attributes.times)
        entries[position : position + 1] = [written.at(self.options.date)]
        parts = [written_at(entry) for entry in entries]
        sources = {str(entry): entry for part in parts for entry in part.sources}
        traits = traits_of(self.source)
        return replace(
            attributes,
            sources=tuple(sources.values()),
            pixels=total_pixels([part.pixels for part in parts]),
            fidelity=total_fidelity(parts),
            times=tuple(entries),
            notes=tuple(dict.fromkeys((*attributes.notes, *traits.notes))),
            skipped=tuple(dict.fromkeys((*attributes.skipped, *traits.skipped))),
        )


def _chunks(reader: StoreReader) -> ChunkLayout:
    """Return the chunks and shards that the store has."""
    codes = reader.codes
    chunk = (codes.chunks[-2], codes.chunks[-1])
    shard = reader.stored_chunk
    length = codes.chunks[-3]
    prefix = None if length >= codes.shape[-3] else length
    return ChunkLayout(reader.shape, chunk, shard, codes.shards is not None, prefix)
