"""Labels for the stores of these tests: as points in a table, polygons, or a raster."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.store import StoreReader
from tests.map.conftest import vectors

KINDS = np.array(["field", "forest", "water"])


def truth(reader: StoreReader) -> NDArray[np.int64]:
    """Return classes 0 to 2, almost linear in the vectors, -1 without one, shape ``(y, x)``."""
    values, rng = vectors(reader), np.random.default_rng(1)
    weights = rng.normal(size=(3, len(values)))
    scores = np.tensordot(weights, values - np.nanmean(values, axis=(1, 2), keepdims=True), 1)
    scores *= 6 / np.nanstd(scores)
    scores += rng.normal(size=scores.shape)
    return np.where(np.isfinite(scores[0]), np.nan_to_num(scores).argmax(axis=0), -1)


def quantity(reader: StoreReader) -> NDArray[np.float64]:
    """Return a number that is linear in the vectors, NaN without one, shape ``(y, x)``."""
    values = vectors(reader)
    return np.asarray(np.tensordot(np.linspace(-1, 1, len(values)), values, 1) + 7)


def write_points(
    path: Path, reader: StoreReader, values: NDArray[Any], n: int = 300, column: str = "kind"
) -> Path:
    """Write some pixels' labels as a CSV file in the store's CRS."""
    grid = reader.attributes.grid
    chosen = np.random.default_rng(2).permutation(values.size)[:n]
    rows, cols = np.divmod(chosen, values.shape[1])
    lines = [f"{grid.x[c]},{grid.y[r]},{values[r, c]}" for r, c in zip(rows, cols, strict=True)]
    path.write_text("\n".join([f"x,y,{column}", *lines]) + "\n", encoding="utf-8")
    return path


def square(reader: StoreReader, row: int, col: int, side: int) -> list[list[float]]:
    """Return the ring around a square of pixels."""
    a, _, c, _, e, f = reader.attributes.grid.transform
    left, top, right, bottom = c + a * col, f + e * row, c + a * (col + side), f + e * (row + side)
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def write_polygons(
    path: Path, reader: StoreReader, corners: list[tuple[int, int, str]], side: int = 5
) -> Path:
    """Write squares of pixels, each of a class, as GeoJSON in the store's CRS."""
    features = [
        {
            "type": "Feature",
            "properties": {"kind": name, "number": number},
            "geometry": {"type": "Polygon", "coordinates": [square(reader, row, col, side)]},
        }
        for number, (row, col, name) in enumerate(corners)
    ]
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32632"}}
    document = {"type": "FeatureCollection", "crs": crs, "features": features}
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def scattered(reader: StoreReader, side: int = 5) -> list[tuple[int, int, str]]:
    """Return squares all over the scene with the class that most of their pixels have."""
    classes = truth(reader)
    corners = []
    for row in range(10, classes.shape[0] - side, 9):
        for col in range(8, classes.shape[1] - side, 8):
            part = classes[row : row + side, col : col + side]
            most = np.bincount(part[part >= 0], minlength=3).argmax()
            corners.append((row, col, str(KINDS[most])))
    return corners
