"""Add overviews to a finished store: levels below its full resolution, with the encoding it has."""

import hashlib
import json
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import zarr

from geoembz._convert.conversion import Fit, fit_once
from geoembz._convert.destination import Destination
from geoembz._convert.levels import LevelFigures, has_unit_length, with_levels, write_levels
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import OverviewsSummary
from geoembz._objects.names import refuse_snapshot
from geoembz._objects.tree import ObjectTree
from geoembz._util.progress import Parts, Progress
from geoembz._util.threads import check_workers, worker_count
from geoembz._version import __version__
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import make_absolute
from geoembz.encoding._means import MeanEncoder
from geoembz.errors import DestinationExistsError, StoreError
from geoembz.store import StoreReader
from geoembz.store.attributes import StoreAttributes
from geoembz.store.conventions import records_digests
from geoembz.store.digests import DIGESTS, ROOT, StoredObject, root_content
from geoembz.store.documents import StorePlan, without_levels
from geoembz.store.grids import grid_names, grids_ahead, write_root
from geoembz.store.layout import layout_of, level_layouts
from geoembz.store.levels import OVERVIEWS, count_levels
from geoembz.store.lock import DestinationLock
from geoembz.store.open import is_table_store, open_group
from geoembz.store.writer import StoreWriter


def overviews(
    store: str | Path,
    *,
    levels: int | None = None,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    progress: Progress | None = None,
) -> OverviewsSummary:
    """Add levels of 2, 4, 8 … times the pixel size to a store, with its own encoding.

    A pixel of a level is the mean of the valid vectors that it covers at full resolution, of length
    1 where the store's vectors are. Readers see the store as it was until the root's metadata are
    written, last of all. An interrupted call is finished by the same call.

    Parameters
    ----------
    store
        A store of a raster, with a time axis or not, or a root of several.
    levels
        How many; None makes levels until both sides of the last one are below 512 pixels.
    workers
        Shards written at once; None for one per core.
    scheduler
        Where the shards are written instead; see `geoembz.convert`.
    overwrite
        Replace the levels that the store has. They go before the new ones are made.
    break_lock
        Take the store from a conversion that seems to hold it: on another machine, and dead.
    progress
        Called with the numbers of finished and of all shards.

    Returns
    -------
    summary
        The levels, and what encoding the means lost.

    Raises
    ------
    StoreError
        If there is no store of a raster, or it cannot be written.
    DestinationExistsError
        If it has levels already, or another conversion holds it.
    InvalidConfigError
        If a raster has not so many levels.

    References
    ----------
    spec/format.md, "Overviews".

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "out.zarr", pca=16)
    >>> summary = geoembz.overviews(tmp_path / "out.zarr", levels=2)
    >>> [(level.factor, level.height, level.width) for level in summary.levels]
    [(2, 32, 32), (4, 16, 16)]
    """
    started = clock.perf_counter()
    check_scheduler(scheduler)
    check_workers("overviews", workers)
    if scheduler is not None:  # workers may run in another folder
        store = make_absolute(store)
    url = str(store)
    refuse_snapshot(url)
    content = ObjectTree(url).read(ROOT) or b""  # before it is opened: what comes later shows
    group = open_group(url)
    if is_table_store(group):
        raise StoreError(
            f"{url}: a store of a table; expected one of a raster: rows have no coarser levels"
        )
    names = grid_names(url, group.attrs.asdict())
    with open_workers(scheduler, worker_count(workers)) as pool:
        adding = {
            name: _LevelsAdding(
                f"{url.rstrip('/')}/{name}" if name else url, levels, pool, overwrite
            )
            for name in names or ("",)
        }
        grids = {}
        if not names:
            opened = adding[""].open(content, group)
            grids[""] = adding[""].run(opened, progress, breaks_lock=break_lock)
        else:
            before = {name: one.open() for name, one in adding.items()}
            with DestinationLock(ObjectTree(url), breaks=break_lock) as lock:
                ahead = grids_ahead(url, names)
                counts = Parts(
                    progress, {n: one.count_shards(before[n]) for n, one in adding.items()}
                )
                for name, one in adding.items():
                    grids[name] = one.run(
                        before[name],
                        counts.of(name),
                        breaks_lock=break_lock,
                        is_ahead=name in ahead,
                    )
                lock.fence.check()
                write_root(url, names)
    return OverviewsSummary.of(url, grids, clock.perf_counter() - started)


class _Opened(NamedTuple):
    """A store, and its root's ``zarr.json`` as it was read before it was opened."""

    reader: StoreReader
    content: bytes

    @property
    def document(self) -> dict[str, Any]:
        """The root's document."""
        document: dict[str, Any] = json.loads(self.content)
        return document


