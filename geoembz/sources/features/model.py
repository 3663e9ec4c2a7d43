"""Points or polygons with their columns, in one CRS."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import compute

from geoembz._geo.wkb import Geometry, encode, encode_points, map_vertices
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features.rows import FeatureRows

_AREAS = {"Polygon", "MultiPolygon"}


@dataclass(frozen=True)
class Features:
    """Points, or polygons, and what is known about each.

    Parameters
    ----------
    name
        Where they come from, for messages.
    crs
        In any form that PROJ knows; coordinates are in the order x (longitude), y (latitude).
    points
        float64, shape ``(n, 2)``, NaN where one is missing; None for polygons.
    polygons
        GeoJSON geometries, None where one is missing; None for points.
    columns
        Everything else, one row per feature.
    """

    name: str
    crs: str
    points: NDArray[np.float64] | None
    polygons: tuple[Geometry | None, ...] | None
    columns: pa.Table

    def __post_init__(self) -> None:
        """Refuse features that are neither points nor polygons, or both."""
        if (self.points is None) == (self.polygons is None):
            raise InvalidConfigError(f"{self.name}: expected either points or polygons")

    @classmethod
    def of_rows(cls, rows: FeatureRows) -> Self:
        """Return the features of a file; see `of`."""
        if rows.points is not None:
            return cls(rows.name, rows.crs, rows.points, None, rows.columns)
        return cls.of(rows.name, rows.crs, rows.geometries or (), rows.columns)

    @classmethod
    def of(
        cls, name: str, crs: str, geometries: Sequence[Geometry | None], columns: pa.Table
    ) -> Self:
        """Sort geometries into points or polygons.

        Raises
        ------
        SourceError
            If both occur, or something else does.
        """
        geometries = [_single(geometry) for geometry in geometries]
        kinds = {geometry["type"] for geometry in geometries if geometry is not None}
        if kinds <= {"Point"}:
            missing = (np.nan, np.nan)
            places = [missing if g is None else g["coordinates"][:2] for g in geometries]
            points = np.array(places, dtype=np.float64).reshape(-1, 2)
            return cls(name, crs, points, None, columns)
        if kinds <= _AREAS:
            return cls(name, crs, None, tuple(geometries), columns)
        raise SourceError(
            f"{name}: geometries of type {', '.join(sorted(kinds))}; expected points only or "
            "polygons only; split the file"
        )

    def __len__(self) -> int:
        """Return the number of features."""
        return len(self.points if self.polygons is None else self.polygons)  # type: ignore[arg-type]

    @property
    def kind(self) -> str:
        """``points`` or ``polygons``."""
        return "points" if self.polygons is None else "polygons"

    def to_crs(self, crs: str) -> Self:
        """Return the features with their vertices in another CRS; NaN where PROJ has no answer."""
        from pyproj import CRS, Transformer

        target = CRS.from_user_input(crs)
        if CRS.from_user_input(self.crs).equals(target, ignore_axis_order=True):
            return replace(self, crs=crs)
        transformer = Transformer.from_crs(self.crs, target, always_xy=True)

        def move(vertices: NDArray[np.float64]) -> NDArray[np.float64]:
            x, y = transformer.transform(vertices[:, 0], vertices[:, 1])
            moved = np.column_stack([x, y])
            moved[~np.isfinite(moved).all(axis=1)] = np.nan
            return moved

        if self.points is not None:
            return replace(self, crs=crs, points=move(self.points))
        polygons = tuple(p and map_vertices(p, move) for p in self.polygons or ())
        return replace(self, crs=crs, polygons=polygons)

    def wkb(self) -> pa.Array:
        """Return the geometries as WKB; null where one is missing."""
        if self.points is None:
            return pa.array([p and encode(p) for p in self.polygons or ()], pa.binary())
        x, y = self.points.T
        packed = pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(21), len(x), [None, pa.py_buffer(encode_points(x, y).tobytes())]
        ).cast(pa.binary())
        known = pa.array(np.isfinite(self.points).all(axis=1))
        return compute.if_else(known, packed, pa.scalar(None, pa.binary()))


def _single(geometry: Geometry | None) -> Geometry | None:
    """Return the point that a collection of one point is; GIS software writes such."""
    if geometry is None or geometry["type"] != "MultiPoint" or len(geometry["coordinates"]) != 1:
        return geometry
    return {"type": "Point", "coordinates": geometry["coordinates"][0]}
