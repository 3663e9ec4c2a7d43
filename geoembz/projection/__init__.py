"""Linear projections: exact streamed moments, fits, and the map to components and back."""

from geoembz.projection.fit import KINDS, FittedProjection, fit_projection
from geoembz.projection.linear import TILE_PIXELS, Projection, affine_tile, padded_tile
from geoembz.projection.moments import Moments
from geoembz.projection.normalize import normalized

__all__ = [
    "KINDS",
    "TILE_PIXELS",
    "FittedProjection",
    "Moments",
    "Projection",
    "affine_tile",
    "fit_projection",
    "normalized",
    "padded_tile",
]
