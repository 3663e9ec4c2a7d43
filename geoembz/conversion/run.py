"""Convert: sample, fit, write every shard, write the metadata, say what it cost."""

import time as clock
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._version import __version__
from geoembz.conventions import UNKNOWN_MODEL, Layout, StoreAttributes, check_model
from geoembz.conversion.basis import check_coverage
from geoembz.conversion.destination import Destination
from geoembz.conversion.grids import convert_grids
from geoembz.conversion.opening import Inputs, open_inputs
from geoembz.conversion.remembered import RememberedSource
from geoembz.conversion.runner import Progress, run_tasks
from geoembz.conversion.sampling import PixelRoles, draw_sample, sample_mean
from geoembz.conversion.shards import summarise, write_shards
from geoembz.conversion.summary import ConvertSummary
from geoembz.conversion.tables import TableOptions, convert_table, refuse_raster_options
from geoembz.conversion.task import ShardResult
from geoembz.conversion.times import parse_date
from geoembz.conversion.workers import Workers, absolute, check_scheduler, open_workers
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError, StoreError
from geoembz.sources import (
    InputOptions,
    OpenOptions,
    Overlap,
    Source,
    check_vectors,
    traits_of,
)
from geoembz.sources.inputs import table_files
from geoembz.sources.tables import open_table
from geoembz.store import (
    DestinationLock,
    Journal,
    StorePlan,
    StoreReader,
    StoreWriter,
    choose_layout,
)
from geoembz.store.reader import is_table_store, open_group
from geoembz.store.tables import TableReader
from geoembz.threads import worker_count

FIT_SAMPLES = 65_536
"""Pixels that an encoding is fitted on, by default."""


