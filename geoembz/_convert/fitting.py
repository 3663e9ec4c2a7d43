"""Fit an encoding, without a store."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Unpack

from geoembz._convert.inputs import Inputs, open_inputs
from geoembz._convert.options import (
    FitKeywords,
    FitOptions,
    Groups,
    StorageOptions,
    gather,
    refuse_keywords,
)
from geoembz._convert.raster_conversion import RasterConversion, fit_grids
from geoembz._convert.table_conversion import TableConversion
from geoembz._util.arrays import as_numpy
from geoembz._util.threads import worker_count
from geoembz._work.executors import ThreadWorkers
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions, Source
from geoembz.sources.arrays import is_array
from geoembz.sources.base import names_of, traits_of
from geoembz.sources.inputs import table_files
from geoembz.sources.tables import TableSource, open_table
from geoembz.store.conventions import UNKNOWN_MODEL


def fit(
    samples: Inputs,
    recipe: str | Recipe | None = None,
    *,
    read: ReadOptions | None = None,
    fit: FitOptions | None = None,
    workers: int | None = None,
    **flat: Unpack[FitKeywords],
) -> Encoding:
    """Fit an encoding to vectors, to write stores with.

    Of a raster, a table or several it is the encoding that `geoembz.convert` fits with the same
    options. Vectors that come in batches are for `geoembz.Fitter`.

    Parameters
    ----------
    samples
        Vectors ``(n, dimension)``, or what `geoembz.convert` takes.
    recipe
        A `Recipe` or its name, such as ``pca64-int8``; of what `convert` takes, None is ``int8``,
        or what keeps the product's own codes.
    read, fit
        How inputs are read, and how the encoding is fitted.
    workers
        Blocks read at once; None for one per core.
    **flat
        Any field of `ReadOptions`, and `seed`, `fit_samples`, `pca` or `quantizer`.

    Returns
    -------
    encoding
        With the names of the bands that it was fitted on.

    Raises
    ------
    InvalidConfigError
        If options cannot work, or contradict each other.
    SourceError
        If an input cannot be read.
    NoValidPixelsError
        If too few vectors are finite.

    Examples
    --------
    >>> samples = np.random.default_rng(0).normal(size=(500, 16))
    >>> encoding = geoembz.fit(samples, "pca4-int8", seed=1)
    >>> encoding.recipe, encoding.dimension, encoding.report.n_samples
    ('pca4-int8', 16, 500)
    """
    refuse_keywords("fit", flat, FitKeywords)
    groups = gather("fit", flat, read, fit)
    asked = groups.fit.recipe(recipe)
    if is_array(samples) and len(samples.shape) == 2:  # type: ignore[union-attr]
        if asked is None:
            raise InvalidConfigError("fit: no recipe; expected one, such as 'pca64-int8'")
        return Encoding.fit(as_numpy(samples, "samples"), asked, groups.fit.seed)
    tables = None if groups.read.grid else table_files(samples)
    if tables is not None:
        table = open_table(tables, crs=groups.read.crs, vector=groups.read.vector)
        return _fit_table(table, asked, groups, worker_count(workers))
    return _fit_rasters(open_inputs(samples, groups.read), asked, groups, worker_count(workers))


def _fit_table(table: TableSource, asked: Recipe | None, groups: Groups, workers: int) -> Encoding:
    recipe = asked or Recipe.parse(table.traits.recipe or "int8")
    encoding, _ = TableConversion(source=table, **_shared(recipe, groups, workers)).fit_encoding()
    return replace(encoding, band_names=table.band_names)


def _fit_rasters(
    grids: Mapping[str, Source], asked: Recipe | None, groups: Groups, workers: int
) -> Encoding:
    first = next(iter(grids.values()))
    recipe = asked or Recipe.parse(traits_of(first).recipe or "int8")
    shared = _shared(recipe, groups, workers)
    parts = {
        name: RasterConversion(source=each, pool=ThreadWorkers(workers), date=None, **shared)
        for name, each in grids.items()
    }
    encoding, _ = fit_grids(parts)
    return replace(encoding, band_names=names_of(first))


def _shared(recipe: Recipe, groups: Groups, workers: int) -> dict[str, Any]:
    """Return what every conversion that is only to fit is made with."""
    return {
        "recipe": recipe,
        "fixed": None,
        "read": groups.read,
        "fit": groups.fit,
        "storage": StorageOptions(),
        "workers": workers,
        "model": UNKNOWN_MODEL,
        "license": None,
        "metric": None,
    }
