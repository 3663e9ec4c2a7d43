"""Tables of embeddings: one vector per point, box or polygon."""

from geoembz.sources.tables.base import Survey, TableBatch, TableSource
from geoembz.sources.tables.open import is_table, open_table

__all__ = ["Survey", "TableBatch", "TableSource", "is_table", "open_table"]
