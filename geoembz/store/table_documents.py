"""The metadata and the small arrays of a table store."""

from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.storage import MemoryStore

from geoembz.store.attributes import TableAttributes
from geoembz.store.conventions import records_digests
from geoembz.store.digests import StoredObjects, write_digests
from geoembz.store.documents import (
    EMBEDDING,
    VALID,
    StorePlan,
    array_options,
    consolidated,
    write_encoding,
    write_small,
)
from geoembz.store.layout import TablePlan

if TYPE_CHECKING:
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
        **{**array_options(), "attributes": attributes},
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
    write_encoding(root.create_group("encoding"), plan.encoding.arrays())
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
        **{**array_options(), "attributes": attributes},
    )
