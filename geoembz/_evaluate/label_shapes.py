"""Labels from polygons and points with attributes: each burnt into the pixels that it covers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.labels import PixelLabels, attribute, chosen_column
from geoembz._geo import shifts
from geoembz._geo.grid import Grid, Window
from geoembz.errors import SourceError
from geoembz.sources.features import Features


def shape_labels(
    path: Path, features: Features, grid: Grid, column: str | None, groups: str | None
) -> PixelLabels:
    """Return the labels of the pixels whose centres lie in the features; see `read_labels`.

    A pixel in features of different labels has no label; each feature is a group by default.
    """
    from pyproj import CRS
    from rasterio.warp import transform_geom

    shapes = features.geometries
    if shapes is None or not len(shapes):
        raise SourceError(f"{path}: no feature; expected labelled polygons or points")
    names = sorted(features.attributes)
    label_name = chosen_column(path, names, column, "--label-column")
    group_name = None if groups is None else chosen_column(path, names, groups, "--groups")
    values = features.columns[label_name].to_pylist()
    crs = CRS.from_user_input(features.crs).to_wkt()
    parts, outside, missing = [], 0, 0
    for number, (shape, value) in enumerate(zip(shapes, values, strict=True)):
        if value is None or shape is None:
            missing += 1
            continue
        pixels = _covered(transform_geom(crs, grid.crs_wkt, shape), grid)
        outside += not len(pixels)
        parts.append((pixels, np.full(len(pixels), number)))
    pixels = np.concatenate([part[0] for part in parts]) if parts else np.empty(0, np.int64)
    numbers = np.concatenate([part[1] for part in parts]) if parts else np.empty(0, np.int64)
    grouping = (
        np.arange(len(shapes))
        if group_name is None
        else attribute(features.columns[group_name].to_pylist())
    )
    reasons = {"feature without a label": missing, "feature that covers no pixel": outside}
    found = PixelLabels(
        rows=pixels // grid.shape[1],
        cols=pixels % grid.shape[1],
        labels=attribute(values)[numbers],
        groups=grouping[numbers],
        exclusions={why: count for why, count in reasons.items() if count},
        messages=() if group_name else (f"{path.name}: each feature is a group",),
    )
    return one_per_pixel(found, pixels)


def one_per_pixel(found: PixelLabels, pixels: NDArray[np.int64]) -> PixelLabels:
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


def _covered(geometry: Mapping[str, Any], grid: Grid) -> NDArray[np.int64]:
    """Return the flat indices of the pixels that a geometry covers, in longitudes of any range."""
    from rasterio.features import bounds

    west, south, east, north = bounds(geometry)
    found = [np.empty(0, np.int64)]
    if np.isfinite([west, south, east, north]).all():
        left, _, right, _ = grid.bbox
        turns = shifts(grid.crs_wkt, (west, east), (left, right))
        box = (west, south, east, north)
        found += [_covered_at(geometry, box, grid, turn) for turn in turns]
    return np.unique(np.concatenate(found))


def _covered_at(
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
    cols = sorted(((west - c) / a, (east - c) / a))
    rows = sorted(((south - f) / e, (north - f) / e))
    first_row, first_col = int(np.floor(rows[0])), int(np.floor(cols[0]))
    box = Window(
        first_row,
        first_col,
        int(np.floor(rows[1])) - first_row + 1,
        int(np.floor(cols[1])) - first_col + 1,
    )
    window = box.intersection(grid.window)
    if window is None:
        return np.empty(0, np.int64)
    transform = rasterio.Affine(a, 0.0, c + a * window.col, 0.0, e, f + e * window.row)
    burnt = rasterize([geometry], out_shape=window.shape, transform=transform, dtype=np.uint8)
    inside_rows, inside_cols = np.nonzero(burnt)
    return np.asarray(
        (inside_rows + window.row) * grid.shape[1] + inside_cols + window.col, np.int64
    )
