"""Tables of embeddings: one vector per point, box or polygon."""

from geoembz.sources.tables.chip_raster import ChipRaster
from geoembz.sources.tables.table import (
    Survey,
    TableBatch,
    TableSource,
    open_table,
    read_vectors,
)

__all__ = [
    "ChipRaster",
    "Survey",
    "TableBatch",
    "TableSource",
    "open_table",
    "read_vectors",
]
