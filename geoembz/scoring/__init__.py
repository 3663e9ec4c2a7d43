"""Score vectors by their codes: linear functions, distances and the k nearest, without decoding."""

from geoembz.scoring.accelerated import has_accelerator
from geoembz.scoring.base import Scorer
from geoembz.scoring.fold import LinearFold
from geoembz.scoring.hamming import HammingScorer
from geoembz.scoring.nearest import nearest_codes
from geoembz.scoring.scorers import METRICS, Metric, scorer
from geoembz.scoring.topk import BestK
from geoembz.scoring.valid import valid_codes
from geoembz.scoring.vectors import VectorScorer

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
