"""How chips lie: the convention's ``geoemb:chip_layout`` of a table."""

from typing import Any

import numpy as np

from geoembz._geo import metres_per_unit
from geoembz.sources.tables import Survey
from geoembz.sources.tables.products import Product


def chip_layout(product: Product, crs: Any, survey: Survey) -> dict[str, Any]:
    """Return the layout: chips in pixels of the product's images, 1 x 1 for points.

    Parameters
    ----------
    product
        What the table was recognised as; its `gsd` is the size of a pixel.
    crs
        A `pyproj.CRS`.
    survey
        Size and places of the chips.

    Examples
    --------
    >>> from pyproj import CRS
    >>> from geoembz.sources.tables.products import CLAY_V1_5
    >>> survey = Survey(np.array([[5e5, 5e6]]), frozenset(), (2560.0, 2560.0))
    >>> chip_layout(CLAY_V1_5, CRS(32633), survey)["chip_size"]
    [256, 256]
    """
    width, height = survey.chip_size
    if product.gsd is None or not (width > 0 and height > 0):
        size = [1, 1]
    else:
        place = np.nanmedian(survey.places, axis=0).tolist()
        x_metres, y_metres = metres_per_unit(crs.to_wkt(), *place)
        size = [
            max(1, round(height * y_metres / product.gsd)),
            max(1, round(width * x_metres / product.gsd)),
        ]
    layout: dict[str, Any] = {"layout_type": "irregular", "chip_size": size}
    return layout if product.grid_id is None else {**layout, "grid_id": product.grid_id}
