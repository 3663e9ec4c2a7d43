"""Score vectors by their codes: linear functions, distances and the k nearest, without decoding."""

from geoembz.scoring.fold import LinearFold
from geoembz.scoring.hamming import has_accelerator
from geoembz.scoring.nearest import nearest_codes, search_block
from geoembz.scoring.scorers import METRICS, HammingScorer, Metric, Scorer, VectorScorer, scorer
from geoembz.scoring.topk import BestK
from geoembz.scoring.valid import valid_codes

__all__ = [
    "METRICS",
    "BestK",
    "HammingScorer",
    "LinearFold",
    "Metric",
    "Scorer",
    "VectorScorer",
    "has_accelerator",
    "nearest_codes",
    "scorer",
    "search_block",
    "valid_codes",
]
