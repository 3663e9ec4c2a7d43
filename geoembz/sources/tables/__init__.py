"""Tables of embeddings: one vector per point, box or polygon."""

from geoembz.sources.tables.base import Survey, TableBatch, TableSource
from geoembz.sources.tables.chip_raster import ChipRaster
from geoembz.sources.tables.open import open_table
from geoembz.sources.tables.whole import read_vectors

__all__ = [
    "ChipRaster",
    "Survey",
    "TableBatch",
    "TableSource",
    "open_table",
    "read_vectors",
]