def convert(
    source: Inputs,
    store: str | Path,
    *,
    recipe: str | None = None,
    pca: int | None = None,
    quantizer: str | None = None,
    layout: Layout = "plain",
    fit_samples: int = FIT_SAMPLES,
    seed: int = 0,
    basis: str | Path | Encoding | None = None,
    strict_basis: bool = False,
    chunk: int | None = None,
    shard: int | str | None = None,
    prefix_chunks: int | None = None,
    nodata: float | str | None = None,
    crs: str | None = None,
    time: str | None = None,
    product: str | None = None,
    overlap: Overlap | None = None,
    resample: str | None = None,
    skip_bad: bool = False,
    grid: bool = False,
    grid_crs: str | None = None,
    model: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    checksum: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
    overwrite: bool = False,
    break_lock: bool = False,
    progress: Progress | None = None,
) -> ConvertSummary:
    """Convert a raster of embeddings to a compressed Zarr store.

    The same input, options and seed give the same bytes. An interrupted conversion leaves a journal
    and nothing that opens as a store; the same call finishes it.

    Parameters
    ----------
    source
        What `geoembz.sources.open_source` opens, one input or several; another store of geoembz; an
        xarray DataArray or Dataset; or a `Source`. Several inputs of one CRS become a mosaic,
        inputs of several CRSs child groups of one store, with one encoding. Or a table: Parquet or
        CSV, one file or several with the same columns, named in the same ways; `chunk` and
        `shard` are then rows.
    store
        Destination: path or fsspec URL.
    recipe
        Name of the recipe, such as ``l2-pca64-int4-lloyd`` or ``aef``; see `Recipe`.
    pca, quantizer
        A recipe in two words, instead of its name: the number of principal components to keep
        (None keeps the vectors as they are), and ``int8``, ``int4``, ``binary`` or ``float32``.
        Where nothing is asked for: the product's own codes, if it has any, else ``int8``.
    layout
        ``plain`` (integers that any Zarr reader opens) or ``codec`` (float32 vectors wherever
        geoembz is installed).
    fit_samples
        Pixels to fit the encoding on.
    seed
        Seed of every random choice.
    basis
        A store, an encoding file or an `Encoding` to use instead of fitting one. A `BasisWarning`
        says in numbers where the source lies outside it.
    strict_basis
        Raise an error instead of that warning.
    chunk, shard
        Sides of chunks and shards, in pixels; see `choose_layout`.
    prefix_chunks
        Components per chunk, rounded up to whole bytes, so that a reader who asks for the first few
        reads no others; None keeps vectors whole. Not after a rotation, nor with `pq`.
    nodata
        Replaces the declared nodata value; ``"none"`` says that there is none.
    crs
        Replaces the declared CRS.
    time
        Make a store with a time axis, and this its first date: ``YYYY``, ``YYYY-MM`` or
        ``YYYY-MM-DD``. Also chooses the year of products that hold several.
    product
        One of `geoembz.sources.PRODUCTS`, where content and name do not tell.
    overlap
        What holds where tiles overlap: ``first`` (the default), ``last`` or ``mean``.
    resample
        ``nearest`` takes tiles that are not aligned by nearest neighbour; None refuses them.
    skip_bad
        Leave out inputs that cannot be read; the store lists them.
    grid
        Make a raster of a table whose chips lie on a regular grid: one pixel per chip.
    grid_crs
        CRS in which that grid is regular (implies `grid`); None to find out.
    model
        URI of the model that made the embeddings; None for the product's.
    license
        Licence of the embeddings, as an SPDX name or URL; None for the product's.
    checksum
        Read the input files once more and record the SHA-256 of each in the provenance.
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

    Returns
    -------
    summary
        What it cost and what it lost.

    Raises
    ------
    InvalidConfigError
        If options cannot work; nothing was written.
    SourceError
        If the source cannot be read, or has too few valid pixels.
    EncodingError
        If the basis is for vectors of another dimension.
    SchedulerError
        If the cluster cannot be reached, or is lost.

    References
    ----------
    spec/format.md; Robinson & Corley, *Compressing Earth Embeddings*, 2026.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "out.zarr", pca=16)
    >>> summary.recipe, summary.bytes_per_embedding
    ('pca16-int8', 16)
    """
    started = clock.perf_counter()
    if fit_samples < 1:
        raise InvalidConfigError(f"fit_samples {fit_samples}; expected 1 or more")
    if seed < 0:
        raise InvalidConfigError(f"seed {seed}; expected 0 or more")
    workers = worker_count(workers)
    if workers < 1:
        raise InvalidConfigError(f"workers {workers}; expected 1 or more")
    check_model(model or UNKNOWN_MODEL)
    check_scheduler(scheduler)
    if scheduler is not None:  # workers may run in another folder
        source, store = absolute(source), absolute(store)
    destination = Destination.check(store, overwrite=overwrite)
    destination = replace(destination, breaks_lock=break_lock)
    if resample not in {None, "nearest"}:
        raise InvalidConfigError(f"resample {resample!r}; expected 'nearest'")
    asked = _asked_recipe(recipe, pca, quantizer)
    fixed = _fixed_encoding(basis, asked)
    tables = None if grid or grid_crs else table_files(source)
    if tables is not None:
        raster_options = {
            "layout codec": layout != "plain",
            "nodata": nodata is not None,
            "shard none": isinstance(shard, str),
            "prefix_chunks": prefix_chunks is not None,
            "time": time is not None,
            "product": product is not None,
            "overlap": overlap is not None,
            "resample": resample is not None,
            "skip_bad": skip_bad,
            "scheduler": scheduler is not None,
        }
        refuse_raster_options(raster_options)
        options = TableOptions(
            recipe=asked,
            fixed=fixed,
            strict_basis=strict_basis,
            fit_samples=fit_samples,
            seed=seed,
            chunk=chunk,
            shard=shard if isinstance(shard, int) else None,
            model=model,
            license=license,
            checksum=checksum,
            workers=workers,
        )
        return convert_table(open_table(tables, crs=crs), destination, options, progress)
    date = None if time is None else parse_date(time)
    opening = OpenOptions(product, nodata, crs, None if date is None else int(date[:4]))
    as_grid = grid or grid_crs is not None
    inputs = InputOptions(opening, overlap, resample == "nearest", skip_bad, as_grid, grid_crs)
    grids = open_inputs(source, inputs)
    traits = traits_of(next(iter(grids.values())))
    chosen = asked or Recipe.parse(traits.recipe or "int8")
    for raster in grids.values():
        _check_dimension(raster, chosen, fixed)
    conversion = partial(
        _Conversion,
        recipe=chosen,
        layout=layout,
        fit_samples=fit_samples,
        seed=seed,
        strict_basis=strict_basis,
        chunk=chunk,
        shard=shard,
        prefix_chunks=prefix_chunks,
        workers=workers,
        model=model or traits.model or UNKNOWN_MODEL,
        license=license or traits.license,
        checksum=checksum,
        nodata=None if nodata is None else str(nodata),
        crs=crs,
        date=date,
    )
    with open_workers(scheduler, workers) as pool:
        conversion = partial(conversion, pool=pool)
        if len(grids) > 1:
            return convert_grids(grids, destination, conversion, fixed, progress, started)
        (raster,) = grids.values()
        if scheduler is None and _is_remote(raster):  # the same process samples and converts
            raster = RememberedSource(raster)
        only = conversion(source=raster, destination=destination, fixed=fixed)
        return only.run(progress, started)


