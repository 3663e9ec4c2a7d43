"""Hand a store's vectors to an engine for nearest neighbours: FAISS, or tables for databases."""

from geoembz._index.lookup import StoreIndex, open_index
from geoembz._index.run import index
from geoembz._index.summary import IndexSummary

__all__ = ["IndexSummary", "StoreIndex", "index", "open_index"]
