"""What all forms of Tessera share: names of tiles, the model, and which scales can be right.

Tiles are 0.1° wide and named by their centre, longitude first; their pixels are 10 m UTM.
"""

import re
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid
from geoembz.errors import SourceError
from geoembz.sources.base import SourceTraits

PRODUCT = "tessera"
N_BANDS = 128
TRAITS = SourceTraits(PRODUCT, model="https://github.com/ucam-eo/tessera", license="CC0-1.0")

LARGEST_SCALE = 1.0
"""Scales from here up are corrupt: published ones stay far below."""

_NAME = re.compile(r"grid_(-?\d+(?:\.\d+)?)_(-?\d+(?:\.\d+)?)(?:_(\d{4}))?")
_TOLERANCE_DEGREES = 0.1


@dataclass(frozen=True)
class TileName:
    """What a tile's file name says.

    Parameters
    ----------
    longitude, latitude
        Centre, in degrees.
    year
        Year of the embedding; None where the name has none.
    """

    longitude: float
    latitude: float
    year: int | None = None


def tile_name(path: str) -> TileName | None:
    """Read a tile's file name; None where it is not Tessera's.

    Examples
    --------
    >>> tile_name("2024/grid_0.15_52.05_2024.tiff")
    TileName(longitude=0.15, latitude=52.05, year=2024)
    """
    match = _NAME.fullmatch(PurePosixPath(path.partition("?")[0]).stem)
    if match is None:
        return None
    return TileName(float(match[1]), float(match[2]), int(match[3]) if match[3] else None)


def usable(scale: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where a scale can be right: finite, above 0 and below 1."""
    with np.errstate(invalid="ignore"):
        return np.asarray((scale > 0) & (scale < LARGEST_SCALE), dtype=np.bool_)


def check_place(path: str, tile: TileName, grid: Grid) -> None:
    """Refuse a tile whose georeference lies elsewhere than its name says.

    Raises
    ------
    SourceError
        If it does; the message tells swapped coordinates from a wrong land mask.
    """
    from rasterio.warp import transform

    xmin, ymin, xmax, ymax = grid.bbox
    (longitude,), (latitude,) = transform(
        grid.crs_wkt, "EPSG:4326", [(xmin + xmax) / 2], [(ymin + ymax) / 2]
    )
    if _near((longitude, latitude), (tile.longitude, tile.latitude)):
        return
    swapped = _near((latitude, longitude), (tile.longitude, tile.latitude))
    cause = "longitude and latitude are swapped" if swapped else "it is another tile's"
    raise SourceError(
        f"{path}: named after longitude {tile.longitude}, latitude {tile.latitude}, but its "
        f"georeference lies at longitude {longitude:.4f}, latitude {latitude:.4f}: {cause}; fetch "
        "the tile and its land mask again"
    )


def _near(place: tuple[float, float], other: tuple[float, float]) -> bool:
    return all(abs(a - b) <= _TOLERANCE_DEGREES for a, b in zip(place, other, strict=True))
