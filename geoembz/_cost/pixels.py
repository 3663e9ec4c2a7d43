"""How many pixels an area has, as exact integers.

Knows only numbers.
"""

from fractions import Fraction

from geoembz.errors import InvalidConfigError

LAND_AREA_KM2 = 150_000_000
"""Land surface of the Earth as the seed article rounds it, in square kilometres."""


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
