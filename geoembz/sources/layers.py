"""Layers: numbers of pixels beside the vectors, such as how many observations one is made of."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._text import printable
from geoembz.errors import InvalidConfigError

DATA_TYPES = (
    *("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"),
    *("float32", "float64"),
)
"""Types of numbers that a layer may have."""

RESERVED = frozenset(
    (
        *("embedding", "valid", "vector_scale", "x", "y", "time", "spatial_ref", "encoding"),
        *("digests", "overviews", "component", "component_byte", "subquantizer", "stage"),
        *("dimension", "sample"),
    )
)
"""Names, in small letters, that mean something else in a store."""

_NAME = re.compile("[A-Za-z][A-Za-z0-9_]{0,63}")
_LARGEST_EXACT = {"float32": 24, "float64": 53}


@dataclass(frozen=True)
class Layer:
    """One layer: a named number per pixel, and per date, beside the vectors.

    Parameters
    ----------
    name
        Letters, digits and underscores: the name of its array.
    dtype
        Type of its numbers as they are stored, an integer or a float of 32 or 64 bits.
    nodata
        Of integers: the number that stands for none. In floats NaN does.
    units, description
        What it counts and what it is, such as ``"1"`` and ``"cloud-free observations"``.
    scale, offset
        The value is ``stored * scale + offset``; None for 1 and 0.
    standard_name
        CF's name for it, where there is one.
    flags
        Of integers that stand for classes: what each means.

    Raises
    ------
    InvalidConfigError
        If the name is reserved or none, or the type cannot hold what is said of it.

    Examples
    --------
    >>> observations = geoembz.Layer("observations", "uint16", units="1")
    >>> observations.prepare([[3.0, 0.0]])
    array([[3, 0]], dtype=uint16)
    """

    name: str
    dtype: str
    nodata: int | None = None
    units: str | None = None
    description: str | None = None
    scale: float | None = None
    offset: float | None = None
    standard_name: str | None = None
    flags: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what cannot be stored; bring the rest into one form."""
        if not _NAME.fullmatch(self.name) or self.name.lower() in RESERVED:
            raise InvalidConfigError(
                f"layer {printable(str(self.name))!r}; expected a letter, then up to 63 letters, "
                "digits or underscores, such as month_count, and no name that a store has "
                "(embedding, valid, x, y, time …)"
            )
        uniform = {
            "dtype": self._checked_type(),
            "scale": self._checked_number("scale", 1.0),
            "offset": self._checked_number("offset", 0.0),
            **{name: _text(getattr(self, name)) for name in ("units", "description")},
            "standard_name": _text(self.standard_name),
        }
        for name, value in uniform.items():
            object.__setattr__(self, name, value)
        object.__setattr__(self, "nodata", self._checked_nodata())
        object.__setattr__(self, "flags", self._checked_flags())

    def _checked_type(self) -> str:
        try:
            name = np.dtype(self.dtype).name
        except TypeError:
            name = ""
        if name not in DATA_TYPES:
            raise InvalidConfigError(
                f"layer {self.name}: type {printable(str(self.dtype))}; expected one of "
                f"{', '.join(DATA_TYPES)}"
            )
        return name

    def _checked_number(self, name: str, neutral: float) -> float | None:
        value = getattr(self, name)
        if value is None or value == neutral:
            return None
        if not math.isfinite(value) or (name == "scale" and value == 0):
            raise InvalidConfigError(f"layer {self.name}: {name} {value}; expected a finite number")
        return float(value)

    def _checked_nodata(self) -> int | None:
        value = self.nodata
        if value is None or (self.is_float and math.isnan(value)):
            return None
        if self.is_float:
            raise InvalidConfigError(
                f"layer {self.name}: nodata {value} of {self.dtype}; expected none: NaN stands for "
                "it, so write NaN in its place"
            )
        return self._checked_integer("nodata", value)

    def _checked_integer(self, what: str, value: float) -> int:
        limits = np.iinfo(self.dtype)
        if value != value or value != int(value) or not limits.min <= value <= limits.max:
            raise InvalidConfigError(
                f"layer {self.name}: {what} {value} of {self.dtype}; expected a whole number from "
                f"{limits.min} to {limits.max}"
            )
        return int(value)

    def _checked_flags(self) -> dict[int, str]:
        if self.flags and self.is_float:
            raise InvalidConfigError(f"layer {self.name}: flags of {self.dtype}; expected integers")
        words = {
            self._checked_integer("flag", value): "_".join((_text(meaning) or "").split())
            for value, meaning in self.flags.items()
        }
        if not all(words.values()):
            raise InvalidConfigError(f"layer {self.name}: a flag without a meaning")
        return words

    @property
    def is_float(self) -> bool:
        """Whether its numbers are floats, in which NaN stands for none."""
        return self.dtype.startswith("float")

    @property
    def has_missing(self) -> bool:
        """Whether it has a number that stands for none."""
        return self.is_float or self.nodata is not None

    @property
    def fill(self) -> float:
        """What is stored where nothing was written, a number of its type."""
        if self.is_float:
            return math.nan
        return 0 if self.nodata is None else self.nodata

    def prepare(self, values: ArrayLike) -> NDArray[Any]:
        """Return numbers in the layer's type, none of them changed; NaN and masked ones as nodata.

        Parameters
        ----------
        values
            As they are to be stored, of any type and shape.

        Raises
        ------
        InvalidConfigError
            If one does not fit, or is none and the layer has no nodata.
        """
        array = np.ma.asarray(values) if np.ma.isMaskedArray(values) else np.asarray(values)
        if array.dtype.kind not in "biuf":
            raise InvalidConfigError(f"layer {self.name}: {array.dtype}; expected numbers")
        missing = np.ma.getmaskarray(array) if np.ma.isMaskedArray(array) else None
        numbers = np.ma.getdata(array)
        if self.is_float:
            return self._as_floats(numbers, missing)
        if numbers.dtype.kind == "f":
            unknown = np.isnan(numbers)
            missing = unknown if missing is None else missing | unknown
        return self._as_integers(numbers, missing)

    def _as_floats(self, numbers: NDArray[Any], missing: NDArray[np.bool_] | None) -> NDArray[Any]:
        floats = numbers.astype(self.dtype)
        largest = 2 ** _LARGEST_EXACT[self.dtype]
        if numbers.dtype.kind in "iu" and numbers.size and _reach(numbers) > largest:
            raise InvalidConfigError(
                f"layer {self.name}: whole numbers up to {_reach(numbers)}; {self.dtype} keeps "
                f"those up to {largest} only; expected another type of layer"
            )
        if missing is not None:
            floats[missing] = math.nan
        return floats

    def _as_integers(
        self, numbers: NDArray[Any], missing: NDArray[np.bool_] | None
    ) -> NDArray[Any]:
        kept = numbers if missing is None else numbers[~missing]
        limits = np.iinfo(self.dtype)
        if kept.size:
            least, most = kept.min().item(), kept.max().item()
            whole = numbers.dtype.kind != "f" or bool((kept == np.trunc(kept)).all())
            if not whole or least < limits.min or most > limits.max:
                raise InvalidConfigError(
                    f"layer {self.name}: numbers from {least} to {most}"
                    f"{'' if whole else ', not all whole'}; expected whole numbers from "
                    f"{limits.min} to {limits.max} ({self.dtype})"
                )
        if missing is None or not missing.any():
            return numbers.astype(self.dtype)
        if self.nodata is None:
            raise InvalidConfigError(
                f"layer {self.name}: {int(missing.sum())} pixels without a number; expected a "
                f"nodata value for them, such as nodata={limits.max}"
            )
        stored = np.where(missing, 0, numbers).astype(self.dtype)
        stored[missing] = self.nodata
        return stored

    def decode(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return values of stored numbers: floats where some are none or scaled, else as stored.

        Parameters
        ----------
        stored
            Numbers of the layer's type.
        """
        values = stored
        if (missing := self.missing(stored)) is not None:
            values = np.where(missing, math.nan, stored)
        if self.scale is None and self.offset is None:
            return values
        scale, offset = self.scale or 1.0, self.offset or 0.0
        return np.asarray(values.astype(np.float64) * scale + offset)

    def missing(self, stored: NDArray[Any]) -> NDArray[np.bool_] | None:
        """Return which stored integers stand for none; None where all are numbers, or NaN is."""
        return None if self.nodata is None else np.asarray(stored == self.nodata)

    def describe(self) -> str:
        """Return what is known of it, for people.

        Examples
        --------
        >>> geoembz.Layer("cloud", "uint8", 255, units="%", scale=0.5).describe()
        'uint8, nodata 255, times 0.5, in %'
        """
        parts = [
            self.dtype,
            "" if self.nodata is None else f"nodata {self.nodata}",
            "" if self.scale is None else f"times {self.scale:g}",
            "" if self.offset is None else f"plus {self.offset:g}",
            "" if self.units is None else f"in {self.units}",
            ", ".join(f"{value} {meaning}" for value, meaning in self.flags.items()),
            self.description or self.standard_name or "",
        ]
        return ", ".join(filter(None, parts))

    def attributes(self) -> dict[str, Any]:
        """Return what is said of it in CF's words; what is not known is left out."""
        flags = {"flag_values": [*self.flags], "flag_meanings": " ".join(self.flags.values())}
        known = {
            "missing_value": self.nodata,
            "scale_factor": self.scale,
            "add_offset": self.offset,
            "units": self.units,
            "long_name": self.description,
            "standard_name": self.standard_name,
            **(flags if self.flags else {}),
        }
        return {name: value for name, value in known.items() if value is not None}

    def to_json(self) -> dict[str, Any]:
        """Return its entry in a store's attributes."""
        return {"name": self.name, "data_type": self.dtype, **self.attributes()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Read an entry of a store's attributes, or CF attributes with name and type.

        Raises
        ------
        InvalidConfigError
            If it says what no layer can be.
        """
        values, meanings = entry.get("flag_values", []), entry.get("flag_meanings", "").split()
        if len(values) != len(meanings):
            raise InvalidConfigError(
                f"layer {entry['name']}: {len(values)} flags and {len(meanings)} meanings"
            )
        return cls(
            entry["name"],
            entry["data_type"],
            entry.get("missing_value"),
            entry.get("units"),
            entry.get("long_name"),
            entry.get("scale_factor"),
            entry.get("add_offset"),
            entry.get("standard_name"),
            dict(zip(values, meanings, strict=True)),
        )


def _text(value: object) -> str | None:
    return None if value is None else printable(str(value).strip()) or None


def _reach(numbers: NDArray[Any]) -> int:
    return max(abs(int(numbers.min())), abs(int(numbers.max())))


def checked_layers(layers: Iterable[Layer]) -> tuple[Layer, ...]:
    """Return layers, of which no two have one name, whatever the case.

    Raises
    ------
    InvalidConfigError
        If two have.
    """
    found: dict[str, Layer] = {}
    for layer in layers:
        other = found.setdefault(layer.name.lower(), layer)
        if other is not layer:
            raise InvalidConfigError(
                f"layers {other.name} and {layer.name}; expected names that differ in more than "
                "capitals"
            )
    return tuple(found.values())
