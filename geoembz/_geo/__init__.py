"""Places on the Earth: coordinate reference systems, longitudes, true sizes and outlines.

The only room that knows what a projection does to the ground; pyproj, shapely and antimeridian do
the work, and are imported when they are called.
"""

from geoembz._geo.boxes import (
    BBox,
    box_around,
    box_of,
    full_turn,
    into_range,
    narrowest,
    placed_boxes,
    refuse_empty_box,
    shifts,
    spans,
    unroll,
)
from geoembz._geo.crs import (
    datum_label,
    declared_gsd,
    gsd,
    is_geographic,
    metres_per_unit,
    parse_crs,
    pixel_area,
    placed_points,
    same_crs,
    unit_symbol,
    utm_zone,
)
from geoembz._geo.outline import outline, span_of

__all__ = [
    "BBox",
    "box_around",
    "box_of",
    "datum_label",
    "declared_gsd",
    "full_turn",
    "gsd",
    "into_range",
    "is_geographic",
    "metres_per_unit",
    "narrowest",
    "outline",
    "parse_crs",
    "pixel_area",
    "placed_boxes",
    "placed_points",
    "refuse_empty_box",
    "same_crs",
    "shifts",
    "span_of",
    "spans",
    "unit_symbol",
    "unroll",
    "utm_zone",
]
