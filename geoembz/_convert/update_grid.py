"""Update one grid of a store: see whether the source fits it, then change its shards."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from geoembz._convert.conversion import Fit, fit_once
from geoembz._convert.date_build import layouts_of_levels
from geoembz._convert.destination import Destination
from geoembz._convert.levels import finish_store
from geoembz._convert.outlook import Outlook, outlook_of_raster
from geoembz._convert.record import Written, summarise, total_pixels
from geoembz._convert.sampling import PixelRoles
from geoembz._convert.shard_task import ShardResult
from geoembz._convert.site import Build, Site
from geoembz._convert.store_fit import check_sample, match_vectors
from geoembz._convert.summary import mean_fidelity
from geoembz._convert.update_task import UpdatedCodes, UpdateTask
from geoembz._geo.grid import Window, pick
from geoembz._objects.tree import ObjectTree
from geoembz._util.progress import Progress
from geoembz._version import FORMAT_VERSION, __version__
from geoembz._work.executors import Workers, run_recorded
from geoembz.encoding import Encoding
from geoembz.encoding._means import MeanEncoder
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.sources import ReadOptions, Source
from geoembz.sources.base import occupied_window, occupies, traits_of
from geoembz.sources.extent import place_on
from geoembz.sources.placed_layers import with_layers_of
from geoembz.store import StoreReader
from geoembz.store.attributes import StoreAttributes
from geoembz.store.contents import recorded_digests
from geoembz.store.conventions import records_digests
from geoembz.store.digests import ROOT, StoredObject, read_seal
from geoembz.store.documents import StorePlan
from geoembz.store.layout import layout_of
from geoembz.store.levels import OVERVIEWS
from geoembz.store.writer import StoreWriter

ENDED = "an earlier run of this command had written all; this one put it in its place"


@dataclass(frozen=True)
class UpdateOptions:
    """How to update.

    Parameters
    ----------
    time
        Which date, as the user wrote it; None for the one that there is.
    replaces
        Whether to replace pixels that hold an embedding.
    recode
        Accept a store with another encoding as input: its vectors are decoded and encoded again.
    seed
        Seed of the choice of held-out pixels.
    workers
        Shards written at once.
    breaks_lock
        Take the store from another command that seems to hold it.
    read
        How the inputs are read.
    """

    time: str | None
    replaces: bool
    recode: bool
    seed: int
    workers: int
    breaks_lock: bool
    read: ReadOptions


@dataclass(frozen=True)
class Updated:
    """What an update changed in one grid.

    Parameters
    ----------
    written
        Provenance, and pixels and fidelity of what was filled or replaced.
    replaced, shards
        Pixels that held another embedding before; shards that were written.
    now
        What the store says of the date: its pixels.
    notes
        What a reader may want to know.
    """

    written: Written
    replaced: int
    shards: int
    now: Mapping[str, Any]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class GridUpdating:
    """An update of one grid.

    Parameters
    ----------
    url
        Its store.
    source
        Pixels on those of the store.
    options
        How.
    pool
        Writes the shards.
    is_ahead
        Whether an interrupted call may have updated this grid, of several, already.
    """

    url: str
    source: Source
    options: UpdateOptions
    pool: Workers
    is_ahead: bool = False

    def run(self, progress: Progress | None) -> Updated:
        """Update; readers see each pixel as it was or as it will be.

        Raises
        ------
        GeoembzError
            If the source does not fit the store, or cannot be read.
        """
        StoreReader.open(self.url)  # before the lock, which would make a folder
        with Site(Destination(self.url, breaks_lock=self.options.breaks_lock)) as site:
            reader = StoreReader.open(self.url)
            position = self.position(reader)
            plan = self._plan(reader, position)
            if plan in site.ended or (self.is_ahead and self._is_here(reader, position)):
                return self._done(reader, position)
            source = self._fit(reader)
            build = site.begin(plan)
            if build.is_complete:
                return self._done(StoreReader.open(self.url), position)
            updated = replace(self, source=source).write(build, reader, position, progress)
            site.finish()
        return updated

    def foresee(self) -> tuple[Outlook, str]:
        """Return what that would take at most, and what is there, in words; nothing is changed.

        Raises
        ------
        GeoembzError
            As `run` would, before it writes.
        """
        reader = StoreReader.open(self.url)
        plan = self._plan(reader, self.position(reader))
        site = Site(Destination(self.url, breaks_lock=self.options.breaks_lock))
        journal, state = site.foresee(plan)
        source, store = self._fit(reader), _store_plan(reader)
        shards = _reached(source, store)
        if journal is None:
            n_shards, n_valid = len(store.chunks.shards()), reader.attributes.pixels["valid"]
            state = f"a store of {n_shards:,} shards and {n_valid:,} valid pixels"
        done = 0 if journal is None else len(journal.finished())
        workers = self.options.workers
        outlook = outlook_of_raster(source, store, shards, done, workers)
        return replace(outlook, count=self.source.grid.window.size), state

    def position(self, reader: StoreReader) -> int:
        """Return the position of the date on the time axis; 0 where there is none.

        Raises
        ------
        InvalidConfigError
            If none is named of several, or one that there is not.
        """
        time, dates = self.options.time, reader.dates
        if time is None and len(dates) < 2:
            return 0
        known = ", ".join(dates)
        if not dates:
            raise InvalidConfigError(f"{self.url}: no time axis; leave --time {time} out")
        if time is None:
            raise InvalidConfigError(f"{self.url}: which date? It has {known}; name one: --time")
        found = [number for number, date in enumerate(dates) if date.startswith(time)]
        if len(found) != 1:
            raise InvalidConfigError(
                f"{self.url}: time {time!r}; expected one of its dates, {known}; add another one "
                "with `geoembz append`"
            )
        return found[0]

    def _plan(self, reader: StoreReader, position: int) -> dict[str, Any]:
        """Return all that the new shards depend on, but the store itself, which is locked."""
        plan = {
            "update": reader.dates[position] if reader.dates else None,
            "replace": self.options.replaces,
            "software": __version__,
            "format": FORMAT_VERSION,
            "seed": self.options.seed,
            "encoding": reader.encoding.hash,
            "sources": [info.identity() for info in self.source.info],
            "shape": list(self.source.grid.shape),
            "transform": list(self.source.grid.transform),
        }
        return plan | ({"checksum": True} if self.options.read.checksum else {})

    def _is_here(self, reader: StoreReader, position: int) -> bool:
        """Whether the date was made from these inputs, too."""
        _, there = _entry(reader.attributes, position)
        known = {(entry.get("uri"), entry.get("size_bytes")) for entry in there.sources}
        return known >= {(info.uri, info.size_bytes) for info in self.source.info}

    def _done(self, reader: StoreReader, position: int) -> Updated:
        now = _entry(reader.attributes, position)[1].pixels
        nothing = Written((), {"valid": 0}, {"n": 0})
        return Updated(nothing, 0, 0, now, (ENDED,))

    def _fit(self, reader: StoreReader) -> Source:
        """Return the source on the grid of the store; refuse one that does not fit.

        Raises
        ------
        StoreError
            If the store's format knows no digests, or its pixels cannot be replaced one by one.
        """
        if not records_digests(reader.attributes.version):
            raise StoreError(
                f"{self.url}: format version {reader.attributes.version}, which has no digests; "
                "expected 0.2 or later; convert it to a new store, with --basis of this one"
            )
        if self.options.replaces and reader.has_parts:
            raise StoreError(
                f"{self.url}: the codes of a pixel lie in several objects (prefix chunks without "
                "shards), and readers could see halves of two; expected shards; convert it to a "
                "new store with --basis of this one, or fill pixels only, without --replace"
            )
        attributes, date = reader.attributes, self.options.time or "the store"
        source = match_vectors(self.url, reader, self.source, recode=self.options.recode)
        source = with_layers_of(source, attributes.layers, self.url, date)
        return place_on(source, attributes.grid, self.url)

    def write(
        self, build: Build, reader: StoreReader, position: int, progress: Progress | None
    ) -> Updated:
        """Write the shards that change, beside the store, and the metadata that it will have."""
        plan = _store_plan(reader)
        writer = StoreWriter(build.tree, plan, position)
        results = self._write_shards(build, writer, reader, progress)
        written = summarise(self.source, results, checksum=self.options.read.checksum)
        replaced = sum(result.replaced_pixels for result in results)
        written_shards = [result for result in results if result.stored]
        notes = traits_of(self.source).notes
        now = _entry(reader.attributes, position)[1].pixels
        if not written_shards:
            return Updated(written, 0, 0, now, (*notes, "nothing to fill: the store is unchanged"))
        attributes = self._attributes(reader.attributes, written, replaced, position)
        corners = frozenset(
            _corner(key, plan) for result in written_shards for key in result.stored
        )
        finish_store(
            build,
            writer,
            attributes,
            written_shards,
            self.pool,
            progress,
            attributes.unit_length,
            read_seal(ObjectTree(self.url).read_json(ROOT)),
            self._kept(writer),
            UpdatedCodes(reader, writer.reader(), corners, plan.chunks),
        )
        now = _entry(attributes, position)[1].pixels
        return Updated(written, replaced, len(written_shards), now, notes)

    def _write_shards(
        self, build: Build, writer: StoreWriter, reader: StoreReader, progress: Progress | None
    ) -> list[ShardResult]:
        options = self.options
        _, centre = fit_once(build, lambda: self._check_sample(reader.encoding))
        task = UpdateTask(
            self.source,
            writer,
            build.journal,
            build.fence,
            PixelRoles(options.seed, self.source.grid.shape),
            centre,
            self.pool.may_repeat,
            base=reader,
            replaces=options.replaces,
        )
        return run_recorded(
            task,
            _reached(self.source, writer.plan),
            build.journal,
            build.tree,
            writer.date,
            ShardResult.from_json,
            self.pool,
            progress,
        )

    def _check_sample(self, encoding: Encoding) -> Fit:
        """Check the encoding on a sample; return with it what the centred cosine takes off.

        That is the encoding's own mean, where it has one: with a mean of each tile the figure would
        tell how large tiles are.
        """
        options = self.options
        nodata = options.read.nodata
        fit = check_sample(self.source, encoding, options.seed, options.workers, nodata)
        has_mean = encoding.projection.mean is not None
        return (encoding, MeanEncoder(encoding, unit_length=False).centre) if has_mean else fit

    def _attributes(
        self, attributes: StoreAttributes, written: Written, replaced: int, position: int
    ) -> StoreAttributes:
        """Return the store's attributes with what was changed in them."""
        traits = traits_of(self.source)
        attributes = replace(
            attributes,
            notes=tuple(dict.fromkeys((*attributes.notes, *traits.notes))),
            skipped=tuple(dict.fromkeys((*attributes.skipped, *traits.skipped))),
            updates=attributes.updates + 1,
        )
        date, there = _entry(attributes, position)
        merged = merge_written(there, written, replaced)
        if date is None:
            return replace(
                attributes, sources=merged.sources, pixels=merged.pixels, fidelity=merged.fidelity
            )
        entries = list(attributes.times)
        entries[position] = {**entries[position], **merged.at(date)}
        parts = [Written.of_entry(entry) for entry in entries]
        return replace(
            attributes,
            sources=tuple({str(one): one for part in parts for one in part.sources}.values()),
            pixels=total_pixels([part.pixels for part in parts]),
            fidelity=mean_fidelity([part.fidelity for part in parts]),
            times=tuple(entries),
        )

    def _kept(self, writer: StoreWriter) -> dict[str, StoredObject]:
        """Return the objects that the store has of the date: those that stay keep their digests."""
        tree = ObjectTree(self.url)
        at = "" if writer.date is None else f"{writer.date}/"
        full = (path for path in writer.plan.arrays if not path.startswith(OVERVIEWS))
        starts = tuple(f"{path}/c/{at}" for path in full)
        known = recorded_digests(tree.read(ROOT) or b"", lambda key: tree.read(key) or b"") or {}
        return {
            key: StoredObject(digest, 0) for key, digest in known.items() if key.startswith(starts)
        }


