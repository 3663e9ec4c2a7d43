"""Recipes, fitting, and the fitted Encoding."""

from geoembz.encoding._fit import Coverage, EncodingFitter, coverage
from geoembz.encoding._fitter import Fitter
from geoembz.encoding._kernel import Decoder, Space
from geoembz.encoding._metric import METRICS, Metric, MetricName
from geoembz.encoding._model import Encoding
from geoembz.encoding._recipe import Recipe
from geoembz.encoding._state import FitReport

__all__ = [
    "METRICS",
    "Coverage",
    "Decoder",
    "Encoding",
    "EncodingFitter",
    "FitReport",
    "Fitter",
    "Metric",
    "MetricName",
    "Recipe",
    "Space",
    "coverage",
]
