"""Convert: check the options, open the inputs, and hand over to a conversion."""

import logging
import time as clock
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Unpack

from geoembz._convert.basis import check_columns, check_dimension, in_order_of, load_fixed
from geoembz._convert.destination import Destination
from geoembz._convert.inputs import Inputs, open_inputs
from geoembz._convert.options import (
    ConvertKeywords,
    FitOptions,
    Groups,
    StorageOptions,
    gather,
    parse_date,
    refuse_raster_options,
)
from geoembz._convert.place_check import check_conversion, refuse_unequal
from geoembz._convert.raster_conversion import RasterConversion, convert_grids
from geoembz._convert.sampling import SampleCache, reads_whole_blocks
from geoembz._convert.summary import ConvertSummary
from geoembz._util.progress import Progress
from geoembz._util.threads import worker_count
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import make_absolute, with_absolute_layers
from geoembz.encoding import Encoding, Metric, Recipe
from geoembz.sources import ReadOptions, Source
from geoembz.sources.base import SourceTraits, traits_of
from geoembz.sources.inputs import table_files
from geoembz.store.conventions import UNKNOWN_MODEL, check_model

_log = logging.getLogger("geoembz.convert")


def convert(
    source: Inputs,
    store: str | Path,
    *,
    recipe: str | Recipe | None = None,
    basis: str | Path | Encoding | None = None,
    model: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    metric: str | None = None,
    time: str | None = None,
    read: ReadOptions | None = None,
    fit: FitOptions | None = None,
    storage: StorageOptions | None = None,
    check: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    progress: Progress | None = None,
    **flat: Unpack[ConvertKeywords],
) -> ConvertSummary:
    """Convert a raster or table of embeddings to a compressed Zarr store.

    The same input, options and seed give the same bytes. An interrupted conversion leaves a journal
    and nothing that opens as a store; the same call finishes it.

    Parameters
    ----------
    source
        What `geoembz.open_source` opens, one input or several; another store of geoembz; an xarray
        DataArray or Dataset; an array of NumPy, dask or PyTorch, or in ``.npy`` or ``.npz``, with
        `like` or with `crs` and `transform`; or a `Source`. Several inputs of one CRS become a
        mosaic, inputs of several CRSs child groups of one store, with one encoding. Or a table:
        Parquet or CSV, one file or several with the same columns, named in the same ways.
    store
        Destination: path or fsspec URL.
    recipe
        Name of the recipe, such as ``l2-pca64-int4-lloyd`` or ``aef``; see `Recipe`. Without it,
        `pca` and `quantizer`: the product's own codes, if it has any, else ``int8``.
    basis
        A store, an encoding file or an `Encoding` to use instead of fitting one. A `BasisWarning`
        says in numbers where the source lies outside it.
    model
        URI of the model that made the embeddings; None for the product's.
    license
        License of the embeddings, as an SPDX name or URL; None for the product's.
    metric
        What the store recommends that searches compare by, such as ``cosine-w0.5``, as `plan` names
        it; None for cosines. Searches and maps that name none take this one.
    time
        Make a store with a time axis, and this its first date: ``YYYY``, ``YYYY-MM`` or
        ``YYYY-MM-DD``. Also chooses the year of products that hold several.
    read, fit, storage
        How inputs are read, how the encoding is fitted and how codes are stored; see `ReadOptions`,
        `FitOptions` and `StorageOptions`.
    check
        Compare the finished store with the inputs at 400 random pixels, each looked up by its
        longitude and latitude along a path that shares no code with the conversion. For rasters
        that rasterio opens.
    workers
        Shards converted at once, in threads of this process; None for one per core.
    scheduler
        Where the shards are converted instead: the address of a dask.distributed scheduler, or
        ``local`` for `workers` processes on this machine. The fit stays in this process. Workers
        must reach source and destination under the same names.
    overwrite
        Replace a Zarr store at the destination, after the new one is complete.
    break_lock
        Take the destination from a conversion that seems to hold it: on another machine, and dead.
    progress
        Called with the numbers of finished and of all shards.
    **flat
        Any field of the three groups by its own name: ``convert(…, pca=64, nodata=0, chunk=256)``
        is ``convert(…, fit=FitOptions(pca=64), read=ReadOptions(nodata=0),
        storage=StorageOptions(chunk=256))``.

    Returns
    -------
    summary
        What it cost and what it lost.

    Raises
    ------
    InvalidConfigError
        If options cannot work, or contradict each other; nothing was written.
    SourceError
        If the source cannot be read, or has too few valid pixels.
    EncodingError
        If the basis is for vectors of another dimension.
    StoreError
        If the destination cannot be written, or `check` finds that the store does not hold what
        the inputs say.
    SchedulerError
        If the cluster cannot be reached, or is lost.

    References
    ----------
    spec/format.md; Robinson & Corley, *Compressing Earth Embeddings*, 2026.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "out.zarr", pca=16)
    >>> summary.recipe, summary.bytes_per_embedding
    ('pca16-int8', 16)
    """
    started = clock.perf_counter()
    groups = gather("convert", flat, read, fit, storage)
    workers = worker_count(workers)
    check_model(model or UNKNOWN_MODEL)
    check_scheduler(scheduler)
    if scheduler is not None:  # workers may run in another folder
        source, store = make_absolute(source), make_absolute(store)
        groups = groups._replace(read=with_absolute_layers(groups.read))
    destination = Destination.check(store, overwrite=overwrite, breaks_lock=break_lock)
    asked = groups.fit.recipe(recipe)
    fixed = load_fixed(basis, asked)
    request = _Request(
        source=source,
        destination=destination,
        asked=asked,
        fixed=fixed,
        groups=groups,
        model=model,
        license=license,
        metric=None if metric is None else Metric.parse(metric),
        time=time,
        check=check,
        workers=workers,
        scheduler=scheduler,
        progress=progress,
        started=started,
    )
    tables = None if groups.read.grid else table_files(source)
    return request.convert_rasters() if tables is None else request.convert_table(tables)


