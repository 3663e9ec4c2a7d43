"""Convert a source of embeddings to a store."""

from geoembz._convert.append import append
from geoembz._convert.basis import load_basis, save_basis
from geoembz._convert.run import FIT_SAMPLES, convert
from geoembz._convert.summary import AppendSummary, ConvertSummary

__all__ = [
    "FIT_SAMPLES",
    "AppendSummary",
    "ConvertSummary",
    "append",
    "convert",
    "load_basis",
    "save_basis",
]
