"""Labels of pixels, from a raster, polygons or points: which pixel of the source has which label.

Only the labels are read here, never the embeddings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError, SourceError
from geoembz.geojson import read_geojson
from geoembz.grid import Grid

VECTOR_SUFFIXES = {".geojson", ".json", ".gpkg", ".shp", ".fgb"}
TABLE_SUFFIXES = {".csv", ".parquet", ".pq", ".geoparquet"}


@dataclass(frozen=True, eq=False)
class PixelLabels:
    """Labelled pixels of a grid.

    Parameters
    ----------
    rows, cols
        Place of each pixel, int64, shape ``(n,)``.
    labels
        Class or quantity of each pixel, shape ``(n,)``.
    groups
        Polygon, site or other group of each pixel; None without groups.
    exclusions
        Number of labels left out, by reason.
    messages
        What a user should know, such as a reprojection.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    labels: NDArray[Any]
    groups: NDArray[Any] | None = None
    exclusions: Mapping[str, int] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of labelled pixels."""
        return len(self.rows)

    def take(self, chosen: NDArray[Any]) -> Self:
        """Return some of the pixels."""
        return replace(
            self,
            rows=self.rows[chosen],
            cols=self.cols[chosen],
            labels=self.labels[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )

    def without(self, rows: NDArray[np.bool_], reason: str) -> Self:
        """Return the pixels without some, which are counted under `reason`."""
        count = int(rows.sum())
        if not count:
            return self
        excluded = {**self.exclusions, reason: self.exclusions.get(reason, 0) + count}
        return replace(self.take(~rows), exclusions=excluded)


def read_labels(
    path: str | Path,
    grid: Grid,
    *,
    column: str | None = None,
    groups: str | None = None,
    nodata: float | None = None,
) -> PixelLabels:
    """Read the labels of a grid's pixels.

    Parameters
    ----------
    path
        A raster, on any grid; polygons or points in GeoJSON (GeoPackage, Shapefile and others with
        geopandas); or a table of points, CSV or Parquet, with columns `x` and `y` in the grid's CRS
        or `longitude` and `latitude`.
    grid
        The source's grid.
    column
        Attribute or column with the label; needed unless there is only one.
    groups
        Attribute or column with the group, or, for raster labels, a raster of groups.
    nodata
        Label that means none; of a raster the declared one by default.

    Raises
    ------
    SourceError
        If the labels cannot be read, or none lies on the grid.
    InvalidConfigError
        If a column is missing.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"{path}: no such file; expected labels: a raster, GeoJSON or a table")
    if path.suffix.lower() in VECTOR_SUFFIXES:
        from geoembz.assess.label_shapes import shape_labels

        found = shape_labels(path, _features(path), grid, column, groups)
    elif path.suffix.lower() in TABLE_SUFFIXES:
        from geoembz.assess.label_points import point_labels

        found = point_labels(path, grid, column, groups)
    else:
        from geoembz.assess.label_raster import raster_labels

        found = raster_labels(path, grid, groups, nodata)
        nodata = None
    if nodata is not None:
        found = found.without(np.asarray(found.labels == nodata), "label nodata")
    if not len(found):
        excluded = "".join(f"; {count:,} {why}" for why, count in found.exclusions.items())
        raise SourceError(
            f"{path}: no label lies on the source (its bounds are {_bounds(grid)}{excluded}); "
            "expected labels that overlap it: check both CRSs and the nodata value"
        )
    return found


def chosen_column(path: Path, names: list[str], wanted: str | None, option: str) -> str:
    """Return the column asked for, or the only one there is.

    Raises
    ------
    InvalidConfigError
        If it is missing, or there is a choice.
    """
    if wanted is None and len(names) == 1:
        return names[0]
    if wanted is None and "label" in names:
        return "label"
    if wanted not in names:
        came = "no column was named" if wanted is None else f"there is no column {wanted!r}"
        raise InvalidConfigError(
            f"{path}: {came}; it has {', '.join(map(str, names))}; name one with {option}"
        )
    return str(wanted)


def _features(path: Path) -> tuple[list[Mapping[str, Any]], str]:
    """Return GeoJSON-like features and their CRS."""
    if path.suffix.lower() not in {".geojson", ".json"}:
        return _features_by_geopandas(path)
    found = read_geojson(path)
    pairs = zip(found.geometries, found.properties, strict=True)
    return [{"geometry": geometry, "properties": known} for geometry, known in pairs], found.crs


def _features_by_geopandas(path: Path) -> tuple[list[Mapping[str, Any]], str]:
    try:
        import geopandas
    except ImportError as error:
        from geoembz.errors import MissingPackageError

        raise MissingPackageError(
            f"{path}: reading {path.suffix} needs geopandas; install it (`pip install geopandas`), "
            "or convert the labels to GeoJSON"
        ) from error
    frame = geopandas.read_file(path)
    if frame.crs is None:
        raise SourceError(f"{path}: no CRS; expected georeferenced labels")
    return list(frame.iterfeatures()), frame.crs.to_wkt()


def _bounds(grid: Grid) -> str:
    return ", ".join(f"{value:.6g}" for value in grid.bbox)
