"""Convert a table of embeddings to a table store.

Three passes over the input: its small columns, for the order of the rows; a sample, for the fit;
and everything, encoded and spilled by shard. Then every shard is put in order and written.
"""

import shutil
import tempfile
import time
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._version import __version__
from geoembz.conventions import UNKNOWN_MODEL, check_model
from geoembz.conversion.basis import check_coverage
from geoembz.conversion.chips import chip_layout
from geoembz.conversion.destination import Destination
from geoembz.conversion.runner import Progress, run_tasks
from geoembz.conversion.sampling import PixelRoles
from geoembz.conversion.spill import Spill
from geoembz.conversion.summary import ConvertSummary
from geoembz.conversion.table_rows import GEOMETRY, VALID, RowFormat, X, Y, numeric_columns
from geoembz.conversion.table_sampling import draw_rows
from geoembz.encoding import Encoding, Recipe
from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError
from geoembz.evaluation import FidelitySums
from geoembz.geoparquet import write_emb, write_geo
from geoembz.grid import Window
from geoembz.hilbert import hilbert_order
from geoembz.quantization import Codes
from geoembz.sources import with_checksum
from geoembz.sources.tables import Survey, TableBatch, TableSource
from geoembz.store import Journal
from geoembz.store.journal import FOLDER
from geoembz.store.tables import (
    TableAttributes,
    TablePlan,
    TableReader,
    TableWriter,
    choose_rows,
)
from geoembz.store.tables.documents import TABLE
from geoembz.threads import single_threaded_blas


@dataclass(frozen=True)
class TableOptions:
    """What a conversion of a table is told.

    Parameters
    ----------
    recipe
        What to fit; None for the product's own, where it has one, else ``int8``.
    fixed, strict_basis
        An encoding to use instead of fitting one, and whether to refuse data outside it.
    fit_samples, seed
        Rows to fit on, and the seed of every random choice.
    chunk, shard
        Rows of a chunk and of a shard; see `choose_rows`.
    model, license
        As in `convert`; None for the model that the table names.
    checksum
        Whether to record the SHA-256 of the input files.
    workers
        Batches encoded, and shards written, at once.
    """

    recipe: Recipe | None
    fixed: Encoding | None
    strict_basis: bool
    fit_samples: int
    seed: int
    chunk: int | None
    shard: int | None
    model: str | None
    license: str | None
    checksum: bool
    workers: int


