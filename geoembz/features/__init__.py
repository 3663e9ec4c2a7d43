"""Points and polygons to sample a store at, and tables to write the result to."""

from geoembz.features.model import Features
from geoembz.features.read import read_features
from geoembz.features.write import write_features

__all__ = ["Features", "read_features", "write_features"]
