"""The levels of a store below its full resolution (spec/format.md, "Overviews").

A level is no store: its arrays lie in a group below the root, whose attributes say which levels
there are. Here is what those attributes say, how many levels a raster gets, and which one is
meant: a level is named by its number, 0 being the full resolution.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Any, Self

from geoembz._geo import unit_symbol
from geoembz._geo.grid import Grid
from geoembz._util.options import check_whole
from geoembz.errors import InvalidConfigError

OVERVIEWS = "overviews"
"""Name of the group that holds the levels."""

MULTISCALES = "multiscales"
"""Attribute of a root, and name of the convention that it follows."""

FULL_RESOLUTION = "embedding"
"""The full resolution as the convention names it: an array, since ``.`` is ignored by GDAL."""

SMALLEST_SIDE = 512
"""Levels are made until both sides of the last one are shorter, in pixels."""

_MORE_LEVELS = 3
"""How many more may be asked for: down to 32 to 64 pixels."""

_MOST_LEVELS = 11
"""How many may be asked for beyond the default. A shard of every level lies above whole pixels of
the coarsest, so that each level more doubles its sides: 11 make 1,024 pixels."""

_ROUNDING = 1e-9
"""Sides of pixels are compared up to rounding."""

_RESAMPLING = "average"
_UNIT_LENGTH = "geoembz:unit_length"
_PIXELS, _FIDELITY = "geoembz:pixels", "geoembz:fidelity"


@dataclass(frozen=True)
class Level:
    """One level.

    Parameters
    ----------
    factor
        Side of its pixels, in pixels of the full resolution: 2, 4, 8 …
    grid
        Where its pixels lie.
    pixels
        ``{total, valid}``, over all dates.
    fidelity
        Of the means as they were encoded, over all dates; as that of a store.
    """

    factor: int
    grid: Grid
    pixels: Mapping[str, Any] = field(default_factory=dict)
    fidelity: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, grid: Grid, number: int) -> Self:
        """Return a level of a raster, without what is known of its pixels; 1 is the finest.

        Examples
        --------
        >>> level = Level.of(Grid("", None, (10.0, 0.0, 0.0, 0.0, -10.0, 50.0), (5, 6)), 1)
        >>> level.path, level.grid.shape, level.grid.transform[0]
        ('overviews/2', (3, 3), 20.0)
        """
        factor = 2**number
        a, b, c, d, e, f = grid.transform
        shape = ceil(grid.shape[0] / factor), ceil(grid.shape[1] / factor)
        transform = (a * factor, b, c, d, e * factor, f)
        return cls(factor, replace(grid, transform=transform, shape=shape))

    @property
    def path(self) -> str:
        """The group that holds its arrays, below the root."""
        return f"{OVERVIEWS}/{self.factor}"


def count_levels(shape: tuple[int, int], asked: int | None = None) -> int:
    """Return how many levels a raster gets: until it is small, but one at least.

    Parameters
    ----------
    shape
        Height and width, in pixels.
    asked
        By the user; None for the default.

    Raises
    ------
    InvalidConfigError
        If so many cannot be.

    Examples
    --------
    >>> count_levels((2048, 2048)), count_levels((10_000, 700)), count_levels((100, 100))
    (3, 5, 1)
    >>> count_levels((1023, 1)), count_levels((1022, 1))
    (2, 1)
    >>> count_levels((10**6, 10**6)), count_levels((10**5, 10**5), 11)
    (11, 11)
    """
    until_one = max(1, (max(shape) - 1).bit_length())
    counts = range(1, until_one + 1)
    default = next(n for n in counts if n == until_one or ceil(max(shape) / 2**n) < SMALLEST_SIDE)
    if asked is None:
        return default
    most = min(until_one, default + _MORE_LEVELS, max(default, _MOST_LEVELS))
    check_whole(levels=asked)
    if not 1 <= asked <= most:
        raise InvalidConfigError(
            f"levels {asked}; expected 1 to {most} for {shape[0]:,} x {shape[1]:,} pixels"
        )
    return int(asked)


def multiscales(grid: Grid, levels: Sequence[Level], *, unit_length: bool) -> dict[str, Any]:
    """Return the attribute that lists the full resolution and its levels."""
    full = _entry(FULL_RESOLUTION, 1, grid)
    coarser = [
        {
            **_entry(level.path, level.factor, level.grid),
            "resampling_method": _RESAMPLING,
            _PIXELS: dict(level.pixels),
            _FIDELITY: dict(level.fidelity),
        }
        for level in levels
    ]
    return {
        "layout": [full, *coarser],
        "resampling_method": _RESAMPLING,
        _UNIT_LENGTH: unit_length,
    }


def _entry(asset: str, factor: int, grid: Grid) -> dict[str, Any]:
    return {
        "asset": asset,
        "transform": {"scale": [float(factor)] * 2, "translation": [0.0, 0.0]},
        "spatial:shape": list(grid.shape),
        "spatial:transform": list(grid.transform),
    }


def read_levels(grid: Grid, attributes: Mapping[str, Any]) -> tuple[tuple[Level, ...], bool]:
    """Return the levels that a root's attributes list, and whether means have length 1.

    Parameters
    ----------
    grid
        Of the full resolution.
    attributes
        Checked against the schema.

    Raises
    ------
    ValueError
        If they are not levels of this grid.
    """
    listed = attributes.get(MULTISCALES)
    if listed is None:
        return (), False
    first, *entries = listed["layout"]
    if first["asset"] != FULL_RESOLUTION or tuple(first["spatial:shape"]) != grid.shape:
        raise ValueError(
            f"multiscales begins with {first['asset']!r}; expected the full resolution"
        )
    levels = []
    for number, entry in enumerate(entries, 1):
        level = Level.of(grid, number)
        if entry["asset"] != level.path or tuple(entry["spatial:shape"]) != level.grid.shape:
            raise ValueError(
                f"multiscales has {entry['asset']!r} of {entry['spatial:shape']} pixels; expected "
                f"{level.path!r} of {list(level.grid.shape)}"
            )
        pixels, fidelity = entry.get(_PIXELS, {}), entry.get(_FIDELITY, {})
        levels.append(replace(level, pixels=pixels, fidelity=fidelity))
    for entry in attributes.get("geoembz:times", []):
        if len(entry.get(OVERVIEWS, [])) != len(levels):
            raise ValueError(f"date {entry['time']} has not the overviews of {len(levels)} levels")
    return tuple(levels), bool(listed[_UNIT_LENGTH])


def find_level(
    where: str,
    grid: Grid,
    levels: Sequence[Level],
    level: int | None = None,
    resolution: float | None = None,
) -> int:
    """Return the number of the level that is asked for: 0 is the full resolution.

    Parameters
    ----------
    where
        The store, for messages.
    grid
        Of the full resolution.
    levels
        Of the store, finest first.
    level
        Its number: 1 is twice the pixel size, 2 four times, and so on.
    resolution
        Instead: the coarsest level whose pixels are no larger than so many CRS units; the full
        resolution where none is so fine.

    Raises
    ------
    InvalidConfigError
        If there is no such level, or it is named in both ways.

    Examples
    --------
    >>> grid = Grid("", None, (10.0, 0.0, 0.0, 0.0, -10.0, 50.0), (5, 6))
    >>> find_level("a.zarr", grid, [Level.of(grid, 1), Level.of(grid, 2)], resolution=30.0)
    1
    """
    if resolution is not None:
        if level is not None:
            raise InvalidConfigError(
                f"level {level} and resolution {resolution:g}; expected one of them"
            )
        if not resolution > 0:
            raise InvalidConfigError(
                f"resolution {resolution:g}; expected the side of a pixel in CRS units, above 0"
            )
        fine = resolution * (1 + _ROUNDING)
        return sum(max(map(abs, _sides(entry.grid))) <= fine for entry in levels)
    check_whole(level=level)
    if level is None or 0 <= level <= len(levels):
        return level or 0
    if not levels:
        raise InvalidConfigError(
            f"level {level}: {where} has the full resolution only; leave the level out, or add "
            "overviews to the store (geoembz overviews)"
        )
    known = [describe_level(0, grid, 1)]
    known += [describe_level(n, entry.grid, entry.factor) for n, entry in enumerate(levels, 1)]
    raise InvalidConfigError(
        f"level {level}: {where} has {', '.join(known)}; choose one of these numbers"
    )


def describe_level(number: int, grid: Grid, factor: int) -> str:
    """Return a level for people: its number, its factor and the size of its pixels.

    Examples
    --------
    >>> grid = Grid("", None, (10.0, 0.0, 0.0, 0.0, -10.0, 50.0), (5, 6))
    >>> describe_level(0, grid, 1), describe_level(2, Level.of(grid, 2).grid, 4)
    ('0 (full resolution, 10)', '2 (4x, 40)')
    """
    across, down = _sides(grid)
    side = f"{across:.6g}" if f"{across:.6g}" == f"{down:.6g}" else f"{across:.6g} x {down:.6g}"
    unit = unit_symbol(grid.crs_wkt) if grid.crs_wkt else ""
    return f"{number} ({'full resolution' if factor == 1 else f'{factor}x'}, {side}{unit})"


def _sides(grid: Grid) -> tuple[float, float]:
    return abs(grid.transform[0]), abs(grid.transform[4])