def _store_plan(reader: StoreReader) -> StorePlan:
    """Return the plan that a store has."""
    return StorePlan(
        reader.encoding,
        layout_of(reader.codes),
        reader.attributes.layout,
        reader.dates,
        layouts_of_levels(reader),
        archive=reader.is_archive,
        layers=reader.attributes.layers,
    )


def _reached(source: Source, plan: StorePlan) -> Sequence[Window]:
    """Return the shards of a store that a source on its grid may change."""
    inside = occupied_window(source)
    reaches = (
        (lambda shard: shard.intersection(inside) is not None)
        if plan.layers  # which may have numbers where there are no vectors
        else partial(occupies, source)
    )
    return pick(plan.chunks.shards(), reaches)


def _entry(attributes: StoreAttributes, position: int) -> tuple[str | None, Written]:
    """Return a date of a store and what is known of it, or of a store without a time axis."""
    if attributes.times:
        entry = attributes.times[position]
        return str(entry["time"]), Written.of_entry(entry)
    return None, Written(attributes.sources, attributes.pixels, attributes.fidelity)


def merge_written(there: Written, added: Written, replaced: int) -> Written:
    """Return what a store says of a date that was updated.

    Parameters
    ----------
    there
        What it said.
    added
        Of the pixels that were filled or replaced.
    replaced
        How many were replaced. Fidelity was measured on some of those: of what was measured before,
        as large a share counts no more as of the pixels.
    """
    valid = int(there.pixels.get("valid", 0))
    share = (valid - replaced) / valid if valid else 0.0
    before = {**there.fidelity, "n": round(int(there.fidelity.get("n", 0)) * share)}
    counts = total_pixels([there.pixels, {**added.pixels, "total": 0}])
    sources = {str(entry): entry for entry in (*there.sources, *added.sources)}
    return Written(tuple(sources.values()), counts, mean_fidelity([before, added.fidelity]))


def _corner(key: str, plan: StorePlan) -> tuple[int, int]:
    """Return row and column in pixels of the shard that an object belongs to."""
    row, col = map(int, key.split("/")[-2:])
    height, width = plan.chunks.stored_chunk
    return row * height, col * width