def refuse_raster_options(given: Mapping[str, bool]) -> None:
    """Refuse what only rasters have.

    Raises
    ------
    InvalidConfigError
        If one of the options, by its name, is given.
    """
    for name, is_given in given.items():
        if is_given:
            raise InvalidConfigError(
                f"{name}: for rasters only; a table's missing vectors are null or NaN, its store "
                "has the plain layout, in shards, and no time axis; leave it out"
            )


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
        self._check_dimension()
        journal = Journal(self.destination.tree)
        if self.destination.replaces and not journal.matches(self._plan()):
            self.destination.tree.remove()
        begun = journal.exists()
        try:
            encoding, centre = self._prepare(journal)
            writer = TableWriter(self.destination.building, self._table_plan(encoding))
            fidelity, bounds, valid = self._write(writer, journal, centre, progress)
        except Exception:
            if not begun and not journal.finished():
                self.destination.discard()
            raise
        attributes = self._attributes(encoding, fidelity, valid)
        starts = [shard.row for shard in writer.plan.shards()]
        writer.finish(attributes, bounds, starts, self._footer(attributes))
        journal.clear()
        self.destination.swap()
        return self._summary(encoding, attributes, started)

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

    def _check_dimension(self) -> None:
        source, fixed = self.source, self.options.fixed
        if fixed is None:
            self.recipe.check_dimension(source.name, source.dimension)
        elif fixed.dimension != source.dimension:
            raise EncodingError(
                f"{source.name}: vectors of {source.dimension} components, but the basis is for "
                f"{fixed.dimension}; use a basis that was fitted on the same model's embeddings"
            )

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
    ) -> tuple[FidelitySums, NDArray[np.float64], int]:
        """Write the shards that the journal lacks; return fidelity, chunk bounds, valid rows."""
        plan, done = writer.plan, journal.finished()
        missing = [shard for shard in plan.shards() if (shard.row, 0) not in done]
        form = self._format(plan)
        with _spill_folder(self.destination) as folder:
            spill = Spill(folder, form.spilled, plan.shard)
            skip = frozenset(row for row, _ in done)
            fidelity, valid = self._spill(plan.encoding, form, spill, skip, centre)

            def task(shard: Window) -> dict[str, Any]:
                result = _write_shard(writer, form, spill, shard)
                journal.record(shard, result)
                return result

            run_tasks(task, missing, workers=self.options.workers, progress=progress)
        done = journal.finished()
        bounds = [row for shard in plan.shards() for row in done[shard.row, 0]["bounds"]]
        return fidelity, np.array(bounds, dtype=np.float64).reshape(-1, 4), valid

    def _format(self, plan: TablePlan) -> RowFormat:
        encoding = plan.encoding
        return RowFormat(
            self.source.schema,
            plan.columns,
            encoding.code_length,
            encoding.code_dtype,
            self.source.geometry,
        )

    def _spill(
        self,
        encoding: Encoding,
        form: RowFormat,
        spill: Spill,
        skip: frozenset[int],
        centre: NDArray[np.float64],
    ) -> tuple[FidelitySums, int]:
        """Encode everything, several batches at once, and sort it into files by shard."""
        places = self.survey.places
        order = hilbert_order(places[:, 0], places[:, 1])
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        fidelity, valid_rows = FidelitySums(), 0

        def encode(batch: TableBatch) -> tuple[TableBatch, Codes, NDArray[np.bool_], FidelitySums]:
            return batch, *_encode(encoding, batch, self.roles, centre)

        for batch, codes, valid, part in _ahead(encode, self.source.batches(), self.options):
            fidelity = fidelity.merge(part)
            valid_rows += int(valid.sum())
            rows = rank[batch.start : batch.start + len(codes)]
            spill.append(rows, form.pack(batch.columns, batch.places, codes, valid), skip)
        return fidelity, valid_rows

    def _attributes(
        self, encoding: Encoding, fidelity: FidelitySums, valid: int
    ) -> TableAttributes:
        from pyproj import CRS

        source, places = self.source, self.survey.places
        inputs = map(with_checksum, source.info) if self.options.checksum else source.info
        crs = CRS.from_user_input(source.crs)
        authority = crs.to_authority()
        known = places[np.isfinite(places).all(axis=1)]
        bbox = (*known.min(axis=0).tolist(), *known.max(axis=0).tolist()) if len(known) else None
        columns = numeric_columns(source.schema, self.survey.complete)
        return TableAttributes(
            crs_wkt=crs.to_wkt("WKT2_2019"),
            crs_code=":".join(authority) if authority else None,
            bbox=bbox,
            chip_layout=chip_layout(source.product, crs, self.survey),
            encoding=encoding.config(),
            encoding_hash=encoding.hash,
            original_dtype=str(source.dtype),
            stored_dtype=str(encoding.code_dtype),
            rows={"total": self.survey.n_rows, "valid": valid},
            columns=tuple(column.name for column in columns),
            table=TABLE if len(columns) < len(source.schema) else None,
            place={
                "product": source.product.name,
                "geometry": source.geometry,
                "x": source.axes[0],
                "y": source.axes[1],
            },
            gsd=source.product.gsd,
            model=self.model,
            sources=tuple(info.provenance() for info in inputs),
            fit=asdict(encoding.report),
            fidelity=fidelity.summary(),
            software=f"geoembz {__version__}",
            license=self.options.license,
        )

    def _footer(self, attributes: TableAttributes) -> dict[bytes, bytes]:
        """Return the footer of the file of other columns, which is GeoParquet without vectors."""
        geo = write_geo(
            self.source.geometry or GEOMETRY,
            attributes.crs_code or attributes.crs_wkt,
            [] if self.source.geometry else ["Point"],
            None if self.source.geometry else attributes.bbox,
        )
        emb = write_emb(
            model=attributes.model,
            dimension=self.source.dimension,
            kind="chip",
            quantization=f"geoembz:{attributes.encoding['recipe']}",
            sources=[str(source["uri"]) for source in attributes.sources],
        )
        return {b"geo": geo, b"emb": emb}

    def _summary(
        self, encoding: Encoding, attributes: TableAttributes, started: float
    ) -> ConvertSummary:
        rows = self.survey.n_rows
        bytes_in = rows * self.source.dimension * self.source.dtype.itemsize
        bytes_stored = TableReader.open(self.destination.url).stored_bytes()
        return ConvertSummary(
            store=self.destination.url,
            recipe=str(encoding.recipe),
            encoding_hash=encoding.hash,
            pixels=rows,
            valid_pixels=attributes.rows["valid"],
            bytes_in=bytes_in,
            bytes_stored=bytes_stored,
            ratio=bytes_in / bytes_stored,
            bytes_per_pixel=bytes_stored / rows,
            bytes_per_embedding=encoding.bytes_per_vector,
            explained_variance=encoding.report.explained_variance,
            cosine=attributes.fidelity["cosine"],
            cosine_centred=attributes.fidelity["cosine_centred"],
            rmse=attributes.fidelity["rmse"],
            held_out_pixels=attributes.fidelity["n"],
            seconds=time.perf_counter() - started,
            unit="row",
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


def _encode(
    encoding: Encoding, batch: TableBatch, roles: PixelRoles, centre: NDArray[np.float64]
) -> tuple[Codes, NDArray[np.bool_], FidelitySums]:
    """Encode a batch; return codes ``(n, code_length)``, validity, fidelity of held-out rows."""
    values = batch.vectors.T
    codes, valid = encoding.encode_block(values)
    keys = roles.keys(Window(batch.start, 0, len(valid), 1))
    tested = roles.held_out(keys) & valid
    original = encoding.target(values[:, tested])
    decoded = encoding.decode_block(np.ascontiguousarray(codes[:, tested]))
    sums = FidelitySums.of(original.T, decoded.T, centre)
    return np.ascontiguousarray(codes.T), valid, sums


def _write_shard(
    writer: TableWriter, form: RowFormat, spill: Spill, shard: Window
) -> dict[str, Any]:
    """Put a shard's rows in order, write them, and return the bounds of its chunks."""
    rows = spill.read(shard.row)
    places = np.column_stack([np.asarray(rows[axis]) for axis in (X, Y)])
    writer.write_shard(
        shard.row,
        form.codes(rows),
        np.asarray(rows[VALID]),
        places,
        form.arrays(rows),
        form.file_rows(rows, places),
    )
    chunk = writer.plan.chunk
    parts = (places[start : start + chunk] for start in range(0, len(places), chunk))
    return {"bounds": [_bounds(part) for part in parts]}


def _bounds(places: NDArray[np.float64]) -> list[float | None]:
    known = places[np.isfinite(places).all(axis=1)]
    if not len(known):
        return [None] * 4
    return [*known.min(axis=0).tolist(), *known.max(axis=0).tolist()]


def _ahead(
    function: Any, items: Iterator[TableBatch], options: TableOptions
) -> Iterator[tuple[TableBatch, Codes, NDArray[np.bool_], FidelitySums]]:
    """Apply a function to batches in threads, in order, holding only a few at a time."""
    waiting: deque[Future[Any]] = deque()
    with single_threaded_blas(), ThreadPoolExecutor(options.workers) as pool:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) > options.workers:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


@contextmanager
def _spill_folder(destination: Destination) -> Iterator[Path]:
    """Make a folder for spilled rows: in the journal, or where temporary files go."""
    tree = destination.tree
    if tree.is_local:
        path = tree.local_path / FOLDER / "spill"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
    else:
        path = Path(tempfile.mkdtemp(prefix="geoembz-"))
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
