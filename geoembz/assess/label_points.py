"""Labels from a table of points: CSV or Parquet."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.assess.label_shapes import one_per_pixel
from geoembz.assess.labels import PixelLabels, chosen_column
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.geography import into_range
from geoembz.grid import Grid

_PLACES = (("x", "y"), ("longitude", "latitude"), ("lon", "lat"))


def point_labels(path: Path, grid: Grid, column: str | None, groups: str | None) -> PixelLabels:
    """Return the labels of the pixels that points lie in; see `read_labels`."""
    columns = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    pair = next((pair for pair in _PLACES if set(pair) <= set(columns)), None)
    if pair is None:
        raise InvalidConfigError(
            f"{path}: no places among {', '.join(columns)}; expected columns x and y in the "
            "source's CRS, or longitude and latitude"
        )
    names = [name for name in columns if name not in pair]
    label_name = chosen_column(path, names, column, "--label-column")
    group = None if groups is None else columns[chosen_column(path, names, groups, "--groups")]
    x, y = (columns[name].astype(np.float64) for name in pair)
    if pair != ("x", "y"):
        x, y = _projected(x, y, grid)
    a, _, c, _, e, f = grid.transform
    x = into_range(grid.crs_wkt, x, grid.bbox[0], grid.bbox[2])
    rows, cols = np.floor((y - f) / e), np.floor((x - c) / a)
    height, width = grid.shape
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    rows, cols = (np.where(inside, part, 0).astype(np.int64) for part in (rows, cols))
    found = PixelLabels(rows, cols, columns[label_name], group)
    found = found.without(~inside, "point outside the source")
    return one_per_pixel(found, found.rows * width + found.cols)


def _projected(
    x: NDArray[np.float64], y: NDArray[np.float64], grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    from pyproj import Transformer

    transformer = Transformer.from_crs("OGC:CRS84", grid.crs_wkt, always_xy=True)
    across, down = transformer.transform(x, y)
    return np.asarray(across), np.asarray(down)


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise SourceError(f"{path}: no row; expected a header and one point per line")
    return {name: _numbers_or_text([row[name] for row in rows]) for name in rows[0] if name}


def _numbers_or_text(cells: list[str | None]) -> NDArray[Any]:
    """Return numbers where all cells are numbers or empty, text otherwise."""
    try:
        return np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array([cell or "" for cell in cells])


def _read_parquet(path: Path) -> dict[str, NDArray[Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid) as error:
        raise SourceError(f"{path}: not a Parquet file ({error})") from error
    plain = [name for name in table.column_names if not pa.types.is_nested(table[name].type)]
    return {name: table[name].to_numpy(zero_copy_only=False) for name in plain}
