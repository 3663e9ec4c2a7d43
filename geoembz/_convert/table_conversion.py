"""Convert a table of embeddings to a table store.

Three passes over the input: its small columns, for the order of the rows; a sample, for the fit;
and everything, encoded and sorted by shard. Then every shard is put in order and written.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.conversion import Conversion, fit_once
from geoembz._convert.outlook import Outlook, outlook_of_table
from geoembz._convert.sampling import PixelRoles
from geoembz._convert.site import Build
from geoembz._convert.summary import ConvertSummary
from geoembz._convert.table_record import table_attributes, table_footer
from geoembz._convert.table_rows import RowFormat, Spill, numeric_columns
from geoembz._convert.table_shards import (
    TableEncoder,
    chunk_bounds,
    find_finished,
    spill_encoded,
    spill_folder,
    write_table_shards,
)
from geoembz._geo.grid import Window
from geoembz._util.progress import Progress
from geoembz._work.executors import merge_stored
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import FidelitySums
from geoembz.errors import NoValidPixelsError, StoreError
from geoembz.sources.tables import Survey, TableSource
from geoembz.store import TableReader
from geoembz.store.layout import TablePlan, choose_rows
from geoembz.store.table_writer import TableWriter

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
        blocks = [_choose_rows(roles, *part) for part in _heads(source, roles.seed, n_samples)]
    if 2 * sum(block.shape[1] for block in blocks) < min(n_samples, roles.shape[0]):
        share = n_samples / roles.shape[0]
        blocks = [
            _choose_rows(
                roles, batch.start, batch.vectors, int(np.ceil(share * len(batch.vectors)))
            )
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


def _choose_rows(
    roles: PixelRoles, start: int, vectors: NDArray[Any], count: int
) -> NDArray[np.float32]:
    """Return at most `count` finite rows that are not held out, as columns."""
    keys = roles.keys(Window(start, 0, len(vectors), 1))
    finite = np.isfinite(vectors).all(axis=1)
    chosen = roles.fit_pixels(keys, finite, count)
    with np.errstate(over="ignore"):
        sample = vectors[chosen].astype(np.float32)
    return np.ascontiguousarray(sample[np.isfinite(sample).all(axis=1)].T)


@dataclass(frozen=True, kw_only=True)
class TableConversion(Conversion[TableSource]):
    """The conversion of a table."""

    unit: ClassVar[str] = "row"

    def draw(self, n_samples: int) -> list[NDArray[np.float32]]:
        """Draw so many rows that are not held out."""
        return draw_rows(self.source, self.roles, n_samples)

    def write(self, build: Build, progress: Progress | None) -> None:
        """Write the store, or what is missing of it."""
        encoding, centre = fit_once(build, self.fit_encoding)
        writer = TableWriter(build.tree, self._table_plan(encoding))
        fidelity, valid = self._write_rows(writer, build, centre, progress)
        attributes = table_attributes(
            self.source,
            self.survey,
            writer.plan,
            fidelity,
            valid,
            model=self.model,
            license=self.license,
            metric=self.metric,
            checksum=self.read.checksum,
        )
        done = find_finished(build.journal)
        starts = [shard.row for shard in writer.plan.shards()]
        if len(done) < len(starts):
            raise StoreError(
                f"{build.fence.url}: {len(starts) - len(done):,} of {len(starts):,} "
                "finished shards are gone or cut; expected nobody else to change the destination; "
                "run the same command again: it writes them anew"
            )
        footer = table_footer(self.source, attributes)
        bounds = chunk_bounds(done)
        writer.finish(
            attributes,
            bounds,
            starts,
            footer,
            merge_stored(shard.stored for shard in done.values()),
            build.fence,
        )

    def outlook(self, encoding: Encoding, done: int) -> Outlook:
        """Return what is read and written."""
        return outlook_of_table(self.source, self._table_plan(encoding), done, self.workers)

    def summary(self, url: str, started: float) -> ConvertSummary:
        """Return the summary of the store that is there now."""
        reader = TableReader.open(url)
        return ConvertSummary.of(
            url,
            reader,
            reader.attributes.rows,
            vector_bytes=self.source.dimension * self.source.dtype.itemsize,
            started=started,
            unit="row",
        )

    @cached_property
    def survey(self) -> Survey:
        """Size and places of the rows."""
        return self.source.survey()

    @cached_property
    def roles(self) -> PixelRoles:
        """Which rows are held out."""
        return PixelRoles(self.fit.seed, (self.survey.n_rows, 1))

    def _table_plan(self, encoding: Encoding) -> TablePlan:
        shard = self.storage.shard
        chunk, shard = choose_rows(
            self.survey.n_rows,
            encoding.bytes_per_vector,
            other_bytes=self.source.other_bytes,
            chunk=self.storage.chunk,
            shard=shard if isinstance(shard, int) else None,
        )
        columns = numeric_columns(self.source.schema, self.survey.complete)
        return TablePlan(encoding, self.survey.n_rows, chunk, shard, columns, self.storage.archive)

    def _write_rows(
        self,
        writer: TableWriter,
        build: Build,
        centre: NDArray[np.float64],
        progress: Progress | None,
    ) -> tuple[FidelitySums, int]:
        """Encode all rows and write the shards that the journal lacks; see `spill_encoded`."""
        plan, workers = writer.plan, self.workers
        form = self._format(plan)
        encoder = TableEncoder(plan.encoding, self.roles, centre)
        finished = frozenset(find_finished(build.journal))
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

    def plan(self) -> dict[str, Any]:
        """Return everything that the store's bytes depend on, as the journal records it."""
        return super().plan() | {
            "rows": self.survey.n_rows,
            "crs": self.source.crs,
            "vector": list(self.source.vector),
        }
