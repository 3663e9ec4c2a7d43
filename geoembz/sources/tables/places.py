"""Where a table's rows lie: a geometry, a box, or two columns, and which file says so how."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._geo import full_turn, is_geographic, narrowest
from geoembz._geo.geojson import geometry_of
from geoembz._geo.geoparquet import CRS84, degrees_columns, read_geo
from geoembz._geo.wkb import Geometry, column_bounds, from_wkb
from geoembz._util.arrow import compute, pa, parquet
from geoembz._util.bounded_json import parse_json
from geoembz.errors import InvalidConfigError, SourceError

_BOX = ("xmin", "ymin", "xmax", "ymax")
_GEOARROW = "geoarrow."
_LOGICAL = ("Geometry", "Geography")


@dataclass(frozen=True)
class Places:
    """How to find a row's place.

    Parameters
    ----------
    kind
        ``wkb``, ``point`` (a struct of x and y), ``geojson`` (text), ``box`` (a struct) or ``xy``
        (two columns).
    columns
        The columns that hold it.
    crs
        In a form that PROJ knows.
    """

    kind: str
    columns: tuple[str, ...]
    crs: str = CRS84

    @cached_property
    def is_degrees(self) -> bool:
        """Whether y is latitude: by the columns' names, or by the CRS."""
        if self.kind == "xy" and self.columns != ("x", "y"):
            return True
        return is_geographic(self.crs)

    def bounds(self, where: str, batch: "pa.RecordBatch") -> NDArray[np.float64]:
        """Return the bounds of each row, shape ``(n, 4)``; NaN where unknown.

        Where a row lies across the antimeridian its xmax is beyond 180.

        Raises
        ------
        SourceError
            If geometries are damaged, or latitudes lie beyond 90 degrees.
        InvalidConfigError
            If the CRS is none.
        """
        try:
            bounds = self._bounds(batch)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            kinds = ", ".join(
                f"{name!r} of {batch.schema.field(name).type}" for name in self.columns
            )
            raise SourceError(
                f"{where}: columns {kinds} hold no coordinates ({error}); expected numbers: mend "
                "the rows that hold something else"
            ) from error
        bounds[~np.isfinite(bounds).all(axis=1)] = np.nan
        latitudes = (bounds[:, 1] + bounds[:, 3]) / 2
        if self.is_degrees and np.nanmax(np.abs(latitudes), initial=0.0) > 90:
            raise SourceError(
                f"{where}: column {self.columns[-1]!r} holds latitudes beyond 90 degrees; "
                "longitude and latitude are swapped, or the column is not in degrees"
            )
        return self._join(batch, bounds)

    def centres(self, bounds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the middles of bounds, shape ``(n, 2)``; those across the antimeridian in ±180."""
        centres = (bounds[:, :2] + bounds[:, 2:]) / 2
        turn = full_turn(self.crs) if self.is_degrees else None
        if turn is not None:
            with np.errstate(invalid="ignore"):
                beyond = (centres[:, 0] > turn / 2) & (bounds[:, 0] <= turn / 2)
                beyond |= centres[:, 0] > turn
            centres[beyond, 0] -= turn
        return centres

    def geometries(self, batch: "pa.RecordBatch") -> NDArray[np.object_]:
        """Return the geometry of each row, None where there is none; boxes as polygons.

        Raises
        ------
        SourceError
            If one is damaged.
        """
        import shapely

        if self.kind in {"wkb", "geojson"}:
            return self._shapes(batch.column(self.columns[0]))
        bounds = self.bounds(self.columns[0], batch)
        boxes = np.full(len(bounds), None)
        known = np.isfinite(bounds).all(axis=1)
        boxes[known] = shapely.box(*bounds[known].T)
        return boxes

    def _shapes(self, column: "pa.Array") -> NDArray[np.object_]:
        cells = column.to_pylist()
        if self.kind == "wkb":
            return from_wkb(cells)
        shapes = np.full(len(cells), None)
        for row, text in enumerate(cells):
            shapes[row] = None if text is None else _geometry(text, f"column {self.columns[0]!r}")
        return shapes

    def _join(self, batch: "pa.RecordBatch", bounds: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return bounds in which the sides of the antimeridian stand beside each other."""
        turn = full_turn(self.crs) if self.is_degrees and self.kind not in {"xy", "point"} else None
        if turn is None:
            return bounds
        with np.errstate(invalid="ignore"):
            width = bounds[:, 2] - bounds[:, 0]
            bounds[:, 2] += np.where(width < 0, np.ceil(-width / turn) * turn, 0.0)
            wide = np.flatnonzero((width > turn / 2) & (self.kind != "box"))
        if len(wide):
            column = batch.column(self.columns[0]).take(pa.array(wide))
            for row, shape in zip(wide, self._shapes(column), strict=True):
                bounds[row, [0, 2]] = _across(shape, turn)
        return bounds

    def _bounds(self, batch: "pa.RecordBatch") -> NDArray[np.float64]:
        if self.kind == "xy":
            axes = [_floats(batch.column(name)) for name in self.columns]
            return np.column_stack([*axes, *axes])
        column = batch.column(self.columns[0])
        if self.kind == "wkb":
            return _wkb_bounds(column)
        if self.kind == "geojson":
            import shapely

            return np.asarray(shapely.bounds(self._shapes(column)))
        names = _BOX if self.kind == "box" else ("x", "y", "x", "y")
        return np.column_stack([_floats(compute.struct_field(column, name)) for name in names])


def _across(geometry: Geometry, turn: float) -> tuple[float, float]:
    """Return from where to where a geometry reaches, its parts brought together on the circle.

    A single ring that is wider than three quarters of the circle, but not all of it, is taken for
    one that was not cut at the antimeridian.
    """
    import shapely

    parts = shapely.get_parts(geometry)
    parts, ranges = parts[~shapely.is_empty(parts)], []
    rings = shapely.get_rings(parts)
    for path in rings if len(rings) else parts:
        x = shapely.get_coordinates(path)[:, 0]
        if 0.75 * turn < x.max() - x.min() < turn:
            x = np.where(x < (x.max() + x.min()) / 2, x + turn, x)
        ranges.append((x.min(), x.max()))
    return narrowest(turn, np.array(ranges))


def _geometry(text: str, where: str) -> Geometry | None:
    """Return the geometry of a cell; a point, line or area, or None."""
    found = geometry_of(parse_json(text, where, expected="a GeoJSON geometry"), where)
    if found is not None and found.geom_type == "GeometryCollection":
        raise SourceError(f"{where}: a {found.geom_type}; expected points, lines or areas")
    return found


def find_places(
    where: str,
    schema: "pa.Schema",
    footer: Mapping[bytes, bytes] | None,
    crs: str | None,
    unknown_crs: str | None = None,
) -> Places:
    """Find out where the rows' places stand.

    Parameters
    ----------
    where
        The table, for messages.
    schema
        Its columns.
    footer
        Key-value metadata of the file.
    crs
        Replaces the declared CRS.
    unknown_crs
        CRS of columns `x` and `y`, and of geometries whose CRS is declared unknown; None refuses.

    Raises
    ------
    SourceError
        If no column says where a row lies.
    InvalidConfigError
        If columns `x` and `y` do, but nothing says in which CRS.
    """
    geo = read_geo(where, footer, crs, unknown_crs)
    names = schema.names
    if geo is not None and geo.name in names:
        kind = schema.field(geo.name).type
        if geo.encoding == "point" and pa.types.is_struct(kind):
            return Places("point", (geo.name,), geo.crs)
        if not _is_binary(kind):  # native lines and areas have become WKB where they entered
            raise SourceError(
                f"{where}: geometries encoded as {geo.encoding!r} in a column of {kind}; expected "
                "WKB, or one of GeoParquet's native encodings"
            )
        return Places("wkb", (geo.name,), geo.crs)
    if "geometry" in names and _is_binary(schema.field("geometry").type):
        return Places("wkb", ("geometry",), crs or CRS84)
    if (found := degrees_columns(names)) is not None:
        return Places("xy", found, crs or CRS84)
    if ".geo" in names:
        return Places("geojson", (".geo",), crs or CRS84)
    if "bbox" in names and _is_box(schema.field("bbox").type):
        return Places("box", ("bbox",), crs or CRS84)
    if {"x", "y"} <= set(names):
        known = crs or unknown_crs
        if known is None:
            raise InvalidConfigError(f"{where}: columns x and y, but no CRS; give it with --crs")
        return Places("xy", ("x", "y"), known)
    raise SourceError(
        f"{where}: columns {', '.join(names[:12])}{' …' if len(names) > 12 else ''}; expected a "
        "GeoParquet geometry, longitude and latitude (lon, lat), or x and y with --crs"
    )


def _wkb_bounds(column: "pa.Array") -> NDArray[np.float64]:
    column = column.cast(pa.large_binary())
    _, offsets, data = column.buffers()
    if data is None:
        return np.full((len(column), 4), np.nan)
    ends = np.frombuffer(offsets, np.int64)[column.offset : column.offset + len(column) + 1]
    bounds = column_bounds(np.frombuffer(data, np.uint8), ends)
    bounds[~np.asarray(column.is_valid())] = np.nan
    return bounds


def _floats(column: "pa.Array") -> NDArray[np.float64]:
    values: NDArray[np.float64] = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values


def _is_box(kind: "pa.DataType") -> bool:
    return pa.types.is_struct(kind) and all(kind.get_field_index(name) >= 0 for name in _BOX)


def _is_binary(kind: "pa.DataType") -> bool:
    types = pa.types
    return bool(
        types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind)
    )


