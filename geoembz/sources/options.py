"""How inputs are read: what replaces what they declare, and how several are put together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from geoembz._geo.grid import Transform
from geoembz._util.options import check_whole
from geoembz.errors import InvalidConfigError
from geoembz.sources.pooling import Pool, check_pools

type Overlap = Literal["first", "last", "mean"]

OVERLAPS: tuple[Overlap, ...] = ("first", "last", "mean")

AEF, OLMOEARTH, TESSERA, RASTER, BANDS = "aef", "olmoearth", "tessera", "raster", "bands"
PRODUCTS = (AEF, OLMOEARTH, TESSERA, RASTER, BANDS)
"""Names that ``--product`` takes: ``raster`` takes numbers as they are, ``bands`` joins files."""

type Extent = tuple[float, float, float, float]
"""``(xmin, ymin, xmax, ymax)`` in units of a CRS."""

_COEFFICIENTS, _EXTENT_NUMBERS = 6, 4


@dataclass(frozen=True)
class ReadOptions:
    """How to read inputs, of whatever kind; what does not fit a kind is refused there.

    Parameters
    ----------
    nodata
        Replaces the declared nodata value: a number, several as text, such as ``"0,-9999"``, or
        ``"none"``, which says that there is none.
    crs
        Replaces the declared CRS, in any form that PROJ knows.
    transform
        Replaces the transform, or stands for one: affine coefficients ``(a, b, c, d, e, f)`` from
        pixel corners to CRS units; text and an ``affine.Affine`` are taken, too.
    like
        A raster whose CRS, transform and shape the input has; not with `crs` or `transform`.
    dims
        Of a plain array: names of its axes in their order; see `place_array`.
    product
        One of `PRODUCTS`; None to find out.
    year
        Which year to read of products that hold several.
    overlap
        What holds where tiles overlap; see `MosaicSource`.
    resample
        ``nearest`` takes tiles with other pixels by nearest neighbour; None refuses them.
    skip_bad
        Leave out inputs that cannot be read, and say so in the store.
    extent
        ``(xmin, ymin, xmax, ymax)`` in units of the inputs' CRS, or text: take all pixels of their
        grid that it touches, those that no input covers as nodata, and no others.
    grid, grid_crs
        Take a table of chips on a regular grid as a raster, and the CRS of that grid, which implies
        `grid`; see `ChipRaster`.
    vector
        Of a table: column of the vectors, or what its numbered columns begin with.
    aggregate, pool
        Make each pixel of a cell of so many pixels each way, counted from the north-west corner:
        its vectors pooled, in one way or several one behind the other; see `geoembz.sample`.
    checksum
        Read inputs once more and record their SHA-256.
    layers
        Numbers of pixels to store beside the vectors: by name, the file, ``FILE:BAND`` or
        ``FILE:VARIABLE`` with them; ``NAME=FILE`` in texts. They have the input's pixels.

    Raises
    ------
    InvalidConfigError
        If a value is none of these, or `like` comes with what could contradict it.

    Examples
    --------
    >>> ReadOptions(crs="EPSG:32633", transform="10, 0, 500000, 0, -10, 5300000").transform
    (10.0, 0.0, 500000.0, 0.0, -10.0, 5300000.0)
    """

    nodata: float | str | None = None
    crs: str | None = None
    transform: str | Sequence[float] | None = None
    like: str | Path | None = None
    dims: str | Sequence[str] | None = None
    product: str | None = None
    year: int | None = None
    overlap: Overlap | None = None
    resample: str | None = None
    skip_bad: bool = False
    extent: str | Sequence[float] | None = None
    grid: bool = False
    grid_crs: str | None = None
    vector: str | None = None
    aggregate: int | None = None
    pool: Pool | Sequence[Pool] | None = None
    checksum: bool = False
    layers: Mapping[str, str | Path] | Sequence[str] | None = None

    def __post_init__(self) -> None:
        """Refuse what nobody knows; bring the rest into one form."""
        if self.product is not None and self.product not in PRODUCTS:
            raise InvalidConfigError(
                f"product {self.product!r}; expected one of {', '.join(PRODUCTS)}"
            )
        if self.overlap is not None and self.overlap not in OVERLAPS:
            raise InvalidConfigError(
                f"overlap {self.overlap!r}; expected one of {', '.join(OVERLAPS)}"
            )
        if self.resample not in {None, "nearest"}:
            raise InvalidConfigError(f"resample {self.resample!r}; expected 'nearest'")
        if self.aggregate is None and self.pool is not None:
            raise InvalidConfigError(
                f"pool {self.pool!r}: of which cells? expected a side as well (--aggregate 32)"
            )
        check_whole(aggregate=self.aggregate)
        uniform = {
            "pool": None if self.pool is None else check_pools(self.pool),
            "transform": parse_transform(self.transform),
            "extent": parse_extent(self.extent),
            "like": None if self.like is None else str(self.like),
            "dims": self.dims if self.dims is None or isinstance(self.dims, str) else (*self.dims,),
            "grid": self.grid or self.grid_crs is not None,
            "layers": parse_layers(self.layers),
        }
        for name, value in uniform.items():
            object.__setattr__(self, name, value)
        others = {"--crs": self.crs, "--transform": self.transform}
        given = [option for option, value in others.items() if value is not None]
        if self.like is not None and given:
            raise InvalidConfigError(
                f"--like {self.like} says CRS and transform already; leave out {given[0]}"
            )

    @property
    def named_layers(self) -> tuple[tuple[str, str], ...]:
        """The layers that are named: pairs of a name and where its numbers are."""
        return parse_layers(self.layers) or ()


def parse_layers(given: object) -> tuple[tuple[str, str], ...] | None:
    """Return pairs of a layer's name and its file, from a mapping or texts; None from none.

    Raises
    ------
    InvalidConfigError
        If a text is not ``NAME=FILE``, or a name is given twice.

    Examples
    --------
    >>> parse_layers(["observations=obs.tif:2"])
    (('observations', 'obs.tif:2'),)
    """
    if not given:
        return None
    if isinstance(given, Mapping):
        pairs = [(str(name), str(place)) for name, place in given.items()]
    else:
        entries: Any = [given] if isinstance(given, str) else given
        pairs = [entry if isinstance(entry, tuple) else _pair(str(entry)) for entry in entries]
    for name, place in pairs:
        if not name or not place:
            raise InvalidConfigError(
                f"layer {name + place!r}; expected NAME=FILE, NAME=FILE:BAND or "
                "NAME=FILE:VARIABLE, such as observations=obs.tif"
            )
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names):
        raise InvalidConfigError(f"layers {', '.join(names)}; expected each name once")
    return tuple(pairs)


def _pair(text: str) -> tuple[str, str]:
    name, _, place = text.partition("=")
    return name.strip(), place.strip()


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


def parse_extent(given: object) -> Extent | None:
    """Return an extent from text or numbers; None from None.

    Raises
    ------
    InvalidConfigError
        If it is not four finite numbers with xmin < xmax and ymin < ymax.

    Examples
    --------
    >>> parse_extent("500000, 5299000, 501000, 5300000")
    (500000.0, 5299000.0, 501000.0, 5300000.0)
    """
    if given is None:
        return None
    parts: Any = given.replace(",", " ").split() if isinstance(given, str) else given
    try:
        numbers = [float(part) for part in parts]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) == _EXTENT_NUMBERS and all(map(math.isfinite, numbers)):
        xmin, ymin, xmax, ymax = numbers
        if xmin < xmax and ymin < ymax:
            return xmin, ymin, xmax, ymax
    raise InvalidConfigError(
        f"extent {given!r}; expected four numbers XMIN,YMIN,XMAX,YMAX in units of the input's CRS, "
        "with XMIN < XMAX and YMIN < YMAX, such as 500000,5290000,600000,5300000"
    )


AS_DECLARED = ReadOptions()
"""Inputs as they say themselves that they are to be read."""