@dataclass(frozen=True)
class _LevelsAdding:
    """The levels of one grid.

    Parameters
    ----------
    url
        Of its store.
    asked
        How many levels; None for the default.
    pool
        Writes the shards.
    overwrites
        Whether to replace those that are there.
    """

    url: str
    asked: int | None
    pool: Workers
    overwrites: bool

    def open(self, content: bytes | None = None, group: zarr.Group | None = None) -> _Opened:
        """Open the store; refuse one that can have no levels, before anything is written.

        Parameters
        ----------
        content, group
            Its root, where that was read and then opened already.

        Raises
        ------
        StoreError
            If its format knows none, or its metadata are not those that were written.
        InvalidConfigError
            If its raster has not so many.
        """
        content = ObjectTree(self.url).read(ROOT) or b"" if content is None else content
        reader = StoreReader.open(self.url, group)
        if not records_digests(reader.attributes.version):
            raise StoreError(
                f"{self.url}: format version {reader.attributes.version}, which has no overviews; "
                "expected 0.2 or later; convert it to a new store, with --basis of this one"
            )
        if reader.group.metadata.consolidated_metadata is None:
            raise StoreError(
                f"{self.url}: {ROOT} has no consolidated metadata; expected those of all arrays, "
                "as they were written; fetch it again, or convert again"
            )
        count_levels(reader.shape, self.asked)
        return _Opened(reader, content)

    def run(
        self,
        before: _Opened,
        progress: Progress | None,
        *,
        breaks_lock: bool,
        is_ahead: bool = False,
    ) -> StoreAttributes:
        """Add the levels; return what the store then says of itself.

        Readers see the store as it was until the metadata are written. An interrupted call
        may have added them here, of several grids, already: `is_ahead`.
        """
        with Site(Destination(self.url, breaks_lock=breaks_lock)) as site:
            is_same = ObjectTree(self.url).read(ROOT) == before.content
            opened = before if is_same else self.open()  # until now it was anybody's
            reader = opened.reader
            plan = self._plan(opened)
            is_here = is_ahead and len(reader.attributes.levels) == plan["overviews"]
            if plan in site.ended or (is_here and not self.overwrites):
                return reader.attributes
            is_begun = any(journal.matches(plan) for journal in site.journals())
            if reader.attributes.levels and not (self.overwrites or is_begun):
                have = ", ".join(str(level.factor) for level in reader.attributes.levels)
                raise DestinationExistsError(
                    f"{self.url}: has overviews already, at {have} times the pixel size; pass "
                    "--overwrite to make them anew"
                )
            build = site.begin(plan)
            if build.is_complete:
                return StoreReader.open(self.url).attributes
            fit_once(build, lambda: self._begin(build, opened))
            if reader.attributes.levels:  # they are gone
                reader = StoreReader.open(self.url)
            attributes = self._write(build, reader, opened.document, progress)
            site.finish()
            return attributes

    def count_shards(self, opened: _Opened) -> int:
        """Return how many shards all levels of all dates have."""
        reader = opened.reader
        layouts = level_layouts(layout_of(reader.codes), count_levels(reader.shape, self.asked))
        return max(1, len(reader.dates)) * sum(len(layout.shards()) for layout in layouts)

    def _plan(self, opened: _Opened) -> dict[str, Any]:
        """Return all that the bytes of the levels depend on: the objects of the full resolution."""
        reader = opened.reader
        objects = json.dumps(without_levels(opened.document)[1], sort_keys=True).encode()
        return {
            "overviews": count_levels(reader.shape, self.asked),
            "software": __version__,
            "encoding": reader.encoding.hash,
            "objects": hashlib.sha256(objects).hexdigest(),
        }

    def _write(
        self,
        build: Build,
        reader: StoreReader,
        document: Mapping[str, Any],
        progress: Progress | None,
    ) -> StoreAttributes:
        full = layout_of(reader.codes)
        layouts = level_layouts(full, build.plan["overviews"])
        attributes, unit_length = reader.attributes, has_unit_length(reader.attributes)
        plan = StorePlan(
            reader.encoding,
            full,
            attributes.layout,
            reader.dates,
            layouts,
            archive=reader.is_archive,
        )
        figures: dict[int, Sequence[LevelFigures]] = {}
        stored: dict[str, StoredObject] = {}
        for date in range(max(1, len(reader.dates))):
            writer = StoreWriter(build.tree, plan, date)
            written = write_levels(
                build, writer, reader, self.pool, progress, unit_length=unit_length
            )
            figures[date] = written.figures
            stored.update(written.stored)
        attributes = with_levels(attributes, figures, unit_length=unit_length)
        writer.finish_levels(document, attributes, stored, build.fence)
        return attributes

    def _begin(self, build: Build, opened: _Opened) -> Fit:
        """Take away what was there; there is nothing to fit."""
        tree, reader = ObjectTree(self.url), opened.reader
        if reader.attributes.levels:
            build.fence.check()
            tree.write(ROOT, root_content(*without_levels(opened.document)))
        for place in (OVERVIEWS, f"{DIGESTS}/{OVERVIEWS}"):
            build.fence.check()
            tree.remove(place)
        return reader.encoding, MeanEncoder(reader.encoding, unit_length=False).centre
