"""What the pixels of a map hold: bands, their type and nodata, and classes with their colours."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError

type Colour = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

_MOST_CLASSES = 2**8
"""Values of a table of colours: GeoTIFF has such for uint8."""


@dataclass(frozen=True)
class MapClass:
    """One class of a map.

    Parameters
    ----------
    value
        What its pixels hold, 0 to 255.
    name
        What it is called.
    colour
        What it is shown in.
    """

    value: int
    name: str
    colour: Colour

    def to_json(self) -> dict[str, Any]:
        """Return it as a store's attributes have it."""
        red, green, blue = self.colour
        return {
            "value": self.value,
            "name": self.name,
            "colour": f"#{red:02x}{green:02x}{blue:02x}",
        }


@dataclass(frozen=True)
class MapBands:
    """What a map holds.

    Parameters
    ----------
    kind
        What it is a map of, in one word: ``similarity``, ``classes``, ``change`` …
    names
        Of the bands.
    dtype
        Of the numbers of all bands: ``float32``, ``uint8``, ``int8`` …
    nodata
        Number of pixels without an embedding; NaN for floats.
    classes
        Of a map of one uint8 band, what its values mean.
    scale
        Stored numbers times this are the values.
    shown
        Bands of a quick look: one in a ramp of colours, or three as red, green and blue.
    tags
        What else is to be known: the metric, the rule, the date … as texts.

    Examples
    --------
    >>> MapBands("similarity", ("cosine",), "float32", np.nan).dtype
    'float32'
    """

    kind: str
    names: tuple[str, ...]
    dtype: str
    nodata: float
    classes: tuple[MapClass, ...] = ()
    scale: float = 1.0
    shown: tuple[int, ...] = (0,)
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse classes that no table of colours holds."""
        if self.classes and (self.dtype != "uint8" or len(self.names) != 1):
            raise InvalidConfigError(
                f"map of {self.kind}: {len(self.classes)} classes in {len(self.names)} bands of "
                f"{self.dtype}; expected one band of uint8, at most {_MOST_CLASSES - 1} classes"
            )

    @property
    def count(self) -> int:
        """Number of bands."""
        return len(self.names)

    @property
    def pixel_bytes(self) -> int:
        """Bytes of one pixel, all bands."""
        return self.count * np.dtype(self.dtype).itemsize

    def empty(self, *shape: int) -> NDArray[Any]:
        """Return pixels ``(count, *shape)`` that hold nodata."""
        return np.full((self.count, *shape), self.nodata, dtype=self.dtype)

    def to_json(self) -> dict[str, Any]:
        """Return it as a store's attributes and a journal's plan have it."""
        return {
            "kind": self.kind,
            "bands": list(self.names),
            "dtype": self.dtype,
            "nodata": "NaN" if np.isnan(self.nodata) else self.nodata,
            "scale": self.scale,
            "shown": [band + 1 for band in self.shown],
            "classes": [each.to_json() for each in self.classes],
            **self.tags,
        }
