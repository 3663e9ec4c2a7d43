"""What a file of places holds: geometries of any kind, or points, and a row of columns for each."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from geoembz._geo.wkb import Geometry


@dataclass(frozen=True)
class FeatureRows:
    """Features of one file, in one CRS.

    Parameters
    ----------
    name
        Where they come from, for messages.
    crs
        In a form that PROJ knows; coordinates are in the order x (longitude), y (latitude).
    points
        float64, shape ``(n, 2)``, NaN where one is missing; None for geometries.
    geometries
        GeoJSON geometries, None where one is missing; None for points.
    columns
        Everything else, one row per feature; columns of x and y among them.
    axes
        Names of the columns of x and y, where the places stand in such.
    """

    name: str
    crs: str
    points: NDArray[np.float64] | None
    geometries: tuple[Geometry | None, ...] | None
    columns: pa.Table
    axes: tuple[str, ...] = ()

    @property
    def attributes(self) -> list[str]:
        """Names of the columns that do not say where a feature lies."""
        return [name for name in self.columns.column_names if name not in self.axes]


def numbered(count: int) -> pa.Table:
    """Return the columns of features that have none: their numbers."""
    return pa.table({"row": pa.array(np.arange(count))})