def geo_footer(file: "parquet.ParquetFile", where: str) -> Mapping[bytes, bytes]:
    """Return a file's key-value metadata, with `geo` made of its columns' types where it has none.

    Raises
    ------
    SourceError
        If a column's CRS is no JSON.
    """
    footer = dict(file.schema_arrow.metadata or {})
    if b"geo" in footer:
        return footer
    columns = {}
    for field in file.schema_arrow:
        found = _logical(file, field.name, footer) or _extension(field, where)
        if found is not None:
            columns[field.name] = found
    if not columns:
        return footer
    primary = "geometry" if "geometry" in columns else next(iter(columns))
    document = {"version": "1.1.0", "primary_column": primary, "columns": columns}
    return {**footer, b"geo": json.dumps(document).encode()}


def _logical(
    file: "parquet.ParquetFile", name: str, footer: Mapping[bytes, bytes]
) -> dict[str, Any] | None:
    """Return what Parquet's type of a column says; its CRS is longitude and latitude by default."""
    columns = (file.schema.column(index) for index in range(len(file.schema.names)))
    column = next((column for column in columns if column.path == name), None)
    if column is None or column.logical_type.type.upper() not in {k.upper() for k in _LOGICAL}:
        return None
    crs = str(json.loads(column.logical_type.to_json()).get("crs") or CRS84)
    kind, _, rest = crs.partition(":")
    if kind == "srid":
        crs = f"EPSG:{rest}"
    elif kind == "projjson":
        crs = footer.get(rest.encode(), b"").decode(errors="replace")
    return {"encoding": "WKB", "crs": crs}


def _extension(field: "pa.Field", where: str) -> dict[str, Any] | None:
    """Return what GeoArrow's type of a column says, whether pyarrow knows the type or not."""
    metadata = field.metadata or {}
    if isinstance(field.type, pa.BaseExtensionType):
        name = field.type.extension_name
        content = getattr(field.type, "__arrow_ext_serialize__", bytes)()
    else:
        name = metadata.get(b"ARROW:extension:name", b"").decode(errors="replace")
        content = metadata.get(b"ARROW:extension:metadata", b"")
    encoding = name.removeprefix(_GEOARROW)
    if encoding == name or encoding == "wkt":
        return None
    said = parse_json(content, f"{where}, column {field.name!r}") if content else {}
    crs = said.get("crs") if isinstance(said, Mapping) else None
    return {"encoding": "WKB" if encoding == "wkb" else encoding, "crs": crs}
