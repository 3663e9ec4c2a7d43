"""Convert a source of embeddings to a store."""

from geoembz.convert.run import FIT_SAMPLES, convert
from geoembz.convert.summary import ConvertSummary

__all__ = ["FIT_SAMPLES", "ConvertSummary", "convert"]
