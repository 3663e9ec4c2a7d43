"""GeoPackage, Shapefile and FlatGeobuf, read by pyogrio.

The only module that knows it. A file must begin as its name says: GDAL opens by content, and a text
that is called ``a.gpkg`` may name other files, or servers.
"""

from pathlib import Path
from types import MappingProxyType
from typing import Any

from geoembz._geo.wkb import from_wkb
from geoembz._util.arrow import pa
from geoembz._util.optional import import_extra
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources.features.model import Features, number_rows

SUFFIXES = MappingProxyType(
    {".gpkg": b"SQLite format 3\0", ".shp": b"\0\0\x27\x0a", ".fgb": b"fgb\x03"}
)
"""How files of each kind begin."""

_LAYER = "|layername="


def split_layer(source: str) -> tuple[str, str | None]:
    """Return a path, and the layer that is named behind it, as QGIS does.

    Examples
    --------
    >>> split_layer("sites.gpkg|layername=plots")
    ('sites.gpkg', 'plots')
    """
    path, mark, layer = source.partition(_LAYER)
    return path, layer if mark else None


def read_vector_file(
    path: Path, layer: str | None, crs: str | None, unknown_crs: str | None
) -> Features:
    """Read the features of a layer.

    Parameters
    ----------
    path
        The file.
    layer
        Which one, of several.
    crs
        Replaces the declared CRS.
    unknown_crs
        CRS where none is declared; None refuses.

    Raises
    ------
    MissingPackageError
        If pyogrio is not installed.
    SourceError
        If the file cannot be read.
    InvalidConfigError
        If it has several layers and none is named, or no CRS.
    """
    pyogrio = _pyogrio(path)
    _check_start(path)
    try:
        wanted = _layer(pyogrio, path, layer)
        # Not by Arrow: GDAL's stream of a FlatGeobuf with missing geometries has broken offsets.
        meta, _, cells, values = pyogrio.raw.read(path, layer=wanted, force_2d=True)
        columns = {
            str(name): pa.array(column, from_pandas=True)
            for name, column in zip(meta["fields"], values, strict=True)
        }
    except (RuntimeError, ValueError, OSError, pa.ArrowException) as error:
        if isinstance(error, InvalidConfigError):
            raise
        raise SourceError(
            f"{path}: cannot be read ({error}); the file is truncated or damaged, or lacks one "
            "that belongs to it: fetch it again"
        ) from error
    return Features(
        name=str(path),
        crs=_known_crs(path, crs or meta["crs"] or unknown_crs),
        points=None,
        geometries=from_wkb(cells),
        columns=pa.table(columns) if columns else number_rows(len(cells)),
    )


def _check_start(path: Path) -> None:
    """Refuse a file of another type than its name says, and a Shapefile that ends early."""
    with path.open("rb") as file:
        start, size = file.read(32), path.stat().st_size
    if not start.startswith(SUFFIXES[path.suffix.lower()]):
        raise SourceError(
            f"{path}: begins with {start[:16]!r}, as no file of type {path.suffix} does; expected "
            "what its name says: rename it, or fetch it again"
        )
    if path.suffix.lower() == ".shp" and int.from_bytes(start[24:28], "big") * 2 > size:
        raise SourceError(  # GDAL takes shapes that are not there for missing ones
            f"{path}: cannot be read: {size:,} bytes, {int.from_bytes(start[24:28], 'big') * 2:,} "
            "by its header; the file is truncated: fetch it again"
        )


def _known_crs(path: Path, crs: str | None) -> str:
    if crs is None:
        raise InvalidConfigError(
            f"{path}: declares no CRS (a Shapefile says it in a .prj file beside it); give it one "
            "with --crs"
        )
    return crs


def _layer(pyogrio: Any, path: Path, wanted: str | None) -> str:
    """Return the layer to read: the one that is named, or the only one with geometries."""
    layers = [str(name) for name, kind in pyogrio.list_layers(path) if kind is not None]
    if wanted is not None and wanted in layers:
        return wanted
    if wanted is None and len(layers) == 1:
        return layers[0]
    if not layers:
        raise SourceError(
            f"{path}: cannot be read: no layer of features, or a damaged one; expected points or "
            "polygons"
        )
    came = f"no layer {wanted!r}" if wanted is not None else f"{len(layers)} layers of features"
    raise InvalidConfigError(
        f"{path}: {came}; it has {', '.join(layers)}; expected one: name it behind the "
        f"path, such as {path.name}{_LAYER}{layers[0]}"
    )


def _pyogrio(path: Path) -> Any:
    needs = f"{path}: reading {path.suffix} needs pyogrio"
    instead = ", or convert the file to GeoParquet or GeoJSON"
    pyogrio = import_extra("pyogrio", "vector", needs, instead)
    import_extra("pyogrio.raw", "vector", needs, instead)
    return pyogrio
