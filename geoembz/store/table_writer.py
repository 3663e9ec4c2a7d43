"""Write a table store: shards in any order, the other columns in one file, metadata at the end."""

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from geoembz._objects.files import PARTIAL
from geoembz._objects.tree import ObjectTree, local_faults
from geoembz._util.arrow import pa
from geoembz._util.output import scratch_folder
from geoembz.encoding._quantization import Codes
from geoembz.store.attributes import TableAttributes
from geoembz.store.conventions import records_digests
from geoembz.store.digests import (
    ALGORITHM,
    StoredObject,
    StoredObjects,
    check_stored,
    seal,
    write_digests,
)
from geoembz.store.documents import (
    EMBEDDING,
    VALID,
    StorePlan,
    array_options,
    consolidated,
    open_codes,
    write_encoding,
    write_small,
)
from geoembz.store.journal import FOLDER
from geoembz.store.layout import TablePlan
from geoembz.store.lock import Fence
from geoembz.store.writer import ChunkWriter, Writer, writable_store, write_faults

if TYPE_CHECKING:
    import pyarrow as pa
    from zarr.core.buffer import Buffer

SAMPLE, COLUMNS, CHUNK_BBOX, TABLE = "sample", "columns", "chunk_bbox", "table.parquet"


def create_arrays(group: zarr.Group, plan: TablePlan) -> None:
    """Create every array with a `sample` axis: codes, validity, places, numeric columns."""
    encoding = plan.encoding
    length = encoding.code_length
    attributes = {"coordinates": "x y spatial_ref", "grid_mapping": "spatial_ref"}
    if encoding.code_dtype == np.int8:
        attributes["nodata"] = encoding.nodata  # type: ignore[assignment]
    group.create_array(
        EMBEDDING,
        shape=(plan.n_rows, length),
        chunks=(plan.chunk, length),
        shards=(plan.shard, length),
        dtype=encoding.code_dtype,
        fill_value=encoding.fill_value,
        dimension_names=(SAMPLE, StorePlan.axis_of(encoding)),
        **{**array_options(archive=plan.archive), "attributes": attributes},
    )
    if plan.has_mask:
        _create_rows(group, plan, VALID, np.bool_, False, {})
    for name in ("x", "y"):
        _create_rows(group, plan, name, np.float64, np.nan, {"axis": name.upper()})
    columns = group.create_group(COLUMNS)
    for column in plan.columns:
        dtype = np.dtype(column.dtype)
        fill = np.nan if dtype.kind == "f" else dtype.type(0)
        _create_rows(columns, plan, column.name, dtype, fill, dict(column.attributes))


def row_arrays(plan: TablePlan) -> list[str]:
    """Return the paths of all arrays with a `sample` axis."""
    columns = (f"{COLUMNS}/{column.name}" for column in plan.columns)
    return [EMBEDDING, *([VALID] if plan.has_mask else []), "x", "y", *columns]


def table_documents(
    plan: TablePlan,
    attributes: TableAttributes,
    chunk_bbox: NDArray[np.float64],
    stored: StoredObjects,
) -> dict[str, bytes]:
    """Return every object of a finished store but the shards, by key, root ``zarr.json`` last."""
    from pyproj import CRS

    objects: dict[str, Buffer] = {}
    memory = MemoryStore(objects)
    root = zarr.create_group(memory, attributes=attributes.to_json())
    create_arrays(root, plan)
    write_small(root, CHUNK_BBOX, chunk_bbox, ("chunk", "bound"), {})
    mapping: dict[str, Any] = CRS.from_wkt(attributes.crs_wkt).to_cf()
    mapping["spatial_ref"] = mapping["crs_wkt"]
    write_small(root, "spatial_ref", np.array(0, dtype=np.int64), (), mapping)
    write_encoding(root.create_group("encoding"), plan.encoding)
    if records_digests(attributes.version):
        write_digests(root, objects, row_arrays(plan), stored)
    return consolidated(memory, objects)


def _create_rows(
    group: zarr.Group,
    plan: TablePlan,
    name: str,
    dtype: Any,
    fill: Any,
    attributes: dict[str, Any],
) -> None:
    group.create_array(
        name,
        shape=(plan.n_rows,),
        chunks=(plan.chunk,),
        shards=(plan.shard,),
        dtype=dtype,
        fill_value=fill,
        dimension_names=(SAMPLE,),
        **{**array_options(archive=plan.archive), "attributes": attributes},
    )


_ROW_GROUP_ROWS = 16_384
"""Rows that a reader of the file takes at once: some MB, with footers that stay small."""

