"""Score vectors by their codes: linear functions, distances and the k nearest, without decoding."""

from geoembz._search.scoring.accelerated import has_accelerator
from geoembz._search.scoring.base import Scorer
from geoembz._search.scoring.fold import LinearFold
from geoembz._search.scoring.hamming import HammingScorer
from geoembz._search.scoring.nearest import nearest_codes
from geoembz._search.scoring.scorers import METRICS, Metric, scorer
from geoembz._search.scoring.topk import BestK
from geoembz._search.scoring.valid import valid_codes
from geoembz._search.scoring.vectors import VectorScorer

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
    "valid_codes",
]
