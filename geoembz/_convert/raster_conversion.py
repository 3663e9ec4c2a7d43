"""The conversion of one raster: sample, fit, write every shard, write the metadata."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.basis import check_coverage
from geoembz._convert.destination import Destination
from geoembz._convert.executors import Progress, Workers, run_tasks
from geoembz._convert.options import FitOptions, StorageOptions
from geoembz._convert.record import store_attributes, summarise
from geoembz._convert.sampling import PixelRoles, draw_sample, sample_mean
from geoembz._convert.shard_task import stored_objects, write_shards
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import ConvertSummary
from geoembz._geo.grid import Window
from geoembz._version import FORMAT_VERSION, __version__
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.sources import ReadOptions, Source, SourceData, check_vectors, names_of, traits_of
from geoembz.store import StorePlan, StoreReader, StoreWriter, choose_layout


@dataclass(frozen=True)
class RasterConversion:
    """The conversion of one grid.

    Parameters
    ----------
    source
        Where pixels come from.
    fixed
        The encoding to use; None to fit one by `recipe`.
    pool
        Converts the shards; `workers` threads of this process draw the sample.
    date
        As ``YYYY-MM-DD``; None for a store without a time axis.
    is_part
        One grid of several: the basis was already checked on all grids.
    first_read
        Reads a window for the sample; ``source.read`` unless given.
    recipe, read, fit, storage, workers, model, license
        As in `geoembz.convert`.
    """

    source: Source
    recipe: Recipe
    fixed: Encoding | None
    read: ReadOptions
    fit: FitOptions
    storage: StorageOptions
    workers: int
    pool: Workers
    model: str
    license: str | None
    date: str | None
    is_part: bool = False
    first_read: Callable[[Window], SourceData] | None = None

    def run(
        self, destination: Destination, progress: Progress | None, started: float
    ) -> ConvertSummary:
        """Convert to a destination; see `geoembz.convert`."""
        with Site(destination) as site:
            build = site.begin(self.options())
            if not build.is_complete:
                self.write(build, progress)
                site.finish()
        return self.summary(destination.url, started)

    def write(self, build: Build, progress: Progress | None) -> None:
        """Write the store, or what is missing of it; see `GridConversion.write`."""
        writer, centre = self._prepare(build)
        results = write_shards(
            self.source, writer, build, centre, self.fit.seed, self.pool, progress
        )
        written = summarise(self.source, results, checksum=self.read.checksum)
        attributes = store_attributes(
            self.source, writer.plan, written, model=self.model, license=self.license
        )
        writer.finish(attributes, stored_objects(results), build.fence)

    def _prepare(self, build: Build) -> tuple[StoreWriter, NDArray[np.float64]]:
        """Fit, or take up the fit of an interrupted conversion, and plan the store."""
        if build.journal.exists():
            encoding, centre = build.journal.resume(build.plan)
            return self._writer(build, encoding), centre
        encoding, centre = self._fit()
        writer = self._writer(build, encoding)
        build.fence.check()
        build.journal.start(build.plan, encoding, centre)
        return writer, centre

    def draw(self, n_samples: int) -> list[NDArray[np.float32]]:
        """Draw so many of the source's pixels, and refuse those that cannot be right."""
        roles = PixelRoles(self.fit.seed, self.source.grid.shape)
        run = partial(run_tasks, workers=self.workers)
        sample = draw_sample(self.source, roles, n_samples, run, self.first_read)
        check_vectors(self.source, sample, self.nodata)
        return sample

    def check_basis(self, basis: Encoding, sample: list[NDArray[np.float32]]) -> None:
        """Warn, or refuse under `strict_basis`, where the source lies outside a basis."""
        check_coverage(self.source.name, basis, sample, strict=self.fit.strict_basis)

    @property
    def nodata(self) -> str | None:
        """What replaced the nodata value of the source, as the journal records it."""
        return None if self.read.nodata is None else str(self.read.nodata)

    def _fit(self) -> tuple[Encoding, NDArray[np.float64]]:
        source = self.source
        try:
            sample = self.draw(self.fit.fit_samples)
            encoding = self.fixed or Encoding.fit_blocks(
                sample, self.recipe, source.dimension, self.fit.seed
            )
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{self.source.name}: {error}") from error
        if self.fixed is not None and not self.is_part:
            self.check_basis(self.fixed, sample)
        return encoding, sample_mean(encoding, sample)

    def _writer(self, build: Build, encoding: Encoding) -> StoreWriter:
        chunks = choose_layout(
            self.source.grid.shape,
            encoding.bytes_per_vector,
            self.source.block_shape,
            chunk=self.storage.chunk,
            shard=self.storage.shard,
            prefix=self._prefix(encoding),
        )
        dates = () if self.date is None else (self.date,)
        plan = StorePlan(encoding, chunks, self.storage.layout, dates)
        return StoreWriter(build.tree, plan)

    def _prefix(self, encoding: Encoding) -> int | None:
        """Return the stored numbers per vector in a chunk; None for all."""
        if self.storage.prefix_chunks is None:
            return None
        try:
            return encoding.prefix_length(self.storage.prefix_chunks)
        except InvalidConfigError as error:
            raise InvalidConfigError(f"prefix_chunks: {error}") from error

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

    def options(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        traits = traits_of(self.source)
        return {
            "software": __version__,
            "format": FORMAT_VERSION,
            "sources": [info.identity() for info in self.source.info],
            "date": self.date,
            "product": traits.product,
            "notes": list(traits.notes),
            "skipped": [uri for uri, _ in traits.skipped],
            "bands": list(names_of(self.source)),
            "shape": list(self.source.grid.shape),
            "transform": list(self.source.grid.transform),
            "recipe": str(self.recipe) if self.fixed is None else self.fixed.recipe,
            "basis": None if self.fixed is None else self.fixed.hash,
            "layout": self.storage.layout,
            "fit_samples": self.fit.fit_samples,
            "seed": self.fit.seed,
            "chunk": self.storage.chunk,
            "shard": self.storage.shard,
            "prefix_chunks": self.storage.prefix_chunks,
            "model": self.model,
            "license": self.license,
            "checksum": self.read.checksum,
            "nodata": self.nodata,
            "crs": self.read.crs,
        }
