"""Linear projections: exact streamed moments, fits, and the map to components and back."""

from geoembz.projection.fit import KINDS, FittedProjection, fit_projection
from geoembz.projection.linear import TILE_PIXELS, Projection, affine
from geoembz.projection.moments import Moments
from geoembz.projection.normalize import normalized

__all__ = [
    "KINDS",
    "TILE_PIXELS",
    "FittedProjection",
    "Moments",
    "Projection",
    "affine",
    "fit_projection",
    "normalized",
]
