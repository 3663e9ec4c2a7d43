"""Grow a store along its time axis, with the encoding that it has."""

import math
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._version import __version__
from geoembz.conventions import GRIDS, UNKNOWN_MODEL, StoreAttributes
from geoembz.conversion.basis import check_coverage
from geoembz.conversion.opening import Inputs, open_inputs
from geoembz.conversion.runner import Progress, run_tasks
from geoembz.conversion.sampling import PixelRoles, draw_sample, sample_mean
from geoembz.conversion.shards import Written, summarise, write_shards
from geoembz.conversion.summary import AppendSummary
from geoembz.conversion.times import parse_date
from geoembz.conversion.workers import ThreadWorkers
from geoembz.errors import EncodingError, InvalidConfigError, StoreError
from geoembz.sources import InputOptions, OpenOptions, Source, check_vectors, traits_of
from geoembz.sources.alignment import describe_grid, offset
from geoembz.store import (
    EMBEDDING,
    VALID,
    ChunkLayout,
    DestinationLock,
    Journal,
    ObjectTree,
    StorePlan,
    StoreReader,
    StoreSource,
    StoreWriter,
    write_root,
)
from geoembz.threads import worker_count

_CENTRE_SAMPLES = 16_384


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
    """

    date: str
    replace: bool
    recode: bool
    seed: int
    workers: int


def append(
    store: str | Path,
    source: Inputs,
    *,
    time: str,
    inputs: InputOptions | None = None,
    replace_date: bool = False,
    recode: bool = False,
    seed: int = 0,
    workers: int | None = None,
    progress: Progress | None = None,
) -> AppendSummary:
    """Append one date to a store that has a time axis.

    Readers see the store as it was until the metadata are written, last of all. An interrupted
    call is finished by the same call.

    Parameters
    ----------
    store
        A store with a time axis, or a root of several.
    source
        What `geoembz.convert` takes, on the grid of the store.
    time
        ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``.
    inputs
        How to open the inputs; its year is that of `time`.
    replace_date
        Write over the date if the store has it already.
    recode
        Accept a store with another encoding as input.
    seed
        Seed of the choice of held-out pixels.
    workers
        Shards written at once; None for one per core.
    progress
        Called with the numbers of finished and of all shards.

    Returns
    -------
    summary
        What was added, and what it lost.

    Raises
    ------
    StoreError
        If the store has no time axis.
    InvalidConfigError
        If the date is there, or the grid is another one.
    EncodingError
        If the vectors have another length, model or encoding.

    References
    ----------
    spec/format.md, "Time".
    """
    started = clock.perf_counter()
    date = parse_date(time)
    options = AppendOptions(date, replace_date, recode, seed, worker_count(workers))
    given = inputs or InputOptions()
    opening: OpenOptions = replace(given.opening, year=int(date[:4]))
    grids = open_inputs(source, replace(given, opening=opening))
    url = str(store)
    members = _members(url)
    if members is None:
        if len(grids) > 1:
            raise InvalidConfigError(
                f"{url}: one grid, but the inputs lie in {', '.join(grids)}; expected inputs of one"
            )
        ((_, only),) = grids.items()
        written = [_Appending(url, only, options).run(progress)]
    else:
        unknown = sorted(set(grids) - set(members))
        if unknown:
            raise InvalidConfigError(
                f"{url}: holds {', '.join(members)}, but inputs lie in {', '.join(unknown)}; "
                "convert those to a store of their own with --basis"
            )
        written = [
            _Appending(f"{url.rstrip('/')}/{name}", grid, options).run(progress)
            for name, grid in grids.items()
        ]
        write_root(url, members)
    pixels, fidelity = _pixels([part.pixels for part in written]), _fidelity(written)
    return AppendSummary(
        store=url,
        time=date,
        pixels=pixels["total"],
        valid_pixels=pixels["valid"],
        rejected_pixels=pixels.get("rejected", 0),
        cosine=fidelity["cosine"],
        cosine_centred=fidelity["cosine_centred"],
        rmse=fidelity["rmse"],
        held_out_pixels=fidelity["n"],
        seconds=clock.perf_counter() - started,
    )


@dataclass(frozen=True)
class _Appending:
    """One date for one store."""

    url: str
    source: Source
    options: AppendOptions

    def run(self, progress: Progress | None) -> Written:
        with DestinationLock(ObjectTree(self.url)) as lock:
            return self._build(lock, progress)

    def _build(self, lock: DestinationLock, progress: Progress | None) -> Written:
        reader = StoreReader.open(self.url)
        self._check(reader)
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

    def _check(self, reader: StoreReader) -> None:
        _check_times(self.url, reader, self.options)
        _check_grid(self.url, reader, self.source)
        _check_vectors_fit(self.url, reader, self.source, self.options)

    def _attributes(
        self, attributes: StoreAttributes, written: Written, position: int
    ) -> StoreAttributes:
        """Return the store's attributes with the date's entry, and the sums over all dates."""
        entries = list(attributes.times)
        entries[position : position + 1] = [written.at(self.options.date)]
        parts = [_written(entry) for entry in entries]
        sources = {str(entry): entry for part in parts for entry in part.sources}
        traits = traits_of(self.source)
        return replace(
            attributes,
            sources=tuple(sources.values()),
            pixels=_pixels([part.pixels for part in parts]),
            fidelity=_fidelity(parts),
            times=tuple(entries),
            notes=tuple(dict.fromkeys((*attributes.notes, *traits.notes))),
            skipped=tuple(dict.fromkeys((*attributes.skipped, *traits.skipped))),
        )


def _members(url: str) -> list[str] | None:
    """Return the names of a root's stores; None where there is one store."""
    document = ObjectTree(url).read_json("zarr.json")
    attributes = document.get("attributes", {}) if isinstance(document, dict) else {}
    return [str(name) for name in attributes[GRIDS]] if GRIDS in attributes else None


