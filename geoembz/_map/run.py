"""Write a map of a store: one kernel over all its codes, to a GeoTIFF or a Zarr store.

A map is built as a store is converted (`geoembz._convert.site`): shards in any order on threads or
a cluster, a journal and a lock beside them, nothing visible before all is there; the same command
finishes what was interrupted. A GeoTIFF is built as such a store in a hidden folder beside it, and
copied together at the end.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from geoembz._convert.conversion import fit_once
from geoembz._convert.destination import Destination
from geoembz._convert.placing import discard
from geoembz._convert.site import Build, Site
from geoembz._export.region import Region
from geoembz._map.kernel import Kernel
from geoembz._map.options import MapOptions
from geoembz._map.outputs import IDENTITY, digest_identity, hidden_folder, read_identity
from geoembz._map.picture import write_quick_look
from geoembz._map.summary import MapSummary
from geoembz._map.task import MapShard, MapTask
from geoembz._map.tiff import write_tiff
from geoembz._map.writer import MapPlan, MapWriter
from geoembz._objects.tree import ObjectTree
from geoembz._util.threads import worker_count
from geoembz._version import __version__
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, merge_stored, run_recorded
from geoembz._work.places import make_absolute
from geoembz.errors import NoValidPixelsError
from geoembz.store.digests import ROOT
from geoembz.store.layout import ChunkLayout, layout_of
from geoembz.store.map_figures import MapFigures
from geoembz.store.maps import ATTRIBUTE, FIGURES, STRETCH, is_tiff

_TASK_CHUNKS = 8
"""Chunks on a side that one task makes, of a store without shards."""

_LARGEST_CHUNK = 512
"""Side of a map's chunk, in pixels, unless a store's own is larger."""

_SHARD_BYTES = 64 * 2**20
"""Of the values that one task holds."""


def write_map(
    inputs: Sequence[Region],
    kernel: Kernel,
    out: str | Path,
    options: MapOptions,
    details: Mapping[str, Any] | None = None,
    *,
    at_the_end: Callable[[], None] | None = None,
    repeats: bool = False,
) -> MapSummary:
    """Write a map of one region, or of several that lie on each other.

    Parameters
    ----------
    inputs
        What is read: regions of one shape, on one grid; most maps have one (`open_region`).
    kernel
        Makes values of their codes.
    out
        ``.tif`` for a cloud-optimized GeoTIFF, ``.zarr`` for a Zarr store.
    options
        How it is written.
    details
        For the summary.
    at_the_end
        Called when all of the map is made and nobody can see it yet: writes what belongs to it.
    repeats
        Whether a map that this very command made may be there; then it is made again.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or another map is unfinished there.
    StoreError
        If a store cannot be read, or the map cannot be written.
    OutputError
        If a file cannot be written.
    """
    target = str(out if options.scheduler is None else make_absolute(out))
    making = _Making.of(tuple(inputs), kernel, target, options.overwrite)
    if repeats and read_identity(out) == making.digest:
        making = replace(making, overwrites=True)
    replace(options, overwrite=making.overwrites).check(out)
    with (
        open_workers(options.scheduler, worker_count(options.workers)) as pool,
        Site(making.destination(breaks_lock=options.break_lock)) as site,
    ):
        build = site.begin(making.identity())
        if build.is_complete:  # a killed run of this very command had all but renamed it
            figures = _read_figures(build.tree)
        else:
            figures = making.write(build, pool, options, at_the_end)
            if making.is_tiff:
                discard(build.tree.local_path)
            else:
                site.finish()
    return MapSummary(
        str(out),
        None if options.png is None else str(options.png),
        kernel.bands,
        making.plan.chunks.shape,
        figures,
        making.written_bytes(),
        details or {},
    )


@dataclass(frozen=True)
class _Making:
    """The making of one map.

    Parameters
    ----------
    inputs, kernel, out
        As of `write_map`.
    plan
        What is written.
    overwrites
        Whether it replaces what is there.
    """

    inputs: tuple[Region, ...]
    kernel: Kernel
    out: str
    plan: MapPlan
    overwrites: bool

    @classmethod
    def of(cls, inputs: tuple[Region, ...], kernel: Kernel, out: str, overwrites: bool) -> Self:
        """Plan a map; its shards are those of the first input."""
        region = inputs[0]
        chunks = choose_chunks(region, kernel.bands.pixel_bytes)
        return cls(inputs, kernel, out, MapPlan(region.grid, kernel.bands, chunks), overwrites)

    @property
    def is_tiff(self) -> bool:
        """Whether a GeoTIFF is made, not a store."""
        return is_tiff(self.out)

    def destination(self, *, breaks_lock: bool) -> Destination:
        """Return where shards are built: the store itself, or a hidden folder beside a file."""
        if not self.is_tiff:
            return Destination.check(self.out, overwrite=self.overwrites, breaks_lock=breaks_lock)
        return Destination(
            str(hidden_folder(self.out)), gives_up=self.overwrites, breaks_lock=breaks_lock
        )

    def identity(self) -> dict[str, Any]:
        """Return all that the bytes of the map depend on, as the journal records it."""
        chunks = self.plan.chunks
        return {
            "map": self.kernel.bands.to_json(),
            "kernel": dict(self.kernel.identity),
            "inputs": [_identify(region) for region in self.inputs],
            "chunk": chunks.chunk,
            "shard": chunks.shard,
            "software": __version__,
        }

    @property
    def digest(self) -> str:
        """Stands for all that the bytes depend on."""
        return digest_identity(self.identity())

    def write(
        self,
        build: Build,
        pool: Workers,
        options: MapOptions,
        at_the_end: Callable[[], None] | None,
    ) -> MapFigures:
        """Write the shards that the journal lacks, the quick look, then all that makes it whole."""
        encoding = self.inputs[0].reader.encoding
        fit_once(build, lambda: (encoding, np.zeros(encoding.dimension)))
        writer = MapWriter(build.tree, self.plan)
        parts = (self.inputs, self.kernel, writer, build.journal, build.fence, pool.may_repeat)
        results = run_recorded(
            MapTask(*parts),
            self.plan.chunks.shards(),
            build.journal,
            build.tree,
            None,
            MapShard.from_json,
            pool,
            options.progress,
        )
        figures = MapFigures.sum(result.figures for result in results)
        if not figures.valid_pixels:
            self._refuse_empty(build)
        build.fence.check()
        if options.png is not None:
            self._draw(Path(options.png), writer, figures, replaces=options.overwrite)
        if at_the_end is not None:
            at_the_end()
        about = {
            **self.kernel.bands.to_json(),
            **_describe(self.inputs),
            IDENTITY: self.digest,
            STRETCH: [sums.stretch if sums.count else None for sums in figures.bands],
            FIGURES: figures.to_json(),
        }
        if self.is_tiff:
            write_tiff(Path(self.out), writer, figures, about)
        else:
            stored = merge_stored(result.stored for result in results)
            writer.finish(about, stored, build.fence)
        return figures

    def _draw(self, png: Path, writer: MapWriter, figures: MapFigures, *, replaces: bool) -> None:
        grid, bands = self.plan.grid, self.kernel.bands
        write_quick_look(png, writer.read, grid, bands, figures, replaces=replaces)

    def _refuse_empty(self, build: Build) -> None:
        if build.tree.is_local:  # nothing of it is worth keeping
            discard(build.tree.local_path)
        raise NoValidPixelsError(
            f"{self.inputs[0].reader.url}: no pixel there holds an embedding; expected some to map"
        )

    def written_bytes(self) -> int:
        """Return the size of what was written."""
        if not self.is_tiff:
            return sum(ObjectTree(self.out).sizes().values())
        path = Path(self.out)
        with suppress(OSError):  # an interrupted run made the folder, so its end leaves it
            hidden_folder(self.out).rmdir()
        return path.stat().st_size


def choose_chunks(region: Region, pixel_bytes: int) -> ChunkLayout:
    """Choose the chunks and shards of a map: a shard lies on one of the store, or a part of it.

    Parameters
    ----------
    region
        What is mapped.
    pixel_bytes
        Of the map's values.
    """
    codes = layout_of(region.reader.codes)
    steps = 1 if codes.is_sharded else _TASK_CHUNKS
    shard = [steps * side for side in codes.shard]
    while math.prod(shard) * pixel_bytes > _SHARD_BYTES:
        axis = 0 if shard[0] > shard[1] else 1
        halved = -(-shard[axis] // codes.chunk[axis] // 2) * codes.chunk[axis]
        if halved == shard[axis]:
            break
        shard[axis] = halved
    chunk = [_grow(side, whole) for side, whole in zip(codes.chunk, shard, strict=True)]
    shape = region.window.shape
    outer = (
        min(whole, -(-extent // side) * side)
        for whole, extent, side in zip(shard, shape, chunk, strict=True)
    )
    rows, cols = outer
    return ChunkLayout(shape, (chunk[0], chunk[1]), (rows, cols))


def _grow(side: int, whole: int) -> int:
    """Return the side of a map's chunk: doubled while it divides the shard's."""
    while 2 * side <= _LARGEST_CHUNK and whole % (2 * side) == 0:
        side *= 2
    return side


def _identify(region: Region) -> dict[str, Any]:
    """Return what says which pixels are read: the store's root document stands for all of it."""
    reader, window = region.reader, region.window
    root = ObjectTree(reader.url).read(ROOT) or b""
    return {
        "root": hashlib.sha256(root).hexdigest(),
        "level": reader.level,
        "date": region.date,
        "window": [window.row, window.col, window.height, window.width],
    }


def _describe(inputs: Sequence[Region]) -> dict[str, Any]:
    """Return what a map says of the stores that it was made from."""
    first = inputs[0].reader
    licenses = dict.fromkeys(region.reader.attributes.license for region in inputs)
    about: dict[str, Any] = {
        "model": first.attributes.model,
        "recipe": str(first.encoding.recipe),
        "encoding_hash": first.attributes.encoding_hash,
        "software": f"geoembz {__version__}",
    }
    if known := [terms for terms in licenses if terms is not None]:
        about["license"] = " AND ".join(known)
    dates = [region.reader.dates[region.date] for region in inputs if region.reader.dates]
    return {**about, "dates": dates} if dates else about


def _read_figures(tree: ObjectTree) -> MapFigures:
    """Return the figures of a map that is whole."""
    document = tree.read_json(ROOT) or {}
    return MapFigures.from_json(document["attributes"][ATTRIBUTE][FIGURES])
