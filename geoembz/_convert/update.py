"""Update a store: fill its pixels that hold no embedding, in its own grid and encoding."""

import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import replace as changed
from pathlib import Path
from typing import Unpack

from geoembz._convert.inputs import Inputs, open_inputs
from geoembz._convert.members import match_grids, member_names
from geoembz._convert.options import FitOptions, ReadKeywords, gather_read, parse_date
from geoembz._convert.outlook import foresee_all
from geoembz._convert.record import total_pixels
from geoembz._convert.summary import UpdateSummary, mean_fidelity
from geoembz._convert.update_grid import GridUpdating, Updated, UpdateOptions
from geoembz._objects.names import refuse_snapshot
from geoembz._objects.tree import ObjectTree
from geoembz._util.dry_run import Foreseen, is_dry
from geoembz._util.progress import Progress
from geoembz._util.threads import worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import make_absolute, with_absolute_layers
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.sources import ReadOptions, Source
from geoembz.store import StoreReader
from geoembz.store.grids import grids_ahead, write_root
from geoembz.store.lock import DestinationLock
from geoembz.store.open import is_table_store, open_group


def update(
    store: str | Path,
    source: Inputs,
    *,
    replace: bool = False,
    time: str | None = None,
    read: ReadOptions | None = None,
    recode: bool = False,
    seed: int = 0,
    workers: int | None = None,
    scheduler: str | None = None,
    break_lock: bool = False,
    progress: Progress | None = None,
    **flat: Unpack[ReadKeywords],
) -> UpdateSummary:
    """Fill pixels of a store that hold no embedding yet, with those of a source.

    The source lies on the store's own pixels, wherever in it; what it has is encoded with the
    store's encoding. Shards that change are made beside the store, and take their places one by one
    when all of them are there: until then the store is untouched, and meanwhile its readers see
    each pixel as it was or as it will be. An interrupted call is finished by the same call.
    Overviews, if the store has any, are made anew from the whole store.

    Parameters
    ----------
    store
        A store of a raster, with a time axis or not, or a root of several.
    source
        What `geoembz.convert` takes; several inputs of one CRS become a mosaic. In a root of
        several grids each goes to the one in its CRS.
    replace
        Replace pixels that hold an embedding, too, where the source has one.
    time
        Which date, of a store that has several: ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``.
    read
        How inputs are read, as in `geoembz.convert`; the year is that of the date.
    recode
        Accept a store with another encoding as input.
    seed
        Seed of the choice of held-out pixels.
    workers
        Shards written at once; None for one per core.
    scheduler
        Where the shards are written instead; see `geoembz.convert`.
    break_lock
        Take the store from a command that seems to hold it: on another machine, and dead.
    progress
        Called with the numbers of finished and of all shards.
    **flat
        Any field of `ReadOptions` by its own name. How vectors are encoded and stored is the
        store's own: no option changes that.

    Returns
    -------
    summary
        What was filled, and what it lost.

    Raises
    ------
    StoreError
        If there is no store of a raster, or its pixels cannot be changed one by one.
    InvalidConfigError
        If the source reaches beyond the store's grid, or the date is none of its dates.
    EncodingError
        If the vectors have another length, model or encoding.
    SourceError
        If an input cannot be read, does not lie on the store's pixels, or has other bands.

    References
    ----------
    spec/format.md, "Updates".

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> store = tmp_path / "update.zarr"
    >>> first = geoembz.convert(files.embedding, store, pca=16)
    >>> again = geoembz.update(store, files.embedding, replace=True)
    >>> again.filled_pixels, again.replaced_pixels == first.valid_pixels
    (0, True)
    """
    started = clock.perf_counter()
    refuse_snapshot(str(store))
    read = gather_read("update", flat, read)
    check_scheduler(scheduler)
    if scheduler is not None:  # workers may run in another folder
        source, store = make_absolute(source), make_absolute(store)
        read = with_absolute_layers(read)
    url = str(store)
    if is_table_store(open_group(url)):
        raise StoreError(
            f"{url}: a store of a table; expected one of a raster: rows have no pixels to fill; "
            "convert new rows to a store of their own, with --basis of this one"
        )
    if time is not None:
        parse_date(time)
    options = UpdateOptions(
        time,
        replace,
        recode,
        FitOptions(seed=seed).seed,
        worker_count(workers),
        break_lock,
        read,
    )
    members = member_names(url)
    options = changed(options, read=changed(options.read, year=_year(url, members, options)))
    grids = open_inputs(source, options.read)
    with open_workers(scheduler, options.workers) as pool:
        parts = _update_all(url, members, grids, options, pool, progress)
    return _summary(url, options, parts, clock.perf_counter() - started)


def _year(url: str, members: Sequence[str], options: UpdateOptions) -> int | None:
    """Return the year to read of products that hold several: that of the date."""
    if options.time is not None:
        return int(options.time[:4])
    place = f"{url.rstrip('/')}/{members[0]}" if members else url
    dates = StoreReader.open(place).dates
    return int(dates[0][:4]) if len(dates) == 1 else options.read.year


def _update_all(
    url: str,
    members: Sequence[str],
    grids: Mapping[str, Source],
    options: UpdateOptions,
    pool: Workers,
    progress: Progress | None,
) -> list[Updated]:
    """Update the one store, or those of a root, whose metadata come last."""
    if not members:
        if len(grids) > 1:
            raise InvalidConfigError(
                f"{url}: one grid, but the inputs lie in {', '.join(grids)}; expected inputs of one"
            )
        ((_, only),) = grids.items()
        updating = GridUpdating(url, only, options, pool)
        if is_dry():
            raise Foreseen(foresee_all("update", url, [updating.foresee()]))
        return [updating.run(progress)]
    matched = match_grids(url, members, grids)
    if is_dry():
        every = [
            GridUpdating(f"{url.rstrip('/')}/{name}", grid, options, pool).foresee()
            for name, grid in matched.items()
        ]
        raise Foreseen(foresee_all("update", url, every))
    with DestinationLock(ObjectTree(url), breaks=options.breaks_lock) as lock:
        ahead = grids_ahead(url, members)
        parts = [
            GridUpdating(
                f"{url.rstrip('/')}/{name}", grid, options, pool, is_ahead=name in ahead
            ).run(progress)
            for name, grid in matched.items()
        ]
        lock.fence.check()
        write_root(url, members)
    return parts


def _summary(
    url: str, options: UpdateOptions, parts: Sequence[Updated], seconds: float
) -> UpdateSummary:
    pixels = total_pixels([part.written.pixels for part in parts])
    fidelity = mean_fidelity([part.written.fidelity for part in parts])
    now = total_pixels([part.now for part in parts])
    return UpdateSummary(
        store=url,
        time=options.time,
        filled_pixels=pixels["valid"],
        replaced_pixels=sum(part.replaced for part in parts),
        rejected_pixels=pixels.get("rejected", 0),
        shards=sum(part.shards for part in parts),
        pixels=now["total"],
        valid_pixels=now["valid"],
        cosine=fidelity["cosine"],
        cosine_centred=fidelity["cosine_centred"],
        rmse=fidelity["rmse"],
        held_out_pixels=fidelity["n"],
        seconds=seconds,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )
