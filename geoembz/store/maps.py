"""Where maps say what they are: the attribute of a Zarr group, or a tag of a GeoTIFF (spec/map.md).

A map holds numbers or classes that were computed from a store; it is no store of embeddings.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from geoembz._geo.grid import Grid
from geoembz._objects.identity import split_query
from geoembz._util.bounded_json import parse_json
from geoembz.errors import StoreError
from geoembz.sources.gdal import gdal_environment, open_gdal
from geoembz.sources.georeference import make_grid
from geoembz.store.attributes import read_grid

MAP, BAND = "map", "band"
"""Names of the array and of its first axis."""

ATTRIBUTE = "geoembz:map"
"""Attribute of the group: an object that says what the map is of."""

TIFF_TAG = "geoembz_map"
"""Tag of a GeoTIFF that holds the same object."""

FIGURES, STRETCH = "figures", "stretch"
"""Its members that hold sums over the valid pixels, and the ends of what is shown of each band."""

SUFFIXES = (".tif", ".tiff")


def is_tiff(name: str | Path) -> bool:
    """Whether a name is that of a GeoTIFF.

    Examples
    --------
    >>> is_tiff("https://example.org/map.TIF?key=1"), is_tiff("map.zarr")
    (True, False)
    """
    return Path(split_query(str(name))[0]).suffix.lower() in SUFFIXES


def map_object(attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a map says of itself in a group's attributes; None where the group is no map."""
    about = attributes.get(ATTRIBUTE)
    return about if isinstance(about, Mapping) else None


def unlike_store(where: str, about: Mapping[str, Any]) -> StoreError:
    """Return the error of a map that stands where a store of embeddings is expected."""
    kind = about.get("kind")
    return StoreError(
        f"{where}: a map ({kind}) made by `geoembz map`, not a store of embeddings; expected the "
        "store that it was made of; `geoembz info` describes the map, `geoembz view` shows it"
    )


@dataclass(frozen=True)
class MapDocument:
    """What a map says of itself.

    Parameters
    ----------
    grid
        Where its pixels lie.
    about
        Its object, as spec/map.md has it.
    """

    grid: Grid
    about: Mapping[str, Any]

    @classmethod
    def of_group(cls, where: str, attributes: Mapping[str, Any]) -> Self | None:
        """Read the attributes of a group; return None where it is no map.

        Raises
        ------
        StoreError
            If they do not say where it lies.
        """
        about = map_object(attributes)
        try:
            return None if about is None else cls(read_grid(attributes), about)
        except (KeyError, TypeError, ValueError) as error:
            raise malformed(where, error) from error

    @classmethod
    def of_tiff(cls, path: str) -> Self | None:
        """Read the tags of a GeoTIFF; return None where it is no map.

        Raises
        ------
        SourceError
            If it has no place.
        StoreError
            If the file cannot be read, or its tag is no JSON object.
        """
        from rasterio.errors import RasterioError

        try:
            with gdal_environment(path), open_gdal(path) as raster:
                tag = raster.tags().get(TIFF_TAG)
                transform, shape, system = tuple(raster.transform)[:6], raster.shape, raster.crs
        except (RasterioError, OSError) as error:
            raise StoreError(f"{path}: not a readable GeoTIFF ({error})") from error
        if tag is None:
            return None
        about = parse_json(tag.encode(), path, error=StoreError, expected="the tag of a map")
        if not isinstance(about, Mapping):
            raise malformed(path, f"{TIFF_TAG} is {type(about).__name__}")
        return cls(make_grid(path, system, transform, shape, None), about)


def malformed(where: str, error: object) -> StoreError:
    """Return the error of a map that does not say what it must."""
    return StoreError(
        f"{where}: what the map says of itself is missing or malformed ({error!r}); it is damaged: "
        "make it again"
    )
