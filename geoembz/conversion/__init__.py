"""Convert a source of embeddings to a store."""

from geoembz.conversion.append import append
from geoembz.conversion.run import FIT_SAMPLES, convert
from geoembz.conversion.summary import AppendSummary, ConvertSummary

__all__ = ["FIT_SAMPLES", "AppendSummary", "ConvertSummary", "append", "convert"]
