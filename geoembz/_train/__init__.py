"""Samples of a store for training: patches, pixels and polygons, as sequences of NumPy arrays."""

from geoembz._train.patches import Patches, patches
from geoembz._train.pixels import Pixels, Polygons, pixels, polygons

__all__ = ["Patches", "Pixels", "Polygons", "patches", "pixels", "polygons"]
