"""Search stores for the pixels or rows nearest to a vector, on their codes."""

from geoembz._search.query import vectors_at
from geoembz._search.result import SearchResult
from geoembz._search.run import search

__all__ = ["SearchResult", "search", "vectors_at"]
