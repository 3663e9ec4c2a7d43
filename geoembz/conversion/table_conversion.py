"""Convert a table of embeddings to a table store.

Three passes over the input: its small columns, for the order of the rows; a sample, for the fit;
and everything, encoded and spilled by shard. Then every shard is put in order and written.
"""

import time
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._version import __version__
from geoembz.conventions import UNKNOWN_MODEL, check_model
from geoembz.conversion.basis import check_coverage, check_dimension
from geoembz.conversion.destination import Destination
from geoembz.conversion.runner import Progress
from geoembz.conversion.sampling import PixelRoles
from geoembz.conversion.spill import Spill
from geoembz.conversion.summary import ConvertSummary
from geoembz.conversion.table_encoding import TableEncoder, spill_encoded
from geoembz.conversion.table_options import TableOptions
from geoembz.conversion.table_record import table_attributes, table_footer, table_summary
from geoembz.conversion.table_rows import RowFormat, numeric_columns
from geoembz.conversion.table_sampling import draw_rows
from geoembz.conversion.table_shards import chunk_bounds, spill_folder, write_table_shards
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import NoValidPixelsError
from geoembz.evaluation import FidelitySums
from geoembz.sources.tables import Survey, TableSource
from geoembz.store import Journal
from geoembz.store.tables import TablePlan, TableWriter, choose_rows


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
        journal = Journal(self.destination.tree)
        if self.destination.replaces and not journal.matches(self._plan()):
            self.destination.tree.remove()
        begun = journal.exists()
        try:
            encoding, centre = self._prepare(journal)
            writer = TableWriter(self.destination.building, self._table_plan(encoding))
            fidelity, valid = self._write(writer, journal, centre, progress)
        except Exception:
            if not begun and not journal.finished():
                self.destination.discard()
            raise
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
        bounds = chunk_bounds(writer, journal)
        starts = [shard.row for shard in writer.plan.shards()]
        writer.finish(attributes, bounds, starts, table_footer(self.source, attributes))
        journal.clear()
        self.destination.swap()
        return table_summary(self.source, self.destination.url, encoding, attributes, started)

    @cached_property
    def survey(self) -> Survey:
        return self.source.survey()

    @cached_property
    def roles(self) -> PixelRoles:
        return PixelRoles(self.options.seed, (self.survey.n_rows, 1))

    @property
    def model(self) -> str:
        return self.options.model or self.source.model or UNKNOWN_MODEL

    @property
    def recipe(self) -> Recipe:
        return self.options.recipe or Recipe.parse(self.source.product.recipe or "int8")

    def _prepare(self, journal: Journal) -> tuple[Encoding, NDArray[np.float64]]:
        """Fit, or take up the fit of an interrupted conversion."""
        if journal.exists():
            return journal.resume(self._plan())
        try:
            sample = draw_rows(self.source, self.roles, self.options.fit_samples)
            if self.options.fixed is not None:
                check_coverage(
                    self.source.name,
                    self.options.fixed,
                    sample,
                    strict=self.options.strict_basis,
                )
            encoding = self.options.fixed or Encoding.fit_blocks(
                sample, self.recipe, self.source.dimension, self.options.seed
            )
        except NoValidPixelsError as error:
            raise NoValidPixelsError(f"{self.source.name}: {error}") from error
        total = np.sum([block.sum(axis=1, dtype=np.float64) for block in sample], axis=0)
        centre = total / sum(block.shape[1] for block in sample)
        journal.start(self._plan(), encoding, centre)
        return encoding, centre

    def _table_plan(self, encoding: Encoding) -> TablePlan:
        chunk, shard = choose_rows(
            self.survey.n_rows,
            encoding.bytes_per_vector,
            chunk=self.options.chunk,
            shard=self.options.shard,
        )
        columns = numeric_columns(self.source.schema, self.survey.complete)
        return TablePlan(encoding, self.survey.n_rows, chunk, shard, columns)

    def _write(
        self,
        writer: TableWriter,
        journal: Journal,
        centre: NDArray[np.float64],
        progress: Progress | None,
    ) -> tuple[FidelitySums, int]:
        """Encode all rows and write the shards that the journal lacks; see `spill_encoded`."""
        plan, workers = writer.plan, self.options.workers
        form = self._format(plan)
        encoder = TableEncoder(plan.encoding, self.roles, centre)
        finished = frozenset(row for row, _ in journal.finished())
        with spill_folder(self.destination.tree) as folder:
            spill = Spill(folder, form.spilled, plan.shard)
            found = spill_encoded(
                self.source.batches(), self.survey.places, encoder, form, spill, finished, workers
            )
            write_table_shards(writer, journal, form, spill, workers, progress)
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
            "sources": [asdict(info) for info in self.source.info],
            "rows": self.survey.n_rows,
            "crs": self.source.crs,
            "recipe": str(self.recipe if fixed is None else fixed.recipe),
            "basis": None if fixed is None else fixed.hash,
            "fit_samples": options.fit_samples,
            "seed": options.seed,
            "checksum": options.checksum,
            "chunk": options.chunk,
            "shard": options.shard,
            "model": self.model,
            "license": options.license,
        }
