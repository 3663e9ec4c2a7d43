"""Find nearest vectors, and evaluate linear functions, on the codes of stores as they are."""

from geoembz._search.hamming import HammingScorer, nearest_codes
from geoembz._search.linear_fold import LinearFold
from geoembz._search.metrics import scorer
from geoembz._search.nearest import search
from geoembz._search.queries import vectors_at
from geoembz._search.result import CoarseSearch, SearchResult
from geoembz._search.scorer import BestK, Scorer, valid_codes
from geoembz._search.vectors import VectorScorer

__all__ = [
    "BestK",
    "CoarseSearch",
    "HammingScorer",
    "LinearFold",
    "Scorer",
    "SearchResult",
    "VectorScorer",
    "nearest_codes",
    "scorer",
    "search",
    "valid_codes",
    "vectors_at",
]
