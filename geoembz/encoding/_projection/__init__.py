"""Linear projections: exact streamed moments, fits, and the map to components and back."""

from geoembz.encoding._projection.fit import KINDS, FittedProjection, fit_projection
from geoembz.encoding._projection.linear import Projection
from geoembz.encoding._projection.moments import Moments
from geoembz.encoding._projection.tiles import (
    MOST_PIXELS,
    TILE_PIXELS,
    affine_tile,
    cached_pixels,
    multiply_padded,
    padded_tile,
    scale_to_unit,
)

__all__ = [
    "KINDS",
    "MOST_PIXELS",
    "TILE_PIXELS",
    "FittedProjection",
    "Moments",
    "Projection",
    "affine_tile",
    "cached_pixels",
    "fit_projection",
    "multiply_padded",
    "padded_tile",
    "scale_to_unit",
]
