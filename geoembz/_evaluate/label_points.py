"""Labels from a table of points: each is that of the pixel it lies in."""

from pathlib import Path

import numpy as np

from geoembz._evaluate.label_shapes import one_per_pixel
from geoembz._evaluate.labels import PixelLabels, attribute, chosen_column
from geoembz._geo import into_range
from geoembz._geo.grid import Grid
from geoembz.sources.features import Features


def point_labels(
    path: Path, rows: Features, grid: Grid, column: str | None, groups: str | None
) -> PixelLabels:
    """Return the labels of the pixels that points lie in; see `read_labels`."""
    names = rows.attributes
    label_name = chosen_column(path, names, column, "--label-column")
    group_name = None if groups is None else chosen_column(path, names, groups, "--groups")
    values = rows.columns[label_name].to_pylist()
    missing = np.array([value is None or value == "" for value in values], np.bool_)
    group = None if group_name is None else attribute(rows.columns[group_name].to_pylist())
    points = rows.to_crs(grid.crs_wkt).points
    x, y = np.empty((0, 2)).T if points is None else points.T
    a, _, c, _, e, f = grid.transform
    x = into_range(grid.crs_wkt, x, grid.bbox[0], grid.bbox[2])
    down, across = np.floor((y - f) / e), np.floor((x - c) / a)
    height, width = grid.shape
    inside = (down >= 0) & (down < height) & (across >= 0) & (across < width)
    down, across = (np.where(inside, part, 0).astype(np.int64) for part in (down, across))
    found = PixelLabels(down, across, attribute(values), group)
    found = found.without(missing, "point without a label")
    found = found.without(~inside[~missing], "point outside the source")
    return one_per_pixel(found, found.rows * width + found.cols)
