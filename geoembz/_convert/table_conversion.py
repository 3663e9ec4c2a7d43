"""Convert a table of embeddings to a table store.

Three passes over the input: its small columns, for the order of the rows; a sample, for the fit;
and everything, encoded and sorted by shard. Then every shard is put in order and written.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.basis import check_coverage, check_dimension
from geoembz._convert.destination import Destination
from geoembz._convert.executors import Progress
from geoembz._convert.options import TableOptions
from geoembz._convert.sampling import PixelRoles
from geoembz._convert.site import Build, Site
from geoembz._convert.summary import ConvertSummary
from geoembz._convert.table_record import table_attributes, table_footer
from geoembz._convert.table_rows import RowFormat, Spill, numeric_columns
from geoembz._convert.table_shards import (
    TableEncoder,
    chunk_bounds,
    finished_shards,
    spill_encoded,
    spill_folder,
    stored_rows,
    write_table_shards,
)
from geoembz._geo.grid import Window
from geoembz._version import FORMAT_VERSION, __version__
from geoembz.encoding import Encoding, Recipe
from geoembz.encoding._fidelity import FidelitySums
from geoembz.errors import NoValidPixelsError, StoreError
from geoembz.sources.tables import Survey, TableSource
from geoembz.store import TablePlan, TableReader, TableWriter, choose_rows
from geoembz.store.conventions import UNKNOWN_MODEL, check_model

FEWEST_PARTS, MOST_PARTS = 8, 64
"""Row groups to begin reading in. Below the first number the whole table is read."""

_READ_SHARE = 8
"""At most one row in so many is read for the sample, where the row groups allow it."""


def draw_rows(source: TableSource, roles: PixelRoles, n_samples: int) -> list[NDArray[np.float32]]:
    """Return the fit's sample, float32 blocks ``(dimension, n)``, all finite.

    A row group can only be read from its beginning, so rows come from the heads of up to 64 of
    them; a table of few row groups is read once from front to back.

    Parameters
    ----------
    source
        The table.
    roles
        Which rows are held out, and the keys that choose the others.
    n_samples
        How many rows are wanted.

    Raises
    ------
    NoValidPixelsError
        If no row holds a vector.
    """
    blocks = []
    if len(source.group_rows) >= FEWEST_PARTS:
        blocks = [_chosen(roles, *part) for part in _heads(source, roles.seed, n_samples)]
    if 2 * sum(block.shape[1] for block in blocks) < min(n_samples, roles.shape[0]):
        share = n_samples / roles.shape[0]
        blocks = [
            _chosen(roles, batch.start, batch.vectors, int(np.ceil(share * len(batch.vectors))))
            for batch in source.batches()
        ]
    if not any(block.shape[1] for block in blocks):
        raise NoValidPixelsError(
            "no row holds a vector: every one is missing, NaN or infinite; expected embeddings"
        )
    return blocks


def _heads(
    source: TableSource, seed: int, n_samples: int
) -> Iterator[tuple[int, NDArray[Any], int]]:
    """Yield first row, vectors and rows wanted of the heads of one group of each equal run."""
    counts = source.group_rows
    n_parts = min(len(counts), MOST_PARTS)
    edges = np.linspace(0, len(counts), n_parts + 1).astype(int)
    rng = np.random.default_rng(seed)
    share = -(-n_samples // n_parts)
    for low, high in pairwise(edges):
        group = int(rng.integers(low, high))
        depth = min(counts[group], max(share + share // 4, counts[group] // _READ_SHARE))
        parts = list(source.head(group, depth))
        vectors = np.concatenate([values for _, values in parts])[:depth]
        yield parts[0][0], vectors, share


def _chosen(
    roles: PixelRoles, start: int, vectors: NDArray[Any], count: int
) -> NDArray[np.float32]:
    """Return at most `count` finite rows that are not held out, as columns."""
    keys = roles.keys(Window(start, 0, len(vectors), 1))
    finite = np.isfinite(vectors).all(axis=1)
    chosen = roles.fit_pixels(keys, finite, count)
    with np.errstate(over="ignore"):
        sample = vectors[chosen].astype(np.float32)
    return np.ascontiguousarray(sample[np.isfinite(sample).all(axis=1)].T)


def convert_table(
    source: TableSource,
    destination: Destination,
    options: TableOptions,
    progress: Progress | None = None,
) -> ConvertSummary:
    """Convert a table; the parameters have been checked by `convert`.

    Parameters
    ----------
    source
        The table.
    destination
        Where its store will be.
    options
        How.
    progress
        Called with the numbers of finished and of all shards.

    Raises
    ------
    SourceError
        If the table cannot be read, or its vectors make no sense.
    EncodingError
        If the basis is for vectors of another dimension.
    """
    return _TableConversion(source, destination, options).run(progress)


@dataclass(frozen=True)
class _TableConversion:
    source: TableSource
    destination: Destination
    options: TableOptions

    def run(self, progress: Progress | None) -> ConvertSummary:
        started = time.perf_counter()
        check_model(self.model)
        check_dimension(self.source.name, self.source.dimension, self.recipe, self.options.fixed)
        with Site(self.destination) as site:
            build = site.begin(self._plan())
            if not build.is_complete:
                self._build(build, progress)
                site.finish()
        return self._summary(started)

    def _build(self, build: Build, progress: Progress | None) -> None:
        """Write the store, or what is missing of it."""
        encoding, centre = self._prepare(build)
        writer = TableWriter(build.tree, self._table_plan(encoding))
        fidelity, valid = self._write(writer, build, centre, progress)
        attributes = table_attributes(
            self.source,
            self.survey,
            writer.plan,
            fidelity,
            valid,
            model=self.model,
            license=self.options.license,
            checksum=self.options.checksum,
        )
        done = finished_shards(build.journal)
        starts = [shard.row for shard in writer.plan.shards()]
        if len(done) < len(starts):
            raise StoreError(
                f"{self.destination.url}: {len(starts) - len(done):,} of {len(starts):,} "
                "finished shards are gone or cut; expected nobody else to change the destination; "
                "run the same command again: it writes them anew"
            )
        footer = table_footer(self.source, attributes)
        bounds = chunk_bounds(done)
        writer.finish(attributes, bounds, starts, footer, stored_rows(done), build.fence)

    def _summary(self, started: float) -> ConvertSummary:
        reader = TableReader.open(self.destination.url)
        return ConvertSummary.of(
            self.destination.url,
            reader,
            reader.attributes.rows,
            vector_bytes=self.source.dimension * self.source.dtype.itemsize,
            started=started,
            unit="row",
        )

    @cached_property
    def survey(self) -> Survey:
        return self.source.survey()

    @cached_property
    def roles(self) -> PixelRoles:
        return PixelRoles(self.options.fit.seed, (self.survey.n_rows, 1))

    @property
    def model(self) -> str:
        return self.options.model or self.source.model or UNKNOWN_MODEL

    @property
    def recipe(self) -> Recipe:
        return self.options.recipe or Recipe.parse(self.source.traits.recipe or "int8")

    @property
    def _shard_rows(self) -> int | None:
        shard = self.options.storage.shard
        return shard if isinstance(shard, int) else None

    def _prepare(self, build: Build) -> tuple[Encoding, NDArray[np.float64]]:
        """Fit, or take up the fit of an interrupted conversion."""
        if build.journal.exists():
            return build.journal.resume(build.plan)
        try:
            sample = draw_rows(self.source, self.roles, self.options.fit.fit_samples)
            if self.options.fixed is not None:
                check_coverage(
                    self.source.name,
                    self.options.fixed,
                    sample,
                    strict=self.options.fit.strict_basis,
                )
            encoding = self.options.fixed or Encoding.fit_blocks(
                sample, self.recipe, self.source.dimension, self.options.fit.seed
            )
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{self.source.name}: {error}") from error
        total = np.sum([block.sum(axis=1, dtype=np.float64) for block in sample], axis=0)
        centre = total / sum(block.shape[1] for block in sample)
        build.fence.check()
        build.journal.start(build.plan, encoding, centre)
        return encoding, centre

    def _table_plan(self, encoding: Encoding) -> TablePlan:
        chunk, shard = choose_rows(
            self.survey.n_rows,
            encoding.bytes_per_vector,
            other_bytes=self.source.other_bytes,
            chunk=self.options.storage.chunk,
            shard=self._shard_rows,
        )
        columns = numeric_columns(self.source.schema, self.survey.complete)
        return TablePlan(encoding, self.survey.n_rows, chunk, shard, columns)

    def _write(
        self,
        writer: TableWriter,
        build: Build,
        centre: NDArray[np.float64],
        progress: Progress | None,
    ) -> tuple[FidelitySums, int]:
        """Encode all rows and write the shards that the journal lacks; see `spill_encoded`."""
        plan, workers = writer.plan, self.options.workers
        form = self._format(plan)
        encoder = TableEncoder(plan.encoding, self.roles, centre)
        finished = frozenset(finished_shards(build.journal))
        with spill_folder(build.tree) as folder:
            spill = Spill(folder, form.spilled, plan.shard, plan.encoding.bytes_per_vector)
            found = spill_encoded(
                self.source.batches(), self.survey.places, encoder, form, spill, finished, workers
            )
            write_table_shards(writer, build, form, spill, workers, progress)
        return found

    def _format(self, plan: TablePlan) -> RowFormat:
        encoding = plan.encoding
        return RowFormat(
            self.source.schema,
            plan.columns,
            encoding.code_length,
            encoding.code_dtype,
            self.source.geometry,
        )

    def _plan(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        options = self.options
        fixed = options.fixed
        return {
            "software": __version__,
            "format": FORMAT_VERSION,
            "sources": [info.identity() for info in self.source.info],
            "rows": self.survey.n_rows,
            "crs": self.source.crs,
            "vector": list(self.source.vector),
            "recipe": str(self.recipe if fixed is None else fixed.recipe),
            "basis": None if fixed is None else fixed.hash,
            "fit_samples": options.fit.fit_samples,
            "seed": options.fit.seed,
            "checksum": options.checksum,
            "chunk": options.storage.chunk,
            "shard": self._shard_rows,
            "model": self.model,
            "license": options.license,
        }
