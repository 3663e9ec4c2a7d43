"""Points and polygons to sample a store at, and tables to write the result to."""

from geoembz.sources.features.model import Features
from geoembz.sources.features.read import is_feature_file, read_features, read_rows
from geoembz.sources.features.write import write_features

__all__ = [
    "Features",
    "is_feature_file",
    "read_features",
    "read_rows",
    "write_features",
]
