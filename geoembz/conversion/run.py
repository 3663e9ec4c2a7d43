"""Convert: sample, fit, write every shard, write the metadata, say what it cost."""

import time
import warnings
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial, reduce
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._version import __version__
from geoembz.conventions import UNKNOWN_MODEL, Layout, StoreAttributes, check_model
from geoembz.conversion.destination import Destination
from geoembz.conversion.runner import Progress, run_tasks
from geoembz.conversion.sampling import PixelRoles, draw_sample
from geoembz.conversion.summary import ConvertSummary
from geoembz.conversion.task import ShardResult, ShardTask
from geoembz.encoding import Encoding, Recipe, coverage
from geoembz.errors import BasisWarning, EncodingError, InvalidConfigError, NoValidPixelsError
from geoembz.evaluation import FidelitySums
from geoembz.sources import Source, open_source
from geoembz.store import (
    DestinationLock,
    Journal,
    StorePlan,
    StoreReader,
    StoreWriter,
    choose_layout,
)
from geoembz.threads import single_threaded_blas, worker_count

FIT_SAMPLES = 65_536
"""Pixels that an encoding is fitted on, by default."""


def convert(
    source: str | Path | Source,
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
    nodata: float | str | None = None,
    crs: str | None = None,
    model: str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    workers: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> ConvertSummary:
    """Convert a raster of embeddings to a compressed Zarr store.

    The same input, options and seed give the same bytes. An interrupted conversion leaves a journal
    and nothing that opens as a store; the same call finishes it.

    Parameters
    ----------
    source
        Raster with one band per component: path, URL, or a `Source`.
    store
        Destination: path or fsspec URL.
    recipe
        Name of the recipe, such as ``l2-pca64-int4-lloyd`` or ``aef``; see `Recipe`.
    pca, quantizer
        A recipe in two words, instead of its name: the number of principal components to keep
        (None keeps the vectors as they are), and ``int8`` (the default), ``int4``, ``binary`` or
        ``float32``.
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
    nodata
        Replaces the declared nodata value; ``"none"`` says that there is none.
    crs
        Replaces the declared CRS.
    model
        URI of the model that made the embeddings.
    license
        Licence of the embeddings, as an SPDX name or URL.
    workers
        Shards converted at once; None for one per core.
    overwrite
        Replace a Zarr store at the destination, after the new one is complete.
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
    started = time.perf_counter()
    if fit_samples < 1:
        raise InvalidConfigError(f"fit_samples {fit_samples}; expected 1 or more")
    if seed < 0:
        raise InvalidConfigError(f"seed {seed}; expected 0 or more")
    workers = worker_count(workers)
    if workers < 1:
        raise InvalidConfigError(f"workers {workers}; expected 1 or more")
    check_model(model or UNKNOWN_MODEL)
    destination = Destination.check(store, overwrite=overwrite)
    asked = _asked_recipe(recipe, pca, quantizer)
    fixed = _fixed_encoding(basis, asked)
    raster = (
        open_source(source, nodata=nodata, crs=crs) if isinstance(source, str | Path) else source
    )
    chosen = asked or Recipe()
    _check_dimension(raster, chosen, fixed)
    conversion = _Conversion(
        source=raster,
        destination=destination,
        recipe=chosen,
        layout=layout,
        fit_samples=fit_samples,
        seed=seed,
        fixed=fixed,
        strict_basis=strict_basis,
        chunk=chunk,
        shard=shard,
        workers=workers,
        model=model or UNKNOWN_MODEL,
        license=license,
        nodata=None if nodata is None else str(nodata),
        crs=crs,
    )
    return conversion.run(progress, started)


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
    workers: int
    model: str
    license: str | None
    nodata: str | None
    crs: str | None

    def run(self, progress: Progress | None, started: float) -> ConvertSummary:
        with DestinationLock(self.destination.tree) as lock:
            writer, attributes = self._build(lock, progress)
        self.destination.swap()
        return self._summary(writer.plan.encoding, attributes, started)

    def _build(
        self, lock: DestinationLock, progress: Progress | None
    ) -> tuple[StoreWriter, StoreAttributes]:
        """Write the store, or what is missing of it; nothing but the store is left."""
        journal = Journal(self.destination.tree)
        if self.destination.replaces and not journal.matches(self._options()):
            self.destination.tree.remove()  # what an abandoned overwrite left
            lock.take()
        begun = journal.exists()
        try:
            writer, centre = self._prepare(journal)
            results = self._write(writer, journal, centre, progress)
        except Exception:
            lock.release()
            if not begun and not journal.finished():
                self.destination.discard()
            raise
        attributes = self._attributes(writer.plan, results)
        writer.finish(attributes)
        lock.release()
        journal.clear()
        return writer, attributes

    def _prepare(self, journal: Journal) -> tuple[StoreWriter, NDArray[np.float64]]:
        """Fit, or take up the fit of an interrupted conversion, and plan the store."""
        options = self._options()
        if journal.exists():
            encoding, centre = journal.resume(options)
            return self._writer(encoding), centre
        encoding, centre = self._fit()
        writer = self._writer(encoding)
        journal.start(options, encoding, centre)
        return writer, centre

    def _fit(self) -> tuple[Encoding, NDArray[np.float64]]:
        source = self.source
        roles = PixelRoles(self.seed, source.grid.shape)
        try:
            sample = draw_sample(
                source, roles, self.fit_samples, partial(run_tasks, workers=self.workers)
            )
            encoding = self.fixed or Encoding.fit_blocks(
                sample, self.recipe, source.dimension, self.seed
            )
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{self.source.name}: {error}") from error
        if self.fixed is not None:
            self._check_coverage(np.concatenate(sample, axis=1))
        sums = [encoding.target(block).sum(axis=1, dtype=np.float64) for block in sample]
        return encoding, np.sum(sums, axis=0) / sum(block.shape[1] for block in sample)

    def _check_coverage(self, sample: NDArray[np.float32]) -> None:
        """Warn, or refuse under `strict_basis`, where the source lies outside the basis."""
        if self.fixed is None:
            return
        with single_threaded_blas():
            found = coverage(self.fixed, sample)
        if found.is_sufficient:
            return
        message = f"{self.source.name}: the basis {found}; fit one on data like these"
        if self.strict_basis:
            raise EncodingError(message)
        warnings.warn(f"{message}, or accept the loss", BasisWarning, stacklevel=5)

    def _writer(self, encoding: Encoding) -> StoreWriter:
        chunks = choose_layout(
            self.source.grid.shape,
            encoding.bytes_per_vector,
            self.source.block_shape,
            chunk=self.chunk,
            shard=self.shard,
        )
        return StoreWriter(self.destination.building, StorePlan(encoding, chunks, self.layout))

    def _write(
        self,
        writer: StoreWriter,
        journal: Journal,
        centre: NDArray[np.float64],
        progress: Progress | None,
    ) -> list[ShardResult]:
        """Write the shards that the journal lacks; return the results of all, in order."""
        shards = list(writer.plan.chunks.shards())
        done = journal.finished()
        missing = [shard for shard in shards if (shard.row, shard.col) not in done]
        roles = PixelRoles(self.seed, self.source.grid.shape)
        task = ShardTask(self.source, writer, journal, roles, centre)
        fresh = run_tasks(task, missing, workers=self.workers, progress=progress)
        results = {key: ShardResult.from_json(document) for key, document in done.items()}
        results |= {(shard.row, shard.col): new for shard, new in zip(missing, fresh, strict=True)}
        return [results[shard.row, shard.col] for shard in shards]

    def _attributes(self, plan: StorePlan, results: Sequence[ShardResult]) -> StoreAttributes:
        encoding, grid = plan.encoding, self.source.grid
        fidelity = reduce(FidelitySums.merge, (result.fidelity for result in results))
        return StoreAttributes(
            grid=grid,
            encoding=encoding.config(),
            encoding_hash=encoding.hash,
            layout=plan.layout,
            original_dtype=str(self.source.dtype),
            stored_dtype=str(encoding.code_dtype),
            model=self.model,
            sources=tuple(info.provenance() for info in self.source.info),
            fit=asdict(encoding.report),
            fidelity=fidelity.summary(),
            pixels={
                "total": grid.window.size,
                "valid": sum(result.valid_pixels for result in results),
            },
            software=f"geoembz {__version__}",
            license=self.license,
        )

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
            seconds=time.perf_counter() - started,
        )

    def _options(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        return {
            "software": __version__,
            "sources": [asdict(info) for info in self.source.info],
            "shape": list(self.source.grid.shape),
            "recipe": str(self.recipe) if self.fixed is None else self.fixed.recipe,
            "basis": None if self.fixed is None else self.fixed.hash,
            "layout": self.layout,
            "fit_samples": self.fit_samples,
            "seed": self.seed,
            "chunk": self.chunk,
            "shard": self.shard,
            "model": self.model,
            "license": self.license,
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
    if str(path).endswith(".npz"):
        return Encoding.load(path)
    return StoreReader.open(str(path)).encoding


def _check_dimension(source: Source, recipe: Recipe, fixed: Encoding | None) -> None:
    if fixed is not None and fixed.dimension != source.dimension:
        raise EncodingError(
            f"{source.name}: vectors of {source.dimension} components, but the basis is for "
            f"{fixed.dimension}; use a basis that was fitted on the same model's embeddings"
        )
    if fixed is None:
        recipe.check_dimension(source.name, source.dimension)
