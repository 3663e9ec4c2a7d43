"""Labels of pixels, from a raster, polygons or points: which pixel of the source has which label.

Only the labels are read here, never the embeddings.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.sample import Rows
from geoembz._geo import into_range, shifts
from geoembz._geo.grid import Grid, Window
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features import Features, is_feature_file, read_rows


@dataclass(frozen=True, eq=False)
class PixelLabels(Rows):
    """Labelled pixels of a grid.

    Parameters
    ----------
    rows, cols
        Place of each pixel, int64, shape ``(n,)``.
    labels
        Class or quantity of each pixel, shape ``(n,)``.
    groups
        Polygon, site or other group of each pixel; None without groups.
    column
        Attribute or column that the labels are from; None of a raster.
    exclusions, messages
        See `Rows`.
    """

    rows: NDArray[np.int64]
    cols: NDArray[np.int64]
    labels: NDArray[Any]
    groups: NDArray[Any] | None = None
    column: str | None = None

    def __len__(self) -> int:
        """Return the number of labelled pixels."""
        return len(self.rows)


def read_labels(
    path: str | Path,
    grid: Grid,
    column: str | None = None,
    groups: str | None = None,
    nodata: float | None = None,
    option: str = "--label-column",
) -> PixelLabels:
    """Read the labels of a grid's pixels, of which there must be some.

    Parameters
    ----------
    path, grid, column, groups, nodata, option
        As in `find_labels`.

    Raises
    ------
    SourceError
        If the labels cannot be read, or none lies on the grid.
    InvalidConfigError
        If a column is missing.
    """
    found = find_labels(path, grid, column, groups, nodata, option)
    if not len(found):
        refuse_no_label(path, [grid], found.exclusions)
    return found


def refuse_no_label(
    path: str | Path, grids: Sequence[Grid], exclusions: Mapping[str, int]
) -> NoReturn:
    """Say that labels and grids lie apart.

    Raises
    ------
    SourceError
        Always.
    """
    bounds = "; ".join(", ".join(f"{value:.6g}" for value in grid.bbox) for grid in grids[:3])
    excluded = "".join(f"; {count:,} {why}" for why, count in exclusions.items())
    raise SourceError(
        f"{path}: no label lies on the source (its bounds are {bounds}{excluded}); "
        "expected labels that overlap it: check both CRSs and the nodata value"
    )


def find_labels(
    path: str | Path,
    grid: Grid,
    column: str | None = None,
    groups: str | None = None,
    nodata: float | None = None,
    option: str = "--label-column",
) -> PixelLabels:
    """Find the labels of a grid's pixels; there may be none.

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
    option
        What the command calls `column`, for messages.

    Raises
    ------
    SourceError
        If the labels cannot be read.
    InvalidConfigError
        If a column is missing.
    """
    path = Path(path)
    if not path.exists():
        raise SourceError(f"{path}: no such file; expected labels: a raster, GeoJSON or a table")
    if is_feature_file(path):
        found = _feature_labels(path, grid, column, groups, option)
        if nodata is None:
            return found
        return found.without(np.asarray(found.labels == nodata), "label nodata")
    from geoembz._evaluate.label_raster import raster_labels

    return raster_labels(path, grid, groups, nodata)


def find_all_labels(
    grids: Sequence[Grid],
    path: str | Path,
    column: str | None = None,
    groups: str | None = None,
    nodata: float | None = None,
) -> tuple[PixelLabels, NDArray[np.int64]]:
    """Find the labels of all grids of a store, of which one must have some.

    Parameters
    ----------
    grids, path, column, groups, nodata
        As in `find_labels`, of each grid.

    Returns
    -------
    labels
        Those of all grids, one grid laid below the other.
    tops
        The first row of each grid; see `number_grids`.

    Raises
    ------
    SourceError
        If the labels cannot be read, or none lies on any grid.
    InvalidConfigError
        If a column is missing.
    """
    path = Path(path)
    parts = [find_labels(path, grid, column, groups, nodata, "--column") for grid in grids]
    tops = np.cumsum([0, *(grid.shape[0] for grid in grids[:-1])]).astype(np.int64)
    if not any(len(part) for part in parts):
        refuse_no_label(path, grids, parts[0].exclusions)
    if len(parts) == 1:
        return parts[0], tops
    # What lies outside one grid may lie in another, so exclusions of each say nothing of all.
    marked = [part.groups for part in parts if part.groups is not None]
    joined = PixelLabels(
        rows=np.concatenate([part.rows + top for part, top in zip(parts, tops, strict=True)]),
        cols=np.concatenate([part.cols for part in parts]),
        labels=np.concatenate([part.labels for part in parts]),
        groups=np.concatenate(marked) if len(marked) == len(parts) else None,
        column=parts[0].column,
        messages=tuple(dict.fromkeys(text for part in parts for text in part.messages)),
    )
    return joined, tops


def number_grids(
    tops: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the grid of each row, of grids laid one below the other, and the row in that grid."""
    numbers = np.searchsorted(tops, rows, side="right") - 1
    return numbers, rows - tops[numbers]


def require_numbers(name: object, labels: NDArray[Any], advice: str) -> None:
    """Refuse texts where quantities are wanted; `advice` is for who wants classes.

    Raises
    ------
    InvalidConfigError
        Showing one of them.
    """
    if labels.dtype.kind not in "iuf":
        raise InvalidConfigError(
            f"{name}: the labels are text, such as {str(labels[0])!r}; expected numbers: "
            f"name another --column, or {advice}"
        )


def whole_classes(name: object, labels: NDArray[Any], advice: str) -> NDArray[Any]:
    """Return labels of classes, none of them missing: files may hold whole numbers as floats.

    `advice` is for who has quantities.

    Raises
    ------
    InvalidConfigError
        If a number is not whole.
    """
    if labels.dtype.kind != "f":
        return labels
    broken = labels[labels != np.round(labels)]
    if len(broken):
        raise InvalidConfigError(
            f"{name}: {len(broken):,} labels are no whole numbers, such as {broken[0]:g}; "
            f"expected classes, as texts or whole numbers: {advice}"
        )
    return labels.astype(np.int64)


def _feature_labels(
    path: Path, grid: Grid, column: str | None, groups: str | None, option: str
) -> PixelLabels:
    """Return labels from a file of places: a table's points, or features of any geometry."""
    features = read_rows(path, unknown_crs=grid.crs_wkt)
    is_points = features.points is not None
    names = features.attributes if is_points else sorted(features.attributes)
    if not is_points and (features.geometries is None or not len(features.geometries)):
        raise SourceError(f"{path}: no feature; expected labelled polygons or points")
    label_name = choose_column(path, names, column, option)
    group_name = None if groups is None else choose_column(path, names, groups, "--groups")
    labels = features.columns[label_name].to_pylist()
    group = None if group_name is None else _as_array(features.columns[group_name].to_pylist())
    if is_points:
        return replace(_point_labels(features, grid, labels, group), column=label_name)
    found = replace(_shape_labels(features, grid, labels, group), column=label_name)
    if group is not None:
        return found
    return replace(found, messages=(f"{path.name}: each feature is a group",))


def choose_column(path: Path, names: list[str], wanted: str | None, option: str) -> str:
    """Return the column asked for, or the only one there is."""
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


def _as_array(values: list[Any]) -> NDArray[Any]:
    """Return an attribute of every feature: numbers, NaN where missing, or else text."""
    known = [value for value in values if value is not None]
    if all(isinstance(v, int | float | Decimal) and not isinstance(v, bool) for v in known):
        numbers = [float(v) if isinstance(v, Decimal) else v for v in values]
        return np.array([np.nan if v is None else v for v in numbers])
    return np.array(["" if value is None else str(value) for value in values])


def _point_labels(
    features: Features, grid: Grid, values: Sequence[Any], group: NDArray[Any] | None
) -> PixelLabels:
    """Return the labels of the pixels that points lie in."""
    missing = np.array([value is None or value == "" for value in values], np.bool_)
    points = features.to_crs(grid.crs_wkt).points
    x, y = np.empty((0, 2)).T if points is None else points.T
    x = into_range(grid.crs_wkt, x, grid.bbox[0], grid.bbox[2])
    down, across = map(np.floor, grid.rows_cols(x, y))
    height, width = grid.shape
    inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    down, across = (np.where(inside, part, 0).astype(np.int64) for part in (down, across))
    found = PixelLabels(down, across, _as_array(list(values)), group)
    found = found.without(missing, "point without a label")
    found = found.without(~inside[~missing], "point outside the source")
    return _drop_repetitions(found, found.rows * width + found.cols)


