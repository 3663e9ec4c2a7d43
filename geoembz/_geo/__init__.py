"""Places on the Earth: coordinate reference systems, longitudes, true sizes and outlines.

The only room that knows what a projection does to the ground; pyproj, shapely and antimeridian do
the work, and are imported when they are called.
"""

from geoembz._geo.boxes import BBox, box_around, box_of, placed_boxes, refuse_empty_box
from geoembz._geo.ground import declared_gsd, gsd, metres_per_unit, pixel_area
from geoembz._geo.longitudes import (
    full_turn,
    into_range,
    narrowest,
    shifts,
    spans,
    unrolled,
)
from geoembz._geo.outline import outline, span_of
from geoembz._geo.systems import (
    datum_label,
    is_geographic,
    parsed,
    same_crs,
    utm_zone,
)

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
    "parsed",
    "pixel_area",
    "placed_boxes",
    "refuse_empty_box",
    "same_crs",
    "shifts",
    "span_of",
    "spans",
    "unrolled",
    "utm_zone",
]
