"""Recipes, fitting, and the fitted Encoding."""

from geoembz.encoding._coverage import Coverage, coverage
from geoembz.encoding._decoder import Decoder, Space
from geoembz.encoding._fit import EncodingFitter, FitReport
from geoembz.encoding._model import Encoding
from geoembz.encoding._recipe import Recipe

__all__ = [
    "Coverage",
    "Decoder",
    "Encoding",
    "EncodingFitter",
    "FitReport",
    "Recipe",
    "Space",
    "coverage",
]
