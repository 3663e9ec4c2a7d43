"""Where an input lies, in place of what it declares: ``--crs``, ``--transform`` and ``--like``."""

from dataclasses import dataclass
from typing import Any, Self

from geoembz._geo.grid import Grid, Transform
from geoembz.errors import InvalidConfigError, SourceError

_COEFFICIENTS = 6


@dataclass(frozen=True)
class Placement:
    """What replaces the georeference of an input.

    Parameters
    ----------
    crs
        CRS, in any form that PROJ knows; None for the input's own.
    transform
        Affine coefficients ``(a, b, c, d, e, f)`` from pixel corners to CRS units; None for the
        input's own.
    like
        A raster whose CRS, transform and shape the input has; None for none.

    Raises
    ------
    InvalidConfigError
        If `like` comes with one of the others: they could contradict it.
    """

    crs: str | None = None
    transform: Transform | None = None
    like: str | None = None

    def __post_init__(self) -> None:
        """Refuse two georeferences."""
        others = {"--crs": self.crs, "--transform": self.transform}
        given = [option for option, value in others.items() if value is not None]
        if self.like is not None and given:
            raise InvalidConfigError(
                f"--like {self.like} says CRS and transform already; leave out {given[0]}"
            )

    @classmethod
    def of(cls, crs: str | None, transform: object, like: object) -> Self:
        """Return the placement that options say: `transform` as text, numbers or an ``Affine``.

        Raises
        ------
        InvalidConfigError
            If the transform is not six numbers.
        """
        return cls(crs, parse_transform(transform), None if like is None else str(like))

    def grid_like(self, name: str, shape: tuple[int, int] | None = None) -> Grid:
        """Return the grid of the raster `like`.

        Parameters
        ----------
        name
            What lies there, for messages.
        shape
            Rows and columns that it must have; None for any.

        Raises
        ------
        SourceError
            If it cannot be read, lies nowhere, or has other pixels.
        """
        from geoembz.sources.raster import RasterSource

        grid = RasterSource(str(self.like), nodata="none").grid
        if shape is not None and shape != grid.shape:
            raise SourceError(
                f"{name}: {shape[0]} rows and {shape[1]} columns, but {self.like} has "
                f"{grid.shape[0]} and {grid.shape[1]}; expected the same pixels"
            )
        return grid


NOWHERE = Placement()
"""Replaces nothing."""


def parse_transform(given: object) -> Transform | None:
    """Return affine coefficients from text, numbers or an ``affine.Affine``; None from None.

    Raises
    ------
    InvalidConfigError
        If they are not six numbers, or nine of which the last three are 0, 0 and 1.

    Examples
    --------
    >>> parse_transform("10, 0, 500000, 0, -10, 5300000")
    (10.0, 0.0, 500000.0, 0.0, -10.0, 5300000.0)
    """
    if given is None:
        return None
    parts: Any = given.replace(",", " ").split() if isinstance(given, str) else given
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == _COEFFICIENTS + 3 and numbers[_COEFFICIENTS:] == [0.0, 0.0, 1.0]:
        numbers = numbers[:_COEFFICIENTS]  # an affine.Affine, whole
    if len(numbers) != _COEFFICIENTS:
        raise InvalidConfigError(
            f"transform {given!r}; expected six numbers A,B,C,D,E,F with x = A*col + B*row + C and "
            "y = D*col + E*row + F, as rasterio prints them, such as 10,0,500000,0,-10,5300000"
        )
    a, b, c, d, e, f = numbers
    return a, b, c, d, e, f