@dataclass(frozen=True)
class _Conversion:
    """A conversion whose options have been checked."""

    source: Source
    destination: Destination
    recipe: Recipe
    layout: Layout
    fit_samples: int
    seed: int
    fixed: Encoding | None
    strict_basis: bool
    chunk: int | None
    shard: int | str | None
    prefix_chunks: int | None
    workers: int
    pool: Workers
    model: str
    license: str | None
    checksum: bool
    nodata: str | None
    crs: str | None
    date: str | None
    is_part: bool = False
    """One grid of several: the basis was looked at over all of them."""

    def run(self, progress: Progress | None, started: float) -> ConvertSummary:
        with self.destination.lock() as lock:
            writer, attributes = self._build(lock, progress)
        self.destination.swap()
        return self._summary(writer.plan.encoding, attributes, started)

    def _build(
        self, lock: DestinationLock, progress: Progress | None
    ) -> tuple[StoreWriter, StoreAttributes]:
        """Write the store, or what is missing of it; nothing but the store is left."""
        journal = Journal(self.destination.tree)
        if self.destination.replaces and not journal.matches(self.options()):
            self.destination.tree.remove()  # what an abandoned overwrite left
            lock.take()
        begun = journal.exists()
        try:
            writer, centre = self._prepare(journal)
            results = write_shards(
                self.source, writer, journal, lock.fence, centre, self.seed, self.pool, progress
            )
        except Exception:
            lock.release()
            if not begun:
                self._discard_unless_useful(journal)
            raise
        attributes = self._attributes(writer.plan, results)
        writer.finish(attributes)
        lock.release()
        journal.clear()
        return writer, attributes

    def _discard_unless_useful(self, journal: Journal) -> None:
        """Remove what a failed conversion wrote, where no shard was finished."""
        with suppress(StoreError):  # the server that failed, most likely; the error is on its way
            if not journal.has_finished():
                self.destination.discard()

    def _prepare(self, journal: Journal) -> tuple[StoreWriter, NDArray[np.float64]]:
        """Fit, or take up the fit of an interrupted conversion, and plan the store."""
        options = self.options()
        if journal.exists():
            encoding, centre = journal.resume(options)
            return self._writer(encoding), centre
        encoding, centre = self._fit()
        writer = self._writer(encoding)
        journal.start(options, encoding, centre)
        return writer, centre

    def draw(self, n_samples: int) -> list[NDArray[np.float32]]:
        """Draw so many of the source's pixels, and refuse those that cannot be right."""
        roles = PixelRoles(self.seed, self.source.grid.shape)
        run = partial(run_tasks, workers=self.workers)
        read = self.source.first_read if isinstance(self.source, RememberedSource) else None
        sample = draw_sample(self.source, roles, n_samples, run, read)
        check_vectors(self.source, sample)
        return sample

    def check_basis(self, basis: Encoding, sample: list[NDArray[np.float32]]) -> None:
        """Warn, or refuse under `strict_basis`, where the source lies outside a basis."""
        check_coverage(self.source.name, basis, sample, strict=self.strict_basis)

    def _fit(self) -> tuple[Encoding, NDArray[np.float64]]:
        source = self.source
        try:
            sample = self.draw(self.fit_samples)
            encoding = self.fixed or Encoding.fit_blocks(
                sample, self.recipe, source.dimension, self.seed
            )
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{self.source.name}: {error}") from error
        if self.fixed is not None and not self.is_part:
            self.check_basis(self.fixed, sample)
        return encoding, sample_mean([encoding.target(block) for block in sample])

    def _writer(self, encoding: Encoding) -> StoreWriter:
        chunks = choose_layout(
            self.source.grid.shape,
            encoding.bytes_per_vector,
            self.source.block_shape,
            chunk=self.chunk,
            shard=self.shard,
            prefix=self._prefix(encoding),
        )
        dates = () if self.date is None else (self.date,)
        plan = StorePlan(encoding, chunks, self.layout, dates)
        return StoreWriter(self.destination.building, plan)

    def _prefix(self, encoding: Encoding) -> int | None:
        """Return the stored numbers per vector in a chunk; None for all."""
        if self.prefix_chunks is None:
            return None
        try:
            return encoding.prefix_length(self.prefix_chunks)
        except InvalidConfigError as error:
            raise InvalidConfigError(f"prefix_chunks: {error}") from error

    def _attributes(self, plan: StorePlan, results: Sequence[ShardResult]) -> StoreAttributes:
        encoding, traits = plan.encoding, traits_of(self.source)
        written = summarise(self.source, results, checksum=self.checksum)
        return StoreAttributes(
            grid=self.source.grid,
            encoding=encoding.config(),
            encoding_hash=encoding.hash,
            layout=plan.layout,
            original_dtype=str(self.source.dtype),
            stored_dtype=str(encoding.code_dtype),
            model=self.model,
            sources=written.sources,
            fit=asdict(encoding.report),
            fidelity=written.fidelity,
            pixels=written.pixels,
            times=() if self.date is None else (written.at(self.date),),
            notes=traits.notes,
            skipped=traits.skipped,
            software=f"geoembz {__version__}",
            license=self.license,
        )

    def summary(self, started: float) -> ConvertSummary:
        """Return the summary of the store that is there already."""
        reader = StoreReader.open(self.destination.url)
        return self._summary(reader.encoding, reader.attributes, started)

    def _summary(
        self, encoding: Encoding, attributes: StoreAttributes, started: float
    ) -> ConvertSummary:
        pixels = self.source.grid.window.size
        bytes_in = pixels * self.source.dimension * self.source.dtype.itemsize
        bytes_stored = StoreReader.open(self.destination.url).stored_bytes()
        return ConvertSummary(
            store=self.destination.url,
            recipe=encoding.recipe,
            encoding_hash=encoding.hash,
            pixels=pixels,
            valid_pixels=attributes.pixels["valid"],
            rejected_pixels=attributes.pixels.get("rejected", 0),
            skipped_inputs=len(attributes.skipped),
            bytes_in=bytes_in,
            bytes_stored=bytes_stored,
            ratio=bytes_in / bytes_stored,
            bytes_per_pixel=bytes_stored / pixels,
            bytes_per_embedding=encoding.bytes_per_vector,
            explained_variance=encoding.report.explained_variance,
            cosine=attributes.fidelity["cosine"],
            cosine_centred=attributes.fidelity["cosine_centred"],
            rmse=attributes.fidelity["rmse"],
            held_out_pixels=attributes.fidelity["n"],
            seconds=clock.perf_counter() - started,
            notes=attributes.notes,
        )

    def options(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        traits = traits_of(self.source)
        return {
            "software": __version__,
            "sources": [info.identity() for info in self.source.info],
            "date": self.date,
            "product": traits.product,
            "notes": list(traits.notes),
            "skipped": [uri for uri, _ in traits.skipped],
            "shape": list(self.source.grid.shape),
            "recipe": str(self.recipe) if self.fixed is None else self.fixed.recipe,
            "basis": None if self.fixed is None else self.fixed.hash,
            "layout": self.layout,
            "fit_samples": self.fit_samples,
            "seed": self.seed,
            "chunk": self.chunk,
            "shard": self.shard,
            "prefix_chunks": self.prefix_chunks,
            "model": self.model,
            "license": self.license,
            "checksum": self.checksum,
            "nodata": self.nodata,
            "crs": self.crs,
        }


def _asked_recipe(recipe: str | None, pca: int | None, quantizer: str | None) -> Recipe | None:
    """Return the recipe that the options spell; None where they say nothing."""
    if recipe is not None:
        if pca is not None or quantizer is not None:
            raise InvalidConfigError(
                f"recipe {recipe!r} says projection and quantizer already; leave out pca and the "
                "quantizer, or the recipe"
            )
        return Recipe.parse(recipe)
    if pca is None and quantizer is None:
        return None
    projection = None if pca is None else "pca"
    return Recipe(quantizer or "int8", projection=projection, n_components=pca)


def _fixed_encoding(basis: str | Path | Encoding | None, asked: Recipe | None) -> Encoding | None:
    """Return the basis' encoding after checking that nothing else is asked for."""
    if basis is None:
        return None
    encoding = basis if isinstance(basis, Encoding) else load_basis(basis)
    if asked is not None and str(asked) != encoding.recipe:
        raise InvalidConfigError(
            f"basis: fitted as {encoding.recipe!r}, but the options ask for {str(asked)!r}; leave "
            "out --recipe, --pca and the quantizer, or fit anew without --basis"
        )
    return encoding


def load_basis(path: str | Path) -> Encoding:
    """Read an encoding from a store or from a file that `Encoding.save` wrote."""
    if str(path).endswith(".npz") or Path(path).is_file():
        return Encoding.load(path)
    if is_table_store(open_group(str(path))):
        return TableReader.open(str(path)).encoding
    return StoreReader.open(str(path)).encoding


def _is_remote(source: Source) -> bool:
    """Whether reading a block again takes the network; here it takes less than its memory does."""
    return any("://" in info.uri for info in source.info)


def _check_dimension(source: Source, recipe: Recipe, fixed: Encoding | None) -> None:
    if fixed is not None and fixed.dimension != source.dimension:
        raise EncodingError(
            f"{source.name}: vectors of {source.dimension} components, but the basis is for "
            f"{fixed.dimension}; use a basis that was fitted on the same model's embeddings"
        )
    if fixed is None:
        recipe.check_dimension(source.name, source.dimension)
