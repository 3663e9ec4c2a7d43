"""Convert a source of embeddings to a store."""

from geoembz.conversion.run import FIT_SAMPLES, convert
from geoembz.conversion.summary import ConvertSummary

__all__ = ["FIT_SAMPLES", "ConvertSummary", "convert"]
