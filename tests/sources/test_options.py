"""One set of options says how inputs are read: refused early, and in one form."""

import pickle
from pathlib import Path
from typing import Any

import pytest
import rasterio

from geoembz.errors import InvalidConfigError
from geoembz.sources import ReadOptions

TRANSFORM = (10.0, 0.0, 5e5, 0.0, -10.0, 5.3e6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"product": "clay"}, "product 'clay'; expected one of aef, olmoearth, tessera, raster"),
        ({"overlap": "median"}, "overlap 'median'; expected one of first, last, mean"),
        ({"resample": "cubic"}, "resample 'cubic'; expected 'nearest'"),
        ({"transform": "10,0,5"}, "transform '10,0,5'; expected six numbers"),
        ({"like": "a.tif", "crs": "EPSG:4326"}, "says CRS and transform already; leave out crs="),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_what_nobody_knows_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidConfigError, match=message):
        ReadOptions(**options)


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ({"transform": rasterio.Affine(*TRANSFORM)}, {"transform": TRANSFORM}),
        ({"transform": "10 0 500000 0 -10 5300000"}, {"transform": list(TRANSFORM)}),
        ({"like": Path("a.tif")}, {"like": "a.tif"}),
        ({"dims": ["y", "x", "band"]}, {"dims": ("y", "x", "band")}),
        ({"grid_crs": "EPSG:32632"}, {"grid": True, "grid_crs": "EPSG:32632"}),
    ],
    ids=["affine", "text", "path", "list", "grid"],
)
def test_options_that_mean_the_same_are_equal(given: dict[str, Any], same: dict[str, Any]) -> None:
    """So that they can be compared, hashed, and sent to workers."""
    options = ReadOptions(**given)
    assert options == ReadOptions(**same)
    assert hash(options) == hash(ReadOptions(**same))
    assert pickle.loads(pickle.dumps(options)) == options  # noqa: S301 - our own bytes