def _check_times(url: str, reader: StoreReader, options: AppendOptions) -> None:
    if not reader.dates:
        raise StoreError(
            f"{url}: no time axis; give it one with `geoembz convert {url} NEW.zarr --basis {url} "
            "--time YEAR`, and append to NEW.zarr"
        )
    if options.date in reader.dates and not options.replace:
        raise InvalidConfigError(
            f"{url}: holds {options.date} already ({', '.join(reader.dates)}); choose another "
            "time, or pass --replace"
        )


def _check_grid(url: str, reader: StoreReader, source: Source) -> None:
    stored, new = reader.attributes.grid, source.grid
    same_crs = stored.crs_code == new.crs_code if stored.crs_code else stored.crs_wkt == new.crs_wkt
    if not same_crs or stored.shape != new.shape or offset(stored, new) != (0, 0):
        raise InvalidConfigError(
            f"{source.name}: {describe_grid(new)}; but {url}: {describe_grid(stored)}; expected "
            "the same grid at every date"
        )


def _check_vectors_fit(
    url: str, reader: StoreReader, source: Source, options: AppendOptions
) -> None:
    encoding, model = reader.encoding, reader.attributes.model
    if source.dimension != encoding.dimension:
        raise EncodingError(
            f"{source.name}: vectors of {source.dimension} components, but {url} encodes "
            f"{encoding.dimension}; expected the same model's embeddings"
        )
    theirs = traits_of(source).model
    if theirs is not None and model not in {UNKNOWN_MODEL, theirs}:
        raise EncodingError(
            f"{source.name}: model {theirs}, but {url} holds {model}; vectors of two models cannot "
            "be compared: convert them to a store of their own"
        )
    is_other = isinstance(source, StoreSource) and source.encoding_hash != encoding.hash
    if is_other and not options.recode:
        raise EncodingError(
            f"{source.name}: a store with another encoding than {url}, {encoding.hash}; encoding "
            "decoded vectors again loses more: append the original, or pass --recode"
        )


def _chunks(reader: StoreReader) -> ChunkLayout:
    """Return the chunks and shards that the store has."""
    codes = reader.codes
    chunk = (codes.chunks[-2], codes.chunks[-1])
    shard = reader.stored_chunk
    length = codes.chunks[-3]
    prefix = None if length >= codes.shape[-3] else length
    return ChunkLayout(reader.shape, chunk, shard, codes.shards is not None, prefix)


def _written(entry: Mapping[str, Any]) -> Written:
    return Written(tuple(entry["sources"]), entry["pixels"], entry["fidelity"])


def _pixels(parts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Add up pixels by name; none was rejected where nothing is said."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(int(part.get(name, 0)) for part in parts) for name in names}


def _fidelity(parts: Sequence[Written]) -> dict[str, Any]:
    """Return the means over the held-out pixels of all parts."""
    measured = [part.fidelity for part in parts if part.fidelity.get("n")]
    total = sum(int(entry["n"]) for entry in measured)
    if not total:
        return {"cosine": None, "cosine_centred": None, "rmse": None, "n": 0}

    def mean(name: str, power: int = 1) -> float:
        return float(sum(entry[name] ** power * entry["n"] for entry in measured) / total)

    return {
        "cosine": mean("cosine"),
        "cosine_centred": mean("cosine_centred"),
        "rmse": math.sqrt(mean("rmse", 2)),
        "n": total,
    }
