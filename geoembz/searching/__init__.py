"""Search stores for the pixels or rows nearest to a vector, on their codes."""

from geoembz.searching.query import vectors_at
from geoembz.searching.result import SearchResult
from geoembz.searching.run import search

__all__ = ["SearchResult", "search", "vectors_at"]
