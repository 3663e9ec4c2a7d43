"""Sizes of known embeddings, and how many pixels an area has: exact integers.

Which model makes how many dimensions of which type, and what they weigh; areas are numbers, or
polygons on the ellipsoid.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.wkb import Geometry
from geoembz.errors import InvalidConfigError

SEED_URL = "https://geospatialml.com/posts/compressing-earth-embeddings/"
_OLMOEARTH_URL = "https://arxiv.org/abs/2511.13655"
BITS_PER_VALUE = MappingProxyType(
    {
        "float64": 64,
        "float32": 32,
        "float16": 16,
        "bfloat16": 16,
        "int16": 16,
        "uint16": 16,
        "int8": 8,
        "uint8": 8,
    }
)
LAND_AREA_KM2 = 150_000_000
"""Land surface of the Earth as the seed article rounds it, in square kilometres."""

_MAX_EDGE_DEGREES = 1.0
"""Longer edges are cut: an edge is straight in degrees, and pyproj would follow a geodesic."""


@dataclass(frozen=True, slots=True)
class Model:
    """A published embedding as it is distributed.

    Parameters
    ----------
    name
        The name `geoembz cost --model` knows it by.
    title
        The name to print.
    dimension
        Values per embedding.
    dtype
        Type of one value, a key of `BITS_PER_VALUE`.
    source
        Where the figures are from.
    """

    name: str
    title: str
    dimension: int
    dtype: str
    source: str

    @property
    def bytes_per_embedding(self) -> int:
        """Size of one embedding, in bytes."""
        return bytes_per_embedding(self.dimension, bits_per_value(self.dtype))


MODELS = MappingProxyType(
    {
        model.name: model
        for model in (
            Model("aef", "AlphaEarth (AEF)", 64, "int8", SEED_URL),
            Model("tessera", "Tessera product", 128, "int8", SEED_URL),
            Model("tessera-encoder", "Tessera encoder", 512, "float32", SEED_URL),
            Model("olmoearth-nano", "OlmoEarth-nano", 128, "float32", SEED_URL),
            Model("olmoearth-tiny", "OlmoEarth-tiny", 192, "float32", SEED_URL),
            Model("olmoearth-base", "OlmoEarth-base", 768, "float32", _OLMOEARTH_URL),
            Model("olmoearth-large", "OlmoEarth-large", 1024, "float32", SEED_URL),
            Model("dinov3", "DINOv3 ViT-L", 1024, "float32", SEED_URL),
            Model("resnet50", "ResNet50", 2048, "float32", SEED_URL),
            Model("clay", "Clay v1.5", 1024, "float32", "https://clay-foundation.github.io/model/"),
            Model("mosaiks", "MOSAIKS", 4000, "float32", "https://www.mosaiks.org/"),
        )
    }
)


def get_model(name: str) -> Model:
    """Return the known model of that name.

    Raises
    ------
    InvalidConfigError
        If no model has that name; the message lists those that are known.

    Examples
    --------
    >>> get_model("aef").bytes_per_embedding
    64
    """
    try:
        return MODELS[name.lower()]
    except KeyError:
        raise InvalidConfigError(
            f"cost: unknown model {name!r}; expected one of {', '.join(MODELS)}, "
            "or give --dims and --dtype instead"
        ) from None


def bits_per_value(dtype: str) -> int:
    """Return the width of one value of a type, in bits.

    Raises
    ------
    InvalidConfigError
        If the type is not known.

    Examples
    --------
    >>> bits_per_value("float32")
    32
    """
    try:
        return BITS_PER_VALUE[dtype.lower()]
    except KeyError:
        raise InvalidConfigError(
            f"cost: unknown dtype {dtype!r}; expected one of {', '.join(BITS_PER_VALUE)}"
        ) from None


def bytes_per_embedding(n_codes: int, bits_per_code: int) -> int:
    """Return the size of one embedding, in bytes, padded to whole bytes as the store packs it.

    Parameters
    ----------
    n_codes
        Codes per embedding: components, or subquantizers for `pq`; at least 1.
    bits_per_code
        Width of one code, in bits; at least 1.

    Returns
    -------
    size_bytes
        ``ceil(n_codes * bits_per_code / 8)``, exactly.

    Raises
    ------
    InvalidConfigError
        If either number is not a positive integer.

    Examples
    --------
    >>> bytes_per_embedding(64, 8), bytes_per_embedding(1024, 1), bytes_per_embedding(5, 2)
    (64, 128, 2)
    """
    if n_codes < 1 or bits_per_code < 1:
        raise InvalidConfigError(
            f"cost: {n_codes} codes of {bits_per_code} bits; expected at least 1 of each"
        )
    return -(-n_codes * bits_per_code // 8)


def pixels_from_area(area_km2: float | Fraction, gsd_m: float | Fraction) -> int:
    """Return the number of pixels of an area, exactly, rounded half up.

    Parameters
    ----------
    area_km2
        Area in square kilometres; a float counts as the decimal number it prints as.
    gsd_m
        Side of one pixel, in metres.

    Raises
    ------
    InvalidConfigError
        If a number is not positive and finite, or less than half a pixel results.

    Examples
    --------
    >>> pixels_from_area(LAND_AREA_KM2, 10)
    1500000000000
    """
    area = _positive(area_km2, "area", "km²")
    gsd = _positive(gsd_m, "ground sampling distance", "m")
    pixels = int(area * 1_000_000 / gsd**2 + Fraction(1, 2))
    if pixels < 1:
        raise InvalidConfigError(
            f"cost: an area of {area_km2} km² holds no pixel of {gsd_m} m; "
            "give a larger area or a smaller --gsd"
        )
    return pixels


def _positive(value: float | Fraction, what: str, unit: str) -> Fraction:
    try:
        number = Fraction(str(value))
    except ValueError:
        number = Fraction(0)
    if number <= 0:
        raise InvalidConfigError(f"cost: {what} of {value} {unit}; expected a number above 0")
    return number


def geodesic_area_km2(shapes: Iterable[Geometry | None]) -> float:
    """Return the area of polygons on the WGS 84 ellipsoid.

    Edges of up to one degree are geodesics; longer ones follow straight lines in longitude and
    latitude, as RFC 7946 defines them. Polygons that overlap are counted twice.

    Parameters
    ----------
    shapes
        `shapely` geometries in longitude and latitude; all but polygons are left out.

    Returns
    -------
    area_km2
        Area in square kilometres, holes taken out.

    Raises
    ------
    InvalidConfigError
        If there is no polygon, or the coordinates are not longitudes and latitudes.

    References
    ----------
    Karney, C. F. F. Algorithms for geodesics. J. Geodesy 87, 2013; RFC 7946.

    Examples
    --------
    >>> import shapely
    >>> round(geodesic_area_km2([shapely.box(0, 0, 1, 1)]))
    12309
    """
    import shapely
    from pyproj import Geod

    parts = shapely.get_parts([*shapes])
    while (shapely.get_type_id(parts) > shapely.GeometryType.POLYGON).any():  # collections
        parts = shapely.get_parts(parts)
    polygons = parts[shapely.get_type_id(parts) == shapely.GeometryType.POLYGON]
    if not len(polygons):
        raise InvalidConfigError("cost: the region holds no polygon; expected polygons")
    rings, owners = shapely.get_rings(polygons, return_index=True)
    for ring in rings:
        _check_ring(shapely.get_coordinates(ring))
    geod = Geod(ellps="WGS84")
    areas = [
        abs(geod.polygon_area_perimeter(*shapely.get_coordinates(ring).T)[0])
        for ring in shapely.segmentize(rings, _MAX_EDGE_DEGREES)
    ]
    is_hole = np.diff(owners, prepend=-1) == 0
    return float(np.where(is_hole, np.negative(areas), areas).sum()) / 1e6


def _check_ring(ring: NDArray[np.float64]) -> None:
    """Refuse a ring that is not in degrees, or jumps across the antimeridian."""
    bad = ring[~((np.abs(ring[:, 0]) <= 360) & (np.abs(ring[:, 1]) <= 90))]
    if len(bad):
        raise InvalidConfigError(
            f"cost: the region has {bad[0].tolist()}, outside longitude and latitude; expected "
            "|longitude| <= 360 and |latitude| <= 90"
        )
    width = np.abs(np.diff(ring[:, 0]))
    jumps = np.flatnonzero((width > 180) & (width < 360))
    if len(jumps):
        west, east = ring[jumps[0] : jumps[0] + 2, 0]
        raise InvalidConfigError(
            f"cost: an edge of the region goes from longitude {west} to {east}; cut polygons "
            "at the antimeridian (RFC 7946, section 3.1.9), or add points along the edge"
        )
