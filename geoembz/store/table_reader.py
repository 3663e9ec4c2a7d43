"""Read a table store: rows by number or by place, only the chunks that hold them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import zarr
from numpy.typing import NDArray

from geoembz._geo import BBox, placed_boxes, spans
from geoembz._objects.explain import stage
from geoembz._objects.icechunk import pin
from geoembz._objects.tree import ObjectTree
from geoembz._util.arrow import pa, parquet
from geoembz._util.threads import single_threaded_blas
from geoembz.errors import StoreError
from geoembz.store.attributes import TableAttributes
from geoembz.store.open import (
    is_table_store,
    open_array,
    open_group,
    read_encoding,
    read_faults,
    unreplaced,
)
from geoembz.store.reader import Reader, View
from geoembz.store.table_writer import CHUNK_BBOX, COLUMNS, TABLE

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

_BLOCK_CHUNKS = 64
"""Chunks read at once where all are wanted."""


@dataclass(frozen=True)
class TableReader(Reader):
    """An open store of a table; parameters as of `Reader`."""

    attributes: TableAttributes

    @classmethod
    def open(cls, url: str | Path, group: zarr.Group | None = None) -> Self:
        """Open a table store.

        Parameters
        ----------
        url
            Where it is.
        group
            Its root group, where that is open already: saves a request.

        Raises
        ------
        StoreError
            If there is no store, an unfinished one, one of another kind, or a damaged one.
        StoreVersionError
            If the store's format version is not one that this geoembz reads.
        """
        url = str(url)
        group = open_group(url) if group is None else group
        url = pin(url, group.store)
        if not is_table_store(group):
            raise StoreError(f"{url}: no store of a table; expected one that was made of a table")
        attributes = TableAttributes.from_json(url, group.attrs.asdict())
        reader = cls(url, attributes, read_encoding(url, group, attributes), group)
        n_rows = reader.n_rows
        reader._check_shapes((n_rows, reader.encoding.code_length), (n_rows,))
        reader.watch.check()  # what was read to open it is of one store, too
        return reader

    @property
    def n_rows(self) -> int:
        """Rows of the table."""
        return int(self.attributes.rows["total"])

    @cached_property
    def chunk_bbox(self) -> NDArray[np.float64]:
        """Bounds of each chunk's places, shape ``(n_chunks, 4)``; NaN where none is known."""
        array = open_array(self.url, self.group, CHUNK_BBOX)
        return np.asarray(self._at(array, ...), dtype=np.float64)

    def column(self, name: str, *, of_table: bool = False) -> zarr.Array[Any]:
        """Return `x` or `y`, or a numeric column of the table, as an array."""
        return self._complete(f"{COLUMNS}/{name}" if of_table else name)

    def values(self, array: zarr.Array[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
        """Return the values of some rows of an array with one number per row."""
        out = np.empty(len(rows), array.dtype)
        for positions, wanted, span in self._spans(rows):
            out[positions] = self._at(array, span)[wanted]
        return out

    def known(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return which rows hold an embedding."""
        if self.mask is not None:
            return self.values(self.mask, rows)
        out = np.empty(len(rows), np.bool_)
        for positions, wanted, span in self._spans(rows):
            first = self._at(self.codes, (span, slice(1)))[wanted, 0]
            out[positions] = ~self.encoding.is_nodata(first)
        return out

    def select(self, bbox: BBox, crs: str | None = None) -> NDArray[np.int64]:
        """Return the rows whose centres lie in a box, ascending.

        Only the places of chunks that the box meets are read.

        Parameters
        ----------
        bbox
            ``(xmin, ymin, xmax, ymax)``, borders included. Longitudes may be those of either
            range; a box with xmin > xmax lies across the antimeridian.
        crs
            CRS of `bbox`; None for the store's.

        Raises
        ------
        InvalidConfigError
            If the box holds nothing, or `crs` is no CRS.
        """
        own = self.attributes.crs_wkt
        known = self.chunk_bbox[np.isfinite(self.chunk_bbox).all(axis=1)]
        extent = (known[:, 0].min(), known[:, 2].max()) if len(known) else (0.0, 0.0)
        parts = [
            self._select(low, ymin, high, ymax)
            for xmin, ymin, xmax, ymax in placed_boxes(bbox, crs, own)
            for low, high in spans(own, (xmin, xmax), extent)
        ]
        return np.unique(np.concatenate(parts)) if parts else np.empty(0, np.int64)

    def _select(self, xmin: float, ymin: float, xmax: float, ymax: float) -> NDArray[np.int64]:
        """Return the rows in a box, ascending; x as it is stored."""
        bounds, rows = self.chunk_bbox, self.codes.chunks[0]
        with np.errstate(invalid="ignore"):
            meets = (bounds[:, 0] <= xmax) & (bounds[:, 2] >= xmin)
            meets &= (bounds[:, 1] <= ymax) & (bounds[:, 3] >= ymin)
        found = [np.empty(0, np.int64)]
        for first, last in _runs(np.flatnonzero(meets)):
            span = slice(first * rows, min((last + 1) * rows, self.n_rows))
            x, y = (self._at(self.column(name), span) for name in "xy")
            inside = (x >= xmin) & (x <= xmax) & (y >= ymin) & (y <= ymax)
            found.append(np.flatnonzero(inside) + span.start)
        return np.concatenate(found)

    def read(
        self,
        rows: NDArray[np.int64],
        space: View,
        components: int | None = None,
        whiten: float = 0.0,
    ) -> NDArray[Any]:
        """Read the vectors of some rows, in any order.

        Parameters
        ----------
        rows
            Their numbers.
        space
            ``original``, ``reduced`` or ``codes``.
        components, whiten
            As in `StoreReader.read`.

        Returns
        -------
        vectors
            Shape ``(n, length)``: float32, missing ones NaN; or codes.
        """
        length = self.length(space, components, whiten)
        is_codes = space == "codes"
        out = np.empty((len(rows), length), self.encoding.code_dtype if is_codes else np.float32)
        decoder = None if space == "codes" else self.encoding.decoder(space, components, whiten)
        for positions, wanted, span in self._spans(rows):
            codes = self._at(self.codes, span)[wanted]
            if decoder is None:
                out[positions] = codes
                continue
            mask = None if self.mask is None else self._at(self.mask, span)[wanted]
            with stage("decode"), single_threaded_blas():
                out[positions] = decoder.decode(np.ascontiguousarray(codes.T), mask).T
        return out

    def others(self, columns: list[str] | None = None) -> "Iterator[pa.RecordBatch]":
        """Yield the columns that are no arrays, in the order of the rows."""
        if self.attributes.table is None:
            return
        with self._others_file() as file:
            if file.metadata.num_rows != self.n_rows:
                raise StoreError(
                    f"{self.url}: {TABLE} has {file.metadata.num_rows:,} rows; expected "
                    f"{self.n_rows:,}; the store is damaged: fetch it again"
                )
            yield from file.iter_batches(8192, columns=columns)

    def others_footer(self) -> dict[bytes, bytes]:
        """Return the key-value metadata of the file with the other columns."""
        if self.attributes.table is None:
            return {}
        with self._others_file() as file:
            return dict(file.schema_arrow.metadata or {})

    def _at(self, array: zarr.Array[Any], selection: Any) -> NDArray[Any]:
        faults = read_faults(self.url, array.path, selection)
        with unreplaced(self.watch), faults, stage("chunks"):
            return np.asarray(array[selection])

    @contextmanager
    def _others_file(self) -> "Iterator[parquet.ParquetFile]":
        """Open the file with the other columns; pyarrow says `OSError` where pages are damaged."""
        from pyarrow import parquet

        tree = ObjectTree(self.url)
        with unreplaced(self.watch), read_faults(self.url, TABLE):
            try:
                with tree.filesystem.open(f"{tree.root}/{TABLE}", "rb") as file:
                    yield parquet.ParquetFile(file)
            except FileNotFoundError as error:
                raise StoreError(f"{self.url}: {TABLE} is missing; fetch it again") from error
            except OSError as error:
                if error.errno is not None:  # the system's, not pyarrow's
                    raise
                raise ValueError(error) from error

    def _spans(
        self, rows: NDArray[np.int64]
    ) -> Iterator[tuple[NDArray[np.intp], NDArray[np.int64], slice]]:
        """Yield which of the wanted rows, where inside the span, and the span of rows to read."""
        order = np.argsort(rows, kind="stable")
        chunks = rows[order] // self.codes.chunks[0]
        for first, last in _runs(np.unique(chunks)):
            for block in range(first, last + 1, _BLOCK_CHUNKS):
                stop = min(block + _BLOCK_CHUNKS, last + 1)
                low, high = np.searchsorted(chunks, (block, stop))
                positions = order[low:high]
                start, end = int(rows[positions[0]]), int(rows[positions[-1]]) + 1
                yield positions, rows[positions] - start, slice(start, end)


def _runs(numbers: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of consecutive numbers."""
    for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1):
        if len(run):
            yield int(run[0]), int(run[-1])