@dataclass(frozen=True, kw_only=True)
class _Request:
    """What is asked of `convert`, checked as far as can be before inputs are opened."""

    source: Inputs
    destination: Destination
    asked: Recipe | None
    fixed: Encoding | None
    groups: Groups
    model: str | None
    license: str | None
    metric: Metric | None
    time: str | None
    check: bool
    workers: int
    scheduler: str | None
    progress: Progress | None
    started: float

    def convert_table(self, tables: Sequence[str]) -> ConvertSummary:
        """Convert the one table that files are."""
        from geoembz._convert.table_conversion import TableConversion  # takes pyarrow
        from geoembz.sources.tables import open_table

        read, fit, storage = self.groups
        self._refuse_raster_options()
        table = open_table(tables, crs=read.crs, vector=read.vector)
        check_columns(self.fixed, table.name, table.band_names)
        model = self.model or table.model or UNKNOWN_MODEL
        check_model(model)
        recipe = self.asked or Recipe.parse(table.traits.recipe or "int8")
        check_dimension(table.name, table.dimension, recipe, self.fixed)
        return TableConversion(
            source=table,
            recipe=recipe,
            fixed=self.fixed,
            read=read,
            fit=fit,
            storage=storage,
            workers=self.workers,
            model=model,
            license=self.license,
            metric=self._metric(recipe),
        ).run(self.destination, self.progress, self.started)

    def convert_rasters(self) -> ConvertSummary:
        """Convert one grid, or several to child stores with one encoding."""
        read = self.groups.read
        date = None if self.time is None else parse_date(self.time)
        if self.check:
            is_placed = read.like is not None or read.transform is not None
            is_cut = read.extent is not None
            refuse_unequal(
                read.overlap, read.resample, read.aggregate, is_placed=is_placed, is_cut=is_cut
            )
        read = replace(read, year=read.year if date is None else int(date[:4]))
        _log.info("opening inputs")
        grids = open_inputs(self.source, read)
        for raster in grids.values():
            height, width = raster.grid.shape
            _log.info("%s: %d x %d pixels of %d", raster.name, width, height, raster.dimension)
        traits = traits_of(next(iter(grids.values())))
        recipe = self.asked or Recipe.parse(traits.recipe or "int8")
        for raster in grids.values():
            check_dimension(raster.name, raster.dimension, recipe, self.fixed)
        grids = {name: in_order_of(self.fixed, raster) for name, raster in grids.items()}
        with open_workers(self.scheduler, self.workers) as pool:
            parts = {
                name: self._conversion(raster, recipe, read, date, traits, pool)
                for name, raster in self._cached(grids).items()
            }
            summary = self._run(parts)
        if not self.check:
            return summary
        return check_conversion(summary, self.source, grids, read, date)

    def _refuse_raster_options(self) -> None:
        """Refuse what only rasters have."""
        read, _, storage = self.groups
        only = (
            "nodata",
            "transform",
            "like",
            "dims",
            "product",
            "overlap",
            "resample",
            "aggregate",
            "extent",
            "layers",
        )
        refuse_raster_options(
            {
                "layout codec": storage.layout != "plain",
                "shard none": isinstance(storage.shard, str),
                "prefix_chunks": storage.prefix_chunks is not None,
                "overviews": storage.overviews,
                "--for": storage.access is not None,
                **{name: getattr(read, name) is not None for name in only},
                "aggregate": read.aggregate is not None,
                "skip_bad": read.skip_bad,
                "time": self.time is not None,
                "scheduler": self.scheduler is not None,
                "check": self.check,
            }
        )

    def _cached(self, grids: Mapping[str, Source]) -> Mapping[str, Source]:
        """Return sources that keep what the sample reads, where reading again is slow."""
        if len(grids) > 1 or self.scheduler is not None:
            return grids
        return {
            name: SampleCache(raster)
            if _is_remote(raster) or reads_whole_blocks(raster)
            else raster
            for name, raster in grids.items()
        }

    def _conversion(
        self,
        raster: Source,
        recipe: Recipe,
        read: ReadOptions,
        date: str | None,
        traits: SourceTraits,
        pool: Workers,
    ) -> RasterConversion:
        """Return the conversion of one grid."""
        return RasterConversion(
            source=raster,
            recipe=recipe,
            fixed=self.fixed,
            read=read,
            fit=self.groups.fit,
            storage=self.groups.storage,
            workers=self.workers,
            model=self.model or traits.model or UNKNOWN_MODEL,
            license=self.license or traits.license,
            metric=self._metric(recipe),
            pool=pool,
            date=date,
        )

    def _metric(self, recipe: Recipe) -> str | None:
        """Return the name of the metric to recommend, after a look whether it suits the recipe."""
        if self.metric is None:
            return None
        if self.fixed is not None:
            self.fixed.check_metric(self.metric)
        else:
            has_order = recipe.projection is not None or not recipe.is_rotated
            self.metric.check(str(recipe), kind=recipe.quantizer, has_order=has_order)
        return str(self.metric)

    def _run(self, parts: Mapping[str, RasterConversion]) -> ConvertSummary:
        """Run one conversion, or several below one root."""
        if len(parts) > 1:
            return convert_grids(parts, self.destination, self.progress, self.started)
        (only,) = parts.values()
        return only.run(self.destination, self.progress, self.started)


def _is_remote(source: Source) -> bool:
    """Whether reading a block again takes the network."""
    return any("://" in info.uri for info in source.info)
