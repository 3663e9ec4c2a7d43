"""Convert rasters: one grid to a store, or several grids to child stores with one encoding."""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.conversion import Conversion, Fit, build_store, fit_once
from geoembz._convert.destination import Destination
from geoembz._convert.levels import finish_store, has_unit_length
from geoembz._convert.options import StorageOptions
from geoembz._convert.outlook import Outlook, foresee, outlook_of_raster
from geoembz._convert.record import store_attributes, summarise
from geoembz._convert.sampling import PixelRoles, SampleCache, draw_sample, sample_mean
from geoembz._convert.shard_task import shards_of, write_shards
from geoembz._convert.site import Build, Plan, Site
from geoembz._convert.summary import ConvertSummary, merge_summaries
from geoembz._geo.chunks import sizes_for
from geoembz._objects.tree import ObjectTree
from geoembz._util.dry_run import DryRun, Foreseen, is_dry
from geoembz._util.progress import Parts, Progress
from geoembz._work.executors import Workers, run_tasks
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.sources import Source
from geoembz.sources.base import names_of, traits_of
from geoembz.sources.checks import check_vectors
from geoembz.sources.layer_reading import layers_of
from geoembz.store import StoreReader
from geoembz.store.documents import StorePlan
from geoembz.store.grids import write_root
from geoembz.store.journal import Journal
from geoembz.store.layout import choose_layout, level_layouts
from geoembz.store.levels import count_levels
from geoembz.store.writer import StoreWriter

_log = logging.getLogger("geoembz.convert")


