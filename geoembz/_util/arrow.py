"""Apache Arrow, which the core does without: tables, GeoParquet, and files of places need it."""

from typing import TYPE_CHECKING

from geoembz._util.optional import OptionalModule

__all__ = ["compute", "csv", "pa", "parquet"]

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import compute, csv, parquet
else:
    _WANTED = "tables", "tables, (Geo)Parquet, CSV and files of places need pyarrow"
    pa = OptionalModule("pyarrow", *_WANTED)
    compute = OptionalModule("pyarrow.compute", *_WANTED)
    csv = OptionalModule("pyarrow.csv", *_WANTED)
    parquet = OptionalModule("pyarrow.parquet", *_WANTED)
