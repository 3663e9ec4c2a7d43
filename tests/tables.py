"""Tables as their products publish them, small: to the letter of the field notes.

Every function writes one file of seeded numbers and returns what was put in, so that other tests
need no file of their own.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from geoembz._geo.wkb import encode_points

CRS84_JSON = {
    "$schema": "https://proj.org/schemas/v0.7/projjson.schema.json",
    "type": "GeographicCRS",
    "name": "WGS 84 (CRS84)",
    "datum": {
        "type": "GeodeticReferenceFrame",
        "name": "World Geodetic System 1984",
        "ellipsoid": {
            "name": "WGS 84",
            "semi_major_axis": 6378137,
            "inverse_flattening": 298.257223563,
        },
    },
    "coordinate_system": {
        "subtype": "ellipsoidal",
        "axis": [
            {"name": "Longitude", "abbreviation": "lon", "direction": "east", "unit": "degree"},
            {"name": "Latitude", "abbreviation": "lat", "direction": "north", "unit": "degree"},
        ],
    },
    "id": {"authority": "OGC", "code": "CRS84"},
}


@dataclass(frozen=True)
class Written:
    """A file and what it holds.

    Parameters
    ----------
    path
        The file.
    vectors
        Shape ``(n, dimension)``, as the product means them.
    places
        Longitude and latitude of the centres, shape ``(n, 2)``.
    """

    path: Path
    vectors: NDArray[Any]
    places: NDArray[np.float64]


def low_rank(
    rng: np.random.Generator, rows: int, dimension: int, rank: int = 6
) -> NDArray[np.float32]:
    """Return vectors that compress as embeddings do."""
    axes = rng.normal(size=(rank, dimension)) / np.sqrt(np.arange(1, rank + 1))[:, None]
    values = rng.normal(size=(rows, rank)) @ axes + 0.02 * rng.normal(size=(rows, dimension))
    return (values + 0.5).astype(np.float32)


def scattered(rng: np.random.Generator, rows: int) -> NDArray[np.float64]:
    """Return places around 10° east, 48° north."""
    return rng.uniform([8.0, 46.0], [12.0, 50.0], (rows, 2))


def boxes(places: NDArray[np.float64], width: float, height: float) -> list[bytes]:
    """Return rectangles in degrees around places, as WKB."""
    shapes = []
    for x, y in places:
        left, right, low, high = x - width / 2, x + width / 2, y - height / 2, y + height / 2
        ring = [[left, low], [right, low], [right, high], [left, high], [left, low]]
        shapes.append(shapely.to_wkb(shapely.Polygon(ring)))
    return shapes


def vector_column(vectors: NDArray[Any], kind: str = "list") -> pa.Array:
    """Return vectors as ``list``, ``large_list``, ``fixed`` or ``nested`` (1, D) lists."""
    flat, width = pa.array(np.ascontiguousarray(vectors).reshape(-1)), vectors.shape[1]
    fixed = pa.FixedSizeListArray.from_arrays(flat, width)
    if kind == "fixed":
        return fixed
    item = flat.type
    if kind == "nested":
        offsets = pa.array(np.arange(len(vectors) + 1), pa.int32())
        return pa.ListArray.from_arrays(offsets, fixed.cast(pa.list_(item)))
    return fixed.cast(pa.list_(item) if kind == "list" else pa.large_list(item))


def write_geoparquet(
    path: Path,
    columns: dict[str, Any],
    *,
    types: tuple[str, ...] = ("Polygon",),
    crs: Any = CRS84_JSON,
    emb: dict[str, Any] | None = None,
    row_group_size: int | None = None,
) -> None:
    """Write columns, `geometry` among them, as GeoParquet 1.1."""
    geometry = {"encoding": "WKB", "geometry_types": list(types), "crs": crs}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": geometry}}
    metadata = {"geo": json.dumps(geo)} | ({"emb": json.dumps(emb)} if emb else {})
    table = pa.table(columns).replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=row_group_size)


def clay_v0(path: Path, rng: np.random.Generator, rows: int = 120) -> Written:
    """Clay v0: `embeddings` list<f32>[768], polygons in CRS84."""
    vectors, places = low_rank(rng, rows, 768), scattered(rng, rows)
    columns = {
        "source_url": [f"s3://clay/claytile_{row}.tif" for row in range(rows)],
        "date": pa.array(np.datetime64("2021-06-01") + np.arange(rows) % 90, pa.date32()),
        "embeddings": vector_column(vectors),
        "geometry": boxes(places, 0.0685, 0.046),
    }
    write_geoparquet(path, columns)
    return Written(path, vectors, places)


def clay_v1_5(path: Path, rng: np.random.Generator, rows: int = 90) -> Written:
    """Clay v1.5: `embedding` list<f32>[1024], `chips_id`, `datetime`, `bbox`, 2560 m cells."""
    vectors, places = low_rank(rng, rows, 1024), scattered(rng, rows)
    places[:, 1] = 48.0 + (places[:, 1] - 48.0) / 100
    width, height = 2560 / (111_319.49 * np.cos(np.radians(48.0))), 2560 / 111_319.49
    half = np.array([width, height]) / 2
    corners = np.concatenate([places - half, places + half], axis=1)
    columns = {
        "chips_id": [f"{row}U_{row}R" for row in range(rows)],
        "datetime": pa.array(
            np.datetime64("2024-01-01T10:00:00", "us") + 1_000_000 * np.arange(rows),
            pa.timestamp("us", "UTC"),
        ),
        "bbox": pa.StructArray.from_arrays(
            [pa.array(corner) for corner in corners.T], ["xmin", "ymin", "xmax", "ymax"]
        ),
        "embedding": vector_column(vectors),
        "geometry": boxes(places, width, height),
    }
    write_geoparquet(path, columns, row_group_size=17)
    return Written(path, vectors, places)


def earth_index(path: Path, rng: np.random.Generator, rows: int = 200) -> Written:
    """Earth Index: `id`, `embedding` fixed_size_list<f32>[384], 320 m cells, footer `emb`."""
    vectors, places = low_rank(rng, rows, 384), scattered(rng, rows)
    columns = {
        "id": [f"32UPU_{row}" for row in range(rows)],
        "embedding": vector_column(vectors, "fixed"),
        "geometry": boxes(places, 0.0043, 0.00287),
    }
    emb = {
        "version": "0.0.1",
        "model": {"id": "softcon", "source": "https://github.com/zhu-xlab/softcon"},
        "embedding_dim": 384,
    }
    write_geoparquet(path, columns, emb=emb)
    return Written(path, vectors, places)


def major_tom(path: Path, rng: np.random.Generator, rows: int = 80) -> Written:
    """Major-TOM: `embedding` of shape (1, D), grid cells, centres, UTM footprints."""
    vectors, places = low_rank(rng, rows, 64), scattered(rng, rows)
    columns = {
        "unique_id": [f"{row:032x}" for row in range(rows)],
        "embedding": vector_column(vectors, "nested"),
        "grid_cell": [f"{row}U_{row}R" for row in range(rows)],
        "grid_row_u": pa.array(np.arange(rows), pa.int16()),
        "grid_col_r": pa.array(np.arange(rows)[::-1].copy(), pa.int16()),
        "product_id": ["S2B_MSIL2A_20200223"] * rows,
        "timestamp": pa.array(np.datetime64("2020-02-23T10:00:00", "s") + np.arange(rows)),
        "centre_lat": places[:, 1],
        "centre_lon": places[:, 0],
        "geometry": boxes(places, 0.03, 0.02),
        "utm_footprint": ["POLYGON ((0 0, 1 0, 1 1, 0 0))"] * rows,
        "utm_crs": ["EPSG:32632"] * rows,
        "pixel_bbox": pa.array([[0, 0, 224, 224]] * rows, pa.list_(pa.int16())),
    }
    write_geoparquet(path, columns)
    return Written(path, vectors, places)


def mosaiks_csv(
    path: Path, rng: np.random.Generator, rows: int = 60, features: int = 4000
) -> Written:
    """MOSAIKS: CSV with `lat`, `lon` and `X_0` … `X_3999`."""
    vectors, places = low_rank(rng, rows, features), scattered(rng, rows)
    header = ",".join(["lat", "lon", *(f"X_{index}" for index in range(features))])
    cells = np.column_stack([places[:, ::-1], vectors])
    lines = [",".join(repr(float(cell)) for cell in row) for row in cells]
    path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return Written(path, vectors, places)


def aef_codes(rng: np.random.Generator, rows: int) -> NDArray[np.int8]:
    """Return codes of vectors of length about 1, as AlphaEarth stores them."""
    values = rng.normal(size=(rows, 64))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    return np.round(np.sign(values) * np.sqrt(np.abs(values)) * 127.5).astype(np.int8)


def earth_engine_csv(path: Path, rng: np.random.Generator, rows: int = 150) -> Written:
    """Earth Engine: `system:index`, `A00` … `A63` on the grid of codes, and the place in `.geo`.

    `vectors` are the int8 codes.
    """
    codes, places = aef_codes(rng, rows), scattered(rng, rows)
    values = np.sign(codes) * (np.abs(codes.astype(np.float64)) / 127.5) ** 2
    names = ["system:index", *(f"A{index:02d}" for index in range(64)), "label", ".geo"]
    lines = [",".join(names)]
    for row in range(rows):
        x, y = (float(value) for value in places[row])
        geo = json.dumps({"type": "Point", "coordinates": [x, y]}).replace('"', '""')
        numbers = ",".join(repr(float(value)) for value in values[row])
        lines.append(f'{row:08x},{numbers},{row % 5},"{geo}"')
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Written(path, codes, places)


def plain(
    path: Path,
    rng: np.random.Generator,
    rows: int = 500,
    dimension: int = 16,
    *,
    dtype: str = "float32",
    kind: str = "list",
    row_group_size: int | None = None,
) -> Written:
    """`embedding` with `lon` and `lat`, an integer, a text and a float with a gap."""
    vectors = low_rank(rng, rows, dimension).astype(dtype)
    places = scattered(rng, rows)
    gaps = pa.array(rng.normal(size=rows), mask=np.arange(rows) % 7 == 0)
    columns = {
        "embedding": vector_column(vectors, kind),
        "lon": places[:, 0],
        "lat": places[:, 1],
        "number": np.arange(rows),
        "name": [f"chip {row}" for row in range(rows)],
        "score": gaps,
    }
    pq.write_table(pa.table(columns), path, row_group_size=row_group_size)
    return Written(path, vectors, places)


def points_wkb(places: NDArray[np.float64]) -> list[bytes]:
    """Return places as WKB points."""
    return [row.tobytes() for row in encode_points(places[:, 0], places[:, 1])]
