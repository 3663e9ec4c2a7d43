"""Convert: check the options, open the inputs, and hand over to a conversion."""

import time as clock
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from geoembz._convert.basis import check_columns, check_dimension, fixed_encoding, in_order_of
from geoembz._convert.destination import Destination
from geoembz._convert.grids import convert_grids
from geoembz._convert.opening import Inputs, open_inputs
from geoembz._convert.place_check import check_conversion, refuse_unequal
from geoembz._convert.raster_conversion import RasterConversion
from geoembz._convert.remembered import RememberedSource
from geoembz._convert.runner import Progress
from geoembz._convert.summary import ConvertSummary
from geoembz._convert.table_conversion import convert_table
from geoembz._convert.table_options import TableOptions, refuse_raster_options
from geoembz._convert.times import parse_date
from geoembz._convert.workers import absolute, check_scheduler, open_workers
from geoembz._util.threads import worker_count
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError
from geoembz.sources import Overlap, ReadOptions, Source, traits_of
from geoembz.sources.inputs import table_files
from geoembz.sources.tables import open_table
from geoembz.store.conventions import UNKNOWN_MODEL, Layout, check_model

FIT_SAMPLES = 65_536
"""Pixels that an encoding is fitted on, by default."""


def convert(
    source: Inputs,
    store: str | Path,
    *,
    recipe: str | Recipe | None = None,
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
    transform: Sequence[float] | None = None,
    like: str | Path | None = None,
    dims: str | Sequence[str] | None = None,
    time: str | None = None,
    product: str | None = None,
    overlap: Overlap | None = None,
    resample: str | None = None,
    skip_bad: bool = False,
    grid: bool = False,
    grid_crs: str | None = None,
    vector: str | None = None,
    model: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    checksum: bool = False,
    check: bool = False,
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
        xarray DataArray or Dataset; an array of NumPy, dask or PyTorch, or in ``.npy`` or ``.npz``,
        with `like` or with `crs` and `transform`; or a `Source`. Several inputs of one CRS become a
        mosaic, inputs of several CRSs child groups of one store, with one encoding. Or a table:
        Parquet or CSV, one file or several with the same columns, named in the same ways; `chunk`
        and `shard` are then rows.
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
    transform
        Of an array, a Zarr group or an xarray object: affine coefficients ``(a, b, c, d, e, f)``
        from pixel corners to CRS units, or an ``affine.Affine``, in place of its coordinates.
    like
        A raster with the same pixels, which says where such an input lies.
    dims
        Of a plain array: names of its axes in their order, such as ``"band,y,x"``; None where the
        shape of `like` tells them.
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
    vector
        Of a table: the column that holds the vectors, or what its numbered columns begin with,
        such as ``ndvi_``; needed where there are several.
    model
        URI of the model that made the embeddings; None for the product's.
    license
        Licence of the embeddings, as an SPDX name or URL; None for the product's.
    checksum
        Read the input files once more and record the SHA-256 of each in the provenance.
    check
        Compare the finished store with the inputs at 400 random pixels, each looked up by its
        longitude and latitude along a path that shares no code with the conversion: rasters that
        rasterio opens, and xarray objects.
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
    destination = Destination.check(store, overwrite=overwrite, breaks_lock=break_lock)
    asked = _asked_recipe(recipe, pca, quantizer)
    fixed = fixed_encoding(basis, asked)
    tables = None if grid or grid_crs else table_files(source)
    if tables is not None:
        raster_options = {
            "layout codec": layout != "plain",
            "nodata": nodata is not None,
            "transform": transform is not None,
            "like": like is not None,
            "dims": dims is not None,
            "shard none": isinstance(shard, str),
            "prefix_chunks": prefix_chunks is not None,
            "time": time is not None,
            "product": product is not None,
            "overlap": overlap is not None,
            "resample": resample is not None,
            "skip_bad": skip_bad,
            "scheduler": scheduler is not None,
            "check": check,
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
        table = open_table(tables, crs=crs, vector=vector)
        check_columns(fixed, table.name, table.band_names)
        return convert_table(table, destination, options, progress)
    date = None if time is None else parse_date(time)
    reading = ReadOptions(
        nodata=nodata,
        crs=crs,
        transform=transform,
        like=like,
        dims=dims,
        product=product,
        year=None if date is None else int(date[:4]),
        overlap=overlap,
        resample=resample,
        skip_bad=skip_bad,
        grid=grid,
        grid_crs=grid_crs,
        vector=vector,
        checksum=checksum,
    )
    if check:
        refuse_unequal(overlap, resample, is_placed=like is not None or transform is not None)
    grids = open_inputs(source, reading)
    traits = traits_of(next(iter(grids.values())))
    chosen = asked or Recipe.parse(traits.recipe or "int8")
    for raster in grids.values():
        check_dimension(raster.name, raster.dimension, chosen, fixed)
    grids = {name: in_order_of(fixed, raster) for name, raster in grids.items()}
    conversion = partial(
        RasterConversion,
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
            summary = convert_grids(grids, destination, conversion, fixed, progress, started)
        else:
            (raster,) = grids.values()
            if scheduler is None and _is_remote(raster):  # the same process samples and converts
                raster = RememberedSource(raster)
                conversion = partial(conversion, first_read=raster.first_read)
            only = conversion(source=raster, fixed=fixed)
            summary = only.run(destination, progress, started)
    return check_conversion(summary, source, grids, reading, date) if check else summary


def _asked_recipe(
    recipe: str | Recipe | None, pca: int | None, quantizer: str | None
) -> Recipe | None:
    """Return the recipe that the options spell; None where they say nothing."""
    if recipe is not None:
        if pca is not None or quantizer is not None:
            raise InvalidConfigError(
                f"recipe {str(recipe)!r} says projection and quantizer already; leave out pca and "
                "the quantizer, or the recipe"
            )
        return recipe if isinstance(recipe, Recipe) else Recipe.parse(recipe)
    if pca is None and quantizer is None:
        return None
    projection = None if pca is None else "pca"
    return Recipe(quantizer or "int8", projection=projection, n_components=pca)


def _is_remote(source: Source) -> bool:
    """Whether reading a block again takes the network; here it takes less than its memory does."""
    return any("://" in info.uri for info in source.info)
