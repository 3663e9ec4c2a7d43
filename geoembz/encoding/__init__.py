"""Recipes, fitting, and the fitted Encoding."""

from geoembz.encoding.coverage import Coverage, coverage
from geoembz.encoding.decoder import Decoder, Space
from geoembz.encoding.fit import EncodingFitter, FitReport
from geoembz.encoding.model import Encoding
from geoembz.encoding.recipe import Recipe

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