def _shape_labels(
    features: Features, grid: Grid, values: Sequence[Any], group: NDArray[Any] | None
) -> PixelLabels:
    """Return the labels of the pixels whose centres lie in the features.

    A pixel in features of different labels has no label; each feature is a group by default.
    """
    from pyproj import CRS
    from rasterio.warp import transform_geom

    shapes = () if features.geometries is None else features.geometries
    crs = CRS.from_user_input(features.crs).to_wkt()
    parts, outside, missing = [np.empty((2, 0), np.int64)], 0, 0
    for number, (shape, value) in enumerate(zip(shapes, values, strict=True)):
        if value is None or shape is None:
            missing += 1
            continue
        pixels = _find_covered(transform_geom(crs, grid.crs_wkt, shape), grid)
        outside += not len(pixels)
        parts.append(np.stack([pixels, np.full(len(pixels), number)]))
    pixels, numbers = np.concatenate(parts, axis=1)
    reasons = {"feature without a label": missing, "feature that covers no pixel": outside}
    found = PixelLabels(
        rows=pixels // grid.shape[1],
        cols=pixels % grid.shape[1],
        labels=_as_array(list(values))[numbers],
        groups=numbers if group is None else group[numbers],
        exclusions={why: count for why, count in reasons.items() if count},
    )
    return _drop_repetitions(found, pixels)


def _drop_repetitions(found: PixelLabels, pixels: NDArray[np.int64]) -> PixelLabels:
    """Leave out pixels with contradicting labels, and repetitions of the others."""
    _, first, place = np.unique(pixels, return_index=True, return_inverse=True)
    differs = np.zeros(len(first), np.bool_)
    np.logical_or.at(differs, place, found.labels != found.labels[first][place])
    repeated = np.ones(len(pixels), np.bool_)
    repeated[first] = False
    contradicting = differs[place]
    kept = ~repeated | contradicting
    found = found.without(~kept, "second label of a pixel")
    return found.without(contradicting[kept], "pixel with contradicting labels")


def _find_covered(geometry: Mapping[str, Any], grid: Grid) -> NDArray[np.int64]:
    """Return the flat indices of the pixels that a geometry covers, in longitudes of any range."""
    from rasterio.features import bounds

    box = bounds(geometry)
    found = [np.empty(0, np.int64)]
    if np.isfinite(box).all():
        turns = shifts(grid.crs_wkt, (box[0], box[2]), (grid.bbox[0], grid.bbox[2]))
        found += [_find_covered_at(geometry, box, grid, turn) for turn in turns]
    return np.unique(np.concatenate(found))


def _find_covered_at(
    geometry: Mapping[str, Any],
    bounds: tuple[float, float, float, float],
    grid: Grid,
    shift: float,
) -> NDArray[np.int64]:
    """Return the pixels under a geometry that lies `shift` west of them, looking at its bounds."""
    import rasterio
    from rasterio.features import rasterize

    west, south, east, north = bounds
    a, _, c, _, e, f = grid.transform
    c -= shift
    left, right = (int(np.floor(col)) for col in sorted(((west - c) / a, (east - c) / a)))
    top, bottom = (int(np.floor(row)) for row in sorted(((south - f) / e, (north - f) / e)))
    window = Window(top, left, bottom - top + 1, right - left + 1).intersection(grid.window)
    if window is None:
        return np.empty(0, np.int64)
    transform = rasterio.Affine(a, 0.0, c + a * window.col, 0.0, e, f + e * window.row)
    burnt = rasterize([geometry], out_shape=window.shape, transform=transform, dtype=np.uint8)
    rows, cols = np.nonzero(burnt)
    return np.asarray((rows + window.row) * grid.shape[1] + cols + window.col, np.int64)