_PARTS = f"{FOLDER}/parts"
_ALWAYS = np.ones(1, np.bool_)
"""Places and columns are stored whatever they hold: absent, they would read as the fill value."""


class TableWriter(Writer):
    """Writes one table store.

    Parameters
    ----------
    url
        Destination: its URL, or its objects.
    plan
        What the store will be.
    """

    def __init__(self, url: str | ObjectTree, plan: TablePlan) -> None:
        super().__init__(url, partial(create_arrays, plan=plan))
        self.plan = plan

    def write_shard(
        self,
        start: int,
        codes: Codes,
        valid: NDArray[np.bool_],
        places: NDArray[np.float64],
        columns: Mapping[str, NDArray[Any]],
        others: "pa.Table | None",
    ) -> dict[str, StoredObject]:
        """Write the rows of one shard.

        Parameters
        ----------
        start
            Number of its first row.
        codes
            Shape ``(n, code_length)``.
        valid
            bool, shape ``(n,)``.
        places
            x and y, shape ``(n, 2)``.
        columns
            The numeric columns, by name.
        others
            The rows' other columns; None where the table has none.

        Returns
        -------
        stored
            The objects that were written, by key: vectors and validity where a row is valid,
            places and columns always.
        """
        import pyarrow as pa
        from pyarrow import parquet

        if others is not None:
            sink = pa.BufferOutputStream()
            parquet.write_table(others, sink, compression="zstd")
            self.tree.write(_part(start), sink.getvalue().to_pybytes())
        known = {"x": places[:, 0], "y": places[:, 1]}
        known |= {f"{COLUMNS}/{name}": values for name, values in columns.items()}
        stored: dict[str, StoredObject] = {}
        with write_faults(self.url, f"PUT shard at row {start}"):
            for name, values in known.items():
                stored |= self._array(name).write((start,), values, _ALWAYS)
            if self.plan.has_mask:
                stored |= self._array(VALID).write((start,), valid)
            stored |= self._array(EMBEDDING).write((start, 0), codes, valid[:, np.newaxis])
        return stored

    def finish(
        self,
        attributes: TableAttributes,
        chunk_bbox: NDArray[np.float64],
        starts: Sequence[int],
        footer: Mapping[bytes, bytes],
        stored: StoredObjects,
        fence: Fence | None = None,
    ) -> None:
        """Write the file of other columns and all metadata, the root's last: the store exists.

        Parameters
        ----------
        attributes
            Of the group.
        chunk_bbox
            Bounds of each chunk's places, shape ``(n_chunks, 4)``.
        starts
            First rows of all shards, in order.
        footer
            Key-value metadata of the file of other columns.
        stored
            What `write_shard` returned, of all shards together.
        fence
            Asked before the root.

        Raises
        ------
        StoreError
            If a shard was lost or cut since it was written.
        """
        check_stored(self.tree, stored)
        others = {} if attributes.table is None else {TABLE: self._join_parts(starts, footer)}
        objects = table_documents(self.plan, attributes, chunk_bbox, stored)
        self._write_in_order(seal(objects, others), fence)

    def _join_parts(self, starts: Sequence[int], footer: Mapping[bytes, bytes]) -> str:
        """Write the shards' parts as one Parquet file, in order; return its SHA-256."""
        import pyarrow as pa
        from pyarrow import parquet

        with local_faults(self.url), self._workplace() as path:
            writer = None
            for start in starts:
                content = self.tree.read(_part(start))
                part = parquet.read_table(pa.BufferReader(content))
                if writer is None:
                    schema = part.schema.with_metadata(dict(footer))
                    writer = parquet.ParquetWriter(path, schema, compression="zstd")
                writer.write_table(part.cast(writer.schema), _ROW_GROUP_ROWS)
            if writer is not None:
                writer.close()
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, ALGORITHM).hexdigest()
            if self.tree.is_local:
                path.replace(self.tree.local_path / TABLE)
            else:
                self.tree.filesystem.put_file(str(path), f"{self.tree.root}/{TABLE}")
        return digest

    @contextmanager
    def _workplace(self) -> Iterator[Path]:
        """Name a local file to write to, which goes to its place afterwards."""
        if self.tree.is_local:  # a rename must not leave the disk
            yield self.tree.local_path / FOLDER / f"{TABLE}{PARTIAL}"
            return
        folder = scratch_folder()
        try:
            yield folder / TABLE
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _array(self, name: str) -> ChunkWriter:
        array = open_codes(writable_store(self.tree), self._documents[name], name)
        return ChunkWriter(array)


def _part(start: int) -> str:
    return f"{_PARTS}/{start}.parquet"
