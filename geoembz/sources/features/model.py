"""Points or polygons with their columns, in one CRS."""

from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import placed_points, same_crs
from geoembz._geo.wkb import point_column
from geoembz._util.arrow import compute, pa
from geoembz.errors import InvalidConfigError, SourceError

_AREAS = {"Polygon", "MultiPolygon"}


@dataclass(frozen=True)
class Features:
    """Places of one file, and what is known about each.

    Parameters
    ----------
    name
        Where they come from, for messages.
    crs
        In any form that PROJ knows; coordinates are in the order x (longitude), y (latitude).
    points
        float64, shape ``(n, 2)``, NaN where one is missing; None for geometries.
    geometries
        `shapely` geometries of any kind, shape ``(n,)``, None where one is missing; None for
        points.
    columns
        Everything else, one row per feature; columns of x and y among them.
    axes
        Names of the columns of x and y, where the places stand in such.
    """

    name: str
    crs: str
    points: NDArray[np.float64] | None
    geometries: NDArray[np.object_] | None
    columns: "pa.Table"
    axes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse features that are neither points nor geometries, or both."""
        if (self.points is None) == (self.geometries is None):
            raise InvalidConfigError(f"{self.name}: expected either points or polygons")

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.points if self.geometries is None else self.geometries)  # type: ignore[arg-type]

    @property
    def kind(self) -> str:
        """``points`` or ``polygons``."""
        return "points" if self.geometries is None else "polygons"

    @property
    def attributes(self) -> list[str]:
        """Names of the columns that do not say where a feature lies."""
        return [name for name in self.columns.column_names if name not in self.axes]

    @property
    def geometry_types(self) -> list[str]:
        """Names of the kinds of geometry that occur, in order."""
        shapes = [None] if self.geometries is None else self.geometries
        kinds = {shape.geom_type for shape in shapes if shape is not None}
        return ["Point"] if self.geometries is None else sorted(kinds)

    def points_or_areas(self) -> Self:
        """Return the features as points where all geometries are points, else as they are.

        A collection of one point is a point: GIS software writes such.

        Raises
        ------
        SourceError
            If there is something else than points alone or polygons alone.
        """
        if self.geometries is None:
            return self
        import shapely

        multiple = shapely.get_type_id(self.geometries) == shapely.GeometryType.MULTIPOINT
        single = multiple & (shapely.get_num_geometries(self.geometries) == 1)
        shapes = np.where(single, shapely.get_geometry(self.geometries, 0), self.geometries)
        features = replace(self, geometries=shapes)
        kinds = set(features.geometry_types)
        if kinds <= {"Point"}:
            return replace(self, points=shapely.bounds(shapes)[:, :2], geometries=None)
        if kinds <= _AREAS:
            return features
        raise SourceError(
            f"{self.name}: geometries of type {', '.join(sorted(kinds))}; expected points only or "
            "polygons only; split the file"
        )

    def to_crs(self, crs: str) -> Self:
        """Return the features in another CRS; points NaN and areas None where PROJ has no answer.

        Raises
        ------
        InvalidConfigError
            If PROJ does not know one of the two.
        """
        if same_crs(self.crs, crs):
            return replace(self, crs=crs)
        if self.points is not None:
            return replace(self, crs=crs, points=placed_points(self.points, self.crs, crs))
        import shapely

        shapes = shapely.transform(
            self.geometries, lambda vertices: placed_points(vertices, self.crs, crs)
        )
        vertices, owners = shapely.get_coordinates(shapes, return_index=True)
        shapes[owners[np.isnan(vertices).any(axis=1)]] = None
        return replace(self, crs=crs, geometries=shapes)

    def wkb(self) -> "pa.Array":
        """Return the geometries as WKB; null where one is missing."""
        if self.points is None:
            import shapely

            return pa.array(shapely.to_wkb(self.geometries).tolist(), pa.binary())
        packed = point_column(*self.points.T)
        known = pa.array(np.isfinite(self.points).all(axis=1))
        return compute.if_else(known, packed, pa.scalar(None, pa.binary()))


def number_rows(count: int) -> "pa.Table":
    """Return the columns of features that have none: their numbers."""
    # `pa.array` of a NumPy array imports pandas, which takes longer than most searches.
    numbers = pa.py_buffer(np.arange(count, dtype=np.int64))
    return pa.table({"row": pa.Array.from_buffers(pa.int64(), count, [None, numbers])})
