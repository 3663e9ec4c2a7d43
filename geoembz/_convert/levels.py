"""Write the levels of one grid at one date; and what a store says of them.

The full resolution is written but need not be a store yet: a conversion, an appended date and a
finished store all come here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from geoembz._convert.level_tasks import (
    CoarserTask,
    CodesReader,
    FinestTask,
    LevelResult,
    LevelTask,
)
from geoembz._convert.record import total_pixels
from geoembz._convert.shard_task import ShardResult
from geoembz._convert.site import Build
from geoembz._convert.summary import mean_fidelity
from geoembz._util.progress import Progress
from geoembz._work.executors import Workers, merge_stored, run_recorded
from geoembz.encoding._fidelity import FidelitySums
from geoembz.encoding._means import MeanEncoder
from geoembz.sources.aef import is_unit_product
from geoembz.store.attributes import StoreAttributes
from geoembz.store.digests import StoredObjects
from geoembz.store.levels import OVERVIEWS, Level
from geoembz.store.writer import StoreWriter

type LevelFigures = Mapping[str, Any]
"""``{pixels, fidelity}`` of one level at one date."""


@dataclass(frozen=True)
class WrittenLevels:
    """The levels that were written at one date.

    Parameters
    ----------
    figures
        Of each, finest first.
    stored
        Their objects, by key.
    """

    figures: tuple[LevelFigures, ...]
    stored: StoredObjects


def has_unit_length(attributes: StoreAttributes) -> bool:
    """Whether the means of a store's vectors are divided by their lengths.

    So it is where the encoding scales vectors to length 1, and where its model makes such ones.
    """
    encoding = attributes.encoding
    normalizes = bool(encoding.get("normalize"))
    return normalizes or is_unit_product(attributes.model, encoding["dimension"])


def write_levels(
    build: Build,
    writer: StoreWriter,
    reader: CodesReader,
    workers: Workers,
    progress: Progress | None,
    *,
    unit_length: bool,
) -> WrittenLevels:
    """Write the shards of all levels that the journal lacks.

    Parameters
    ----------
    build
        Its journal says what is finished, and is told what is; its fence, whose it is.
    writer
        Of the full resolution; its plan has the levels.
    reader
        Reads the full resolution.
    workers
        Run the tasks.
    progress
        Called with the numbers of finished and of all shards.
    unit_length
        Whether means are divided by their lengths.
    """
    plan, date = writer.plan, writer.date or 0
    writers = tuple(writer.level(number) for number in range(1, len(plan.levels) + 1))
    total = sum(len(one.plan.chunks.shards()) for one in writers)
    encoder = MeanEncoder(plan.encoding, unit_length)
    finished: list[list[LevelResult]] = []
    for number, own in enumerate(writers):
        journal = build.journal.of_level(2 ** (number + 1), date)
        common = (writers[number:], journal, build.fence, date, workers.may_repeat)
        task: LevelTask = (
            FinestTask(*common, reader, plan.chunks, encoder)
            if number == 0
            else CoarserTask(*common, writers[number - 1], build.journal.of_level(2**number, date))
        )
        results = run_recorded(
            task,
            own.plan.chunks.shards(),
            journal,
            build.tree,
            writer.date,
            LevelResult.from_json,
            workers,
            _from(progress, sum(map(len, finished)), total),
        )
        finished.append(results)
    stored = merge_stored(result.stored for results in finished for result in results)
    return WrittenLevels(_figures(writers, finished), stored)


def _from(progress: Progress | None, done: int, total: int) -> Progress | None:
    """Return what counts the tasks of one level among those of all."""
    if progress is None:
        return None
    return lambda count, _total: progress(done + count, total)


def _figures(
    writers: Sequence[StoreWriter], finished: Sequence[Sequence[LevelResult]]
) -> tuple[LevelFigures, ...]:
    """Add up the shards of each level; the finest level's tell the fidelity of all."""
    found = []
    for number, (writer, results) in enumerate(zip(writers, finished, strict=True)):
        parts = (result.fidelity[number] for result in finished[0])
        height, width = writer.plan.chunks.shape
        found.append(
            {
                "pixels": {
                    "total": height * width,
                    "valid": sum(result.valid_pixels for result in results),
                },
                "fidelity": reduce(FidelitySums.merge, parts, FidelitySums()).summary(),
            }
        )
    return tuple(found)


def with_levels(
    attributes: StoreAttributes, dates: Mapping[int, Sequence[LevelFigures]], *, unit_length: bool
) -> StoreAttributes:
    """Return a store's attributes with what is known of its levels.

    Parameters
    ----------
    attributes
        Of the store; those of other dates stay.
    dates
        The figures of each level by the position of a date; 0 where there is no time axis.
    unit_length
        Whether means were divided by their lengths.
    """
    times = tuple(
        {**entry, OVERVIEWS: [dict(one) for one in dates[position]]} if position in dates else entry
        for position, entry in enumerate(attributes.times)
    )
    every = [entry[OVERVIEWS] for entry in times] if times else [dates[0]]
    levels = tuple(
        replace(
            Level.of(attributes.grid, number),
            pixels=total_pixels([figures["pixels"] for figures in same]),
            fidelity=mean_fidelity([figures["fidelity"] for figures in same]),
        )
        for number, same in enumerate(zip(*every, strict=True), 1)
    )
    return replace(attributes, times=times, levels=levels, unit_length=unit_length)


def finish_store(
    build: Build,
    writer: StoreWriter,
    attributes: StoreAttributes,
    results: Sequence[ShardResult],
    workers: Workers,
    progress: Progress | None,
    unit_length: bool,
    former: Mapping[str, str] | None = None,
    kept: StoredObjects | None = None,
    reader: CodesReader | None = None,
) -> None:
    """Write the levels that are planned, above shards that are written; then all metadata.

    Parameters
    ----------
    build, writer
        Where, and what.
    attributes
        Of the store, without what its levels add to them at this date.
    results
        Of the shards.
    workers, progress
        As in `write_levels`.
    unit_length
        Whether the means of levels are divided by their lengths.
    former, kept
        As in `StoreWriter.finish`.
    reader
        Reads the full resolution; None where all of it was written.
    """
    stored = merge_stored(result.stored for result in results)
    if writer.plan.levels:
        levels = write_levels(
            build,
            writer,
            reader or writer.reader(),
            workers,
            progress,
            unit_length=unit_length,
        )
        figures = {writer.date or 0: levels.figures}
        attributes = with_levels(attributes, figures, unit_length=unit_length)
        stored |= levels.stored
    writer.finish(attributes, stored, build.fence, former, kept)
