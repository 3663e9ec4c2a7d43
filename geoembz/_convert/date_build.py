"""How a date is built that a store grows by: its plan, its writer, and what finishes it.

Whoever appends a raster, or writes a date window by window, builds it so.
"""

import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from geoembz._convert.levels import finish_store
from geoembz._convert.placing import REPLACES
from geoembz._convert.record import Written, total_pixels
from geoembz._convert.shard_task import ShardResult
from geoembz._convert.site import Build, Plan, Site
from geoembz._convert.summary import AppendSummary, mean_fidelity
from geoembz._util.progress import Progress
from geoembz._version import FORMAT_VERSION, __version__
from geoembz._work.executors import Workers
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.sources.base import SourceTraits
from geoembz.store import StoreReader
from geoembz.store.attributes import StoreAttributes
from geoembz.store.digests import read_seal
from geoembz.store.documents import EMBEDDING, StorePlan
from geoembz.store.layout import ChunkLayout, layout_of, stored_level_layouts
from geoembz.store.open import open_array
from geoembz.store.writer import StoreWriter


def check_date(url: str, reader: StoreReader, date: str, *, replaces: bool) -> None:
    """Refuse a store without a time axis, and a date that it has.

    Parameters
    ----------
    url, reader
        The store.
    date
        As ``YYYY-MM-DD``.
    replaces
        Whether the date may be there.

    Raises
    ------
    StoreError
        If the store has no time axis.
    InvalidConfigError
        If it has the date.
    """
    if not reader.dates:
        raise StoreError(
            f"{url}: no time axis; give it one with `geoembz convert {url} NEW.zarr --basis {url} "
            "--time YEAR`, and append to NEW.zarr"
        )
    if date in reader.dates and not replaces:
        raise InvalidConfigError(
            f"{url}: holds {date} already ({', '.join(reader.dates)}); choose another "
            "time, or pass --replace"
        )


def date_plan(
    reader: StoreReader, site: Site, date: str, others: Mapping[str, Any]
) -> dict[str, Any]:
    """Return all that a date's bytes depend on, and whether it replaces one.

    Parameters
    ----------
    reader, site
        The store, and the place that is held.
    date
        As ``YYYY-MM-DD``.
    others
        What they depend on beside the store.
    """
    dates = reader.dates
    plan = {
        "append": date,
        "position": dates.index(date) if date in dates else len(dates),
        "software": __version__,
        "format": FORMAT_VERSION,
        "encoding": reader.encoding.hash,
        **others,
    }
    is_ours = plan in site.ended or any(journal.matches(plan) for journal in site.journals())
    return plan if date not in dates or is_ours else plan | {REPLACES: True}


def order_notes(reader: StoreReader, date: str) -> list[str]:
    """Return what to tell of a date that is stored behind later ones."""
    later = [each for each in reader.dates if each > date]
    if not later or date in reader.dates:
        return []
    note = (
        f"stored behind {max(later)}: dates stand in the order they were added in; geoembz "
        "sorts them on opening, plain readers see them as stored (xarray: sortby('time'))"
    )
    return [note]


def date_writer(build: Build, reader: StoreReader, date: str) -> StoreWriter:
    """Return what writes the shards of a date of a store, as `date_plan` plans it."""
    position = build.plan["position"]
    return StoreWriter(build.tree, date_store_plan(reader, position, date), position)


def date_store_plan(reader: StoreReader, position: int, date: str) -> StorePlan:
    """Return the plan of a store once it has a date at a position of its time axis."""
    dates = reader.dates
    return StorePlan(
        reader.encoding,
        layout_of(reader.codes),
        "plain",
        dates if position < len(dates) else (*dates, date),
        layouts_of_levels(reader),
        archive=reader.is_archive,
        layers=reader.attributes.layers,
    )


def make_room(build: Build, arrays: Sequence[str]) -> None:
    """Remove what a date that was given up left where this one is written: gaps must not show it.

    Parameters
    ----------
    build
        Of the date.
    arrays
        Paths of the arrays of shards.
    """
    if build.is_in_place:
        build.fence.check()
        for array in arrays:
            build.tree.remove(f"{array}/c/{build.plan['position']}")


def finish_date(
    build: Build,
    writer: StoreWriter,
    reader: StoreReader,
    attributes: StoreAttributes,
    results: Sequence[ShardResult],
    pool: Workers,
    progress: Progress | None,
) -> None:
    """Write a date's levels, where the store has some, and the metadata."""
    former = read_seal({"attributes": reader.group.attrs.asdict()})
    unit_length = attributes.unit_length
    finish_store(build, writer, attributes, results, pool, progress, unit_length, former)


def date_attributes(
    attributes: StoreAttributes, written: Written, plan: Plan, traits: SourceTraits
) -> StoreAttributes:
    """Return a store's attributes with a date's entry, and the sums over all dates.

    Parameters
    ----------
    attributes
        Of the store as it was.
    written, plan, traits
        Of the date.
    """
    position, entries = plan["position"], list(attributes.times)
    entries[position : position + 1] = [written.at(plan["append"])]
    parts = [Written.of_entry(entry) for entry in entries]
    sources = {str(entry): entry for part in parts for entry in part.sources}
    return replace(
        attributes,
        sources=tuple(sources.values()),
        pixels=total_pixels([part.pixels for part in parts]),
        fidelity=mean_fidelity([part.fidelity for part in parts]),
        times=tuple(entries),
        notes=tuple(dict.fromkeys((*attributes.notes, *traits.notes))),
        skipped=tuple(dict.fromkeys((*attributes.skipped, *traits.skipped))),
    )


def layouts_of_levels(reader: StoreReader) -> tuple[ChunkLayout, ...]:
    """Return the chunks and shards of the levels that a store has."""
    paths = [f"{level.path}/{EMBEDDING}" for level in reader.attributes.levels]
    arrays = [open_array(reader.url, reader.group, path) for path in paths]
    return stored_level_layouts(reader.url, layout_of(reader.codes), arrays)


def summarise_date(
    url: str, date: str, written: Sequence[Written], notes: Sequence[str], started: float
) -> AppendSummary:
    """Return what was added to one store, or to several.

    Parameters
    ----------
    url, date
        Where, and which.
    written
        Of each store.
    notes
        What a reader may want to know.
    started
        When that began, by `time.perf_counter`.
    """
    pixels = total_pixels([part.pixels for part in written])
    fidelity = mean_fidelity([part.fidelity for part in written])
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
        notes=tuple(dict.fromkeys(notes)),
    )
