"""Grow a store along its time axis, with the encoding that it has."""

import time as clock
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Unpack

from geoembz._convert.append_date import AppendOptions, DateAppending
from geoembz._convert.date_build import summarise_date
from geoembz._convert.inputs import Inputs, open_inputs
from geoembz._convert.members import match_grids, member_names
from geoembz._convert.options import FitOptions, ReadKeywords, gather_read, parse_date
from geoembz._convert.outlook import foresee_all
from geoembz._convert.record import Written
from geoembz._convert.summary import AppendSummary
from geoembz._objects.names import refuse_snapshot
from geoembz._objects.tree import ObjectTree
from geoembz._util.dry_run import Foreseen, is_dry
from geoembz._util.progress import Progress
from geoembz._util.threads import worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import make_absolute, with_absolute_layers
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions, Source
from geoembz.store.grids import write_root
from geoembz.store.lock import DestinationLock


def append(
    store: str | Path,
    source: Inputs,
    *,
    time: str,
    read: ReadOptions | None = None,
    replace_date: bool = False,
    recode: bool = False,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    break_lock: bool = False,
    progress: Progress | None = None,
    **flat: Unpack[ReadKeywords],
) -> AppendSummary:
    """Append one date to a store that has a time axis.

    Readers see the store as it was until the metadata are written, last of all. An interrupted
    call is finished by the same call.

    A date that replaces another one is built completely below ``.geoembz/`` first; until then, and
    if its source turns out to be damaged, the old date is untouched. Then it takes its place: on
    this machine by renaming, on an object store by copies that the server makes, object by object,
    while readers see each pixel as it was or as it will be, or are told that an object is missing.
    Killed in between, the next call that writes to the store ends it, and needs no source for it.

    Parameters
    ----------
    store
        A store with a time axis, or a root of several.
    source
        What `geoembz.convert` takes, on the grid of the store.
    time
        ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``.
    read
        How inputs are read, as in `geoembz.convert`; the year is that of `time`.
    replace_date
        Replace the date if the store has it already.
    recode
        Accept a store with another encoding as input.
    seed
        Seed of the choice of held-out pixels.
    workers
        Shards written at once; None for one per core.
    scheduler
        Where the shards are written instead; see `geoembz.convert`.
    break_lock
        Take the store from a conversion that seems to hold it: on another machine, and dead.
    progress
        Called with the numbers of finished and of all shards.
    **flat
        Any field of `ReadOptions` by its own name. How vectors are encoded and stored is the
        store's own: no option changes that.

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
    SourceError
        If an input cannot be read, or its bands are others than the store's.

    References
    ----------
    spec/format.md, "Time".
    """
    started = clock.perf_counter()
    date = parse_date(time)
    refuse_snapshot(str(store))
    read = gather_read("append", flat, read)
    check_scheduler(scheduler)
    if scheduler is not None:  # workers may run in another folder
        source, store = make_absolute(source), make_absolute(store)
        read = with_absolute_layers(read)
    options = AppendOptions(
        date,
        replace_date,
        recode,
        FitOptions(seed=seed).seed,
        worker_count(workers),
        break_lock,
        replace(read, year=int(date[:4])),
    )
    url = str(store)
    grids = open_inputs(source, options.read)
    with open_workers(scheduler, options.workers) as pool:
        added = _append_all(url, grids, options, pool, progress)
    written = [part for part, _ in added]
    return summarise_date(
        url, date, written, [note for _, notes in added for note in notes], started
    )


def _append_all(
    url: str,
    grids: Mapping[str, Source],
    options: AppendOptions,
    pool: Workers,
    progress: Progress | None,
) -> list[tuple[Written, tuple[str, ...]]]:
    """Append a date to the one store, or to those of a root, whose metadata come last."""
    members = member_names(url)
    if not members:
        if len(grids) > 1:
            raise InvalidConfigError(
                f"{url}: one grid, but the inputs lie in {', '.join(grids)}; expected inputs of one"
            )
        ((_, only),) = grids.items()
        appending = DateAppending(url, only, options, pool)
        if is_dry():
            raise Foreseen(foresee_all("append", url, [appending.foresee()]))
        return [appending.run(progress)]
    matched = match_grids(url, members, grids)
    if is_dry():
        every = [
            DateAppending(f"{url.rstrip('/')}/{name}", grid, options, pool).foresee()
            for name, grid in matched.items()
        ]
        raise Foreseen(foresee_all("append", url, every))
    with DestinationLock(ObjectTree(url), breaks=options.breaks_lock) as lock:
        told = _stores_with_date(url, options.date)
        added = [
            DateAppending(
                f"{url.rstrip('/')}/{name}", grid, options, pool, is_ahead=name not in told
            ).run(progress)
            for name, grid in matched.items()
        ]
        lock.fence.check()
        write_root(url, members)
    return added


def _stores_with_date(url: str, date: str) -> set[str]:
    """Return the stores of a root that have a date as the root knows: it is written last."""
    document = ObjectTree(url).read_json("zarr.json")
    members = document.get("consolidated_metadata", {}).get("metadata", {})
    return {
        name
        for name, member in members.items()
        for entry in member.get("attributes", {}).get("geoembz:times", [])
        if entry["time"] == date
    }
