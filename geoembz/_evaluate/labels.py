"""Labels of pixels, from a raster, polygons or points: which pixel of the source has which label.

Only the labels are read here, never the embeddings.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features import is_feature_file


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
        A raster, on any grid; or points, lines or polygons in a file that `read_rows` reads.
        Columns `x` and `y`, and places of unknown CRS, are taken in the grid's CRS.
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
    if is_feature_file(path):
        found = _feature_labels(path, grid, column, groups)
    else:
        from geoembz._evaluate.label_raster import raster_labels

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


def attribute(values: list[Any]) -> NDArray[Any]:
    """Return an attribute of every feature: numbers, NaN where missing, or else text.

    Examples
    --------
    >>> attribute([1.5, None]).tolist(), attribute(["a", None, True]).tolist()
    ([1.5, nan], ['a', '', 'True'])
    """
    numeric = all(
        isinstance(v, int | float | Decimal) and not isinstance(v, bool)
        for v in values
        if v is not None
    )
    if numeric:
        numbers = [float(v) if isinstance(v, Decimal) else v for v in values]
        return np.array([np.nan if v is None else v for v in numbers])
    return np.array(["" if value is None else str(value) for value in values])


def _feature_labels(path: Path, grid: Grid, column: str | None, groups: str | None) -> PixelLabels:
    """Return labels from a file of places: a table's points, or features of any geometry."""
    from geoembz._evaluate.label_points import point_labels
    from geoembz._evaluate.label_shapes import shape_labels
    from geoembz.sources.features import read_rows

    rows = read_rows(path, unknown_crs=grid.crs_wkt)
    labels = point_labels if rows.points is not None else shape_labels
    return labels(path, rows, grid, column, groups)


def _bounds(grid: Grid) -> str:
    return ", ".join(f"{value:.6g}" for value in grid.bbox)