@dataclass(frozen=True, kw_only=True)
class RasterConversion(Conversion[Source]):
    """The conversion of one grid.

    Parameters
    ----------
    pool
        Converts the shards.
    date
        As ``YYYY-MM-DD``; None for a store without a time axis.
    """

    pool: Workers
    date: str | None

    def draw(self, n_samples: int) -> list[NDArray[np.float32]]:
        """Draw so many of the source's pixels, and refuse those that cannot be right."""
        source = self.source
        roles = PixelRoles(self.fit.seed, source.grid.shape)
        run = partial(run_tasks, workers=self.workers)
        read = source.first_read if isinstance(source, SampleCache) else None
        sample = draw_sample(source, roles, n_samples, run, read)
        check_vectors(source, sample, self.nodata)
        return sample

    def write(self, build: Build, progress: Progress | None) -> None:
        """Write the store, or what is missing of it."""
        encoding, centre = fit_once(build, self.fit_encoding)
        writer = self._writer(build, encoding)
        results = write_shards(
            self.source, writer, build, centre, self.fit.seed, self.pool, progress
        )
        written = summarise(self.source, results, checksum=self.read.checksum)
        attributes = store_attributes(
            self.source,
            writer.plan,
            written,
            model=self.model,
            license=self.license,
            metric=self.metric,
        )
        finish_store(
            build, writer, attributes, results, self.pool, progress, has_unit_length(attributes)
        )

    @property
    def nodata(self) -> str | None:
        """What replaced the nodata value of the source, as the journal records it."""
        return None if self.read.nodata is None else str(self.read.nodata)

    def count_shards(self, encoding: Encoding) -> int:
        """Return how many shards there are to write."""
        return len(shards_of(self.source, self._store_plan(encoding)))

    def _writer(self, build: Build, encoding: Encoding) -> StoreWriter:
        return StoreWriter(build.tree, self._store_plan(encoding))

    def _store_plan(self, encoding: Encoding) -> StorePlan:
        shape, block = self.source.grid.shape, self.source.block_shape
        plan = plan_store(shape, block, encoding, self.storage, self.date)
        return replace(plan, layers=layers_of(self.source))

    def outlook(self, encoding: Encoding, done: int) -> Outlook:
        """Return what is read and written."""
        plan = self._store_plan(encoding)
        shards = shards_of(self.source, plan)
        return outlook_of_raster(self.source, plan, shards, done, self.workers)

    def summary(self, url: str, started: float) -> ConvertSummary:
        """Return the summary of the store that is there now."""
        reader = StoreReader.open(url)
        attributes = reader.attributes
        return ConvertSummary.of(
            url,
            reader,
            attributes.pixels,
            vector_bytes=self.source.dimension * self.source.dtype.itemsize,
            started=started,
            skipped_inputs=len(attributes.skipped),
            notes=attributes.notes,
        )

    def plan(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        traits, grid = traits_of(self.source), self.source.grid
        optional: dict[str, Any] = {}
        if self.storage.overviews:
            optional["levels"] = count_levels(grid.shape)
        if layers := layers_of(self.source):
            optional["layers"] = [layer.to_json() for layer in layers]
        if named := self.read.named_layers:
            optional["layer_files"] = [[name, place.rpartition("/")[2]] for name, place in named]
        return (
            super().plan()
            | optional
            | {
                "date": self.date,
                "product": traits.product,
                "notes": list(traits.notes),
                "skipped": [uri for uri, _ in traits.skipped],
                "bands": list(names_of(self.source)),
                "shape": list(grid.shape),
                "transform": list(grid.transform),
                "layout": self.storage.layout,
                "prefix_chunks": self.storage.prefix_chunks,
                "access": self.storage.access,
                "nodata": self.nodata,
                "crs": self.read.crs,
            }
        )


def plan_store(
    shape: tuple[int, int],
    source_block: tuple[int, int],
    encoding: Encoding,
    storage: StorageOptions,
    date: str | None,
) -> StorePlan:
    """Plan a store of one grid.

    Parameters
    ----------
    shape
        Height and width of the raster, in pixels.
    source_block
        Rows and columns that come at once: shards hold whole ones where they can.
    encoding, storage
        What it holds, and how.
    date
        As ``YYYY-MM-DD``; None for a store without a time axis.

    Raises
    ------
    InvalidConfigError
        If the options do not fit the encoding.
    """
    sizes = sizes_for(storage.access)
    chunks = choose_layout(
        shape,
        encoding.bytes_per_vector,
        source_block,
        chunk=storage.chunk,
        shard=storage.shard,
        prefix=_prefix(encoding, storage.prefix_chunks),
        sizes=sizes,
    )
    if storage.prefix_chunks is None and storage.layout == "plain":
        chunk_bytes = encoding.bytes_per_vector * prod(chunks.chunk)
        n_parts = sizes.count_parts(chunk_bytes, has_mask=encoding.nodata is None)
        chunks = replace(chunks, prefix=part_length(encoding, n_parts))
    dates = () if date is None else (date,)
    count = count_levels(chunks.shape) if storage.overviews else 0
    layouts = level_layouts(chunks, count)
    return StorePlan(encoding, chunks, storage.layout, dates, layouts, archive=storage.archive)


def _prefix(encoding: Encoding, components: int | None) -> int | None:
    """Return the stored numbers per vector in a chunk; None for all."""
    if components is None:
        return None
    try:
        return encoding.prefix_length(components)
    except InvalidConfigError as error:
        raise InvalidConfigError(f"prefix_chunks: {error}") from error


def part_length(encoding: Encoding, n_parts: int) -> int | None:
    """Return the stored numbers of one of so many parts of a vector; None where it stays whole.

    It does where components have no order: their first ones say nothing.
    """
    if n_parts == 1:
        return None
    try:
        return encoding.prefix_length(-(-encoding.n_components // n_parts))
    except InvalidConfigError:
        return None


def convert_grids(
    parts: Mapping[str, RasterConversion],
    destination: Destination,
    progress: Progress | None,
    started: float,
) -> ConvertSummary:
    """Convert several grids to child stores of one root, with one encoding.

    The root's metadata come last. An interrupted conversion goes on where it was: complete children
    are kept, one that was begun is finished.

    Parameters
    ----------
    parts
        The conversion of each grid, by the name of its child store.
    destination
        The root.
    progress, started
        As in `geoembz.convert`; progress counts the shards of all grids.
    """

    def write(build: Build) -> None:
        encoding, _ = fit_once(build, lambda: fit_grids(parts))
        counts = Parts(progress, {n: p.count_shards(encoding) for n, p in parts.items()})
        for number, (name, part) in enumerate(parts.items(), 1):
            own = replace(part, fixed=encoding, is_part=True)
            child = build.child(name, own.plan())
            tell = counts.of(name)
            if not child.is_complete:
                _log.info("grid %s, %d of %d", name, number, len(parts))
                own.write(child, tell)
        build.fence.check()
        write_root(build.tree, list(parts))

    plan = {"grids": {name: part.plan() for name, part in parts.items()}}
    if is_dry():
        raise Foreseen(_foresee_grids(parts, destination, plan))
    build_store(destination, plan, write)
    summaries = [
        part.summary(f"{destination.url.rstrip('/')}/{name}", time.perf_counter())
        for name, part in parts.items()
    ]
    stored = sum(ObjectTree(destination.url).sizes().values())
    return merge_summaries(summaries, destination.url, stored, time.perf_counter() - started)


def _foresee_grids(
    parts: Mapping[str, RasterConversion], destination: Destination, plan: Plan
) -> DryRun:
    journal, state = Site(destination).foresee(plan)
    first = next(iter(parts.values()))
    encoding = first.encoding_of(None) if journal is None else journal.resume(plan)[0]
    outlooks = []
    for name, part in parts.items():
        outlook = part.outlook(encoding, 0)
        done = 0 if journal is None else _count_done(journal.tree.child(name), outlook.shards)
        outlooks.append(replace(outlook, done=done))
    return foresee("convert", destination.url, state, outlooks)


def _count_done(tree: ObjectTree, shards: int) -> int:
    """Return how many shards of a grid an interrupted run has written."""
    return len(Journal(tree).finished()) if tree.read("zarr.json") is None else shards


def fit_grids(parts: Mapping[str, RasterConversion]) -> Fit:
    """Fit one encoding over all grids, each with a share of the sample by its pixels."""
    first = next(iter(parts.values()))
    n_pixels = sum(part.source.grid.window.size for part in parts.values())
    sample: list[NDArray[np.float32]] = []
    for part in parts.values():
        share = -(-part.fit.fit_samples * part.source.grid.window.size // n_pixels)
        try:
            drawn = part.draw(max(share, 1))
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{part.source.name}: {error}") from error
        if part.fixed is not None:
            part.check_basis(part.fixed, drawn)
        sample += drawn
    encoding = first.fixed or Encoding.fit_blocks(
        sample, first.recipe, first.source.dimension, first.fit.seed
    )
    return encoding, sample_mean(encoding, sample)
