"""What every quantizer has: float components to small integer codes, and back.

All arrays are component first, ``(n_components, n_pixels)``: that is how rasters are read, how
chunks are stored and what makes one matrix product out of a projection. Codes are unpacked, one
per array element; `encoding._packing` knows bits. A quantizer is a frozen dataclass whose fields
are its fitted state: arrays by their stored names, and what `scalars` reads from the JSON part.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._state import Arrays, stored_array
from geoembz.errors import InvalidConfigError

type Codes = NDArray[np.generic]
type Shapes = dict[str, tuple[int, ...]]


class Quantizer(ABC):
    """Turn float32 components into codes, and codes into float32 components.

    A new quantizer is a frozen dataclass that names its `kinds` and `law` and writes `fit`,
    `quantize`, `dequantize`, `shapes`, and `scalars` where it has fields that are no arrays.
    ``@dataclass(frozen=True, eq=False, repr=False)``: arrays have no single truth value to compare.
    """

    kinds: ClassVar[Mapping[str, int]]
    """Bits of one code, by the quantizer's names in recipes, metadata and codec ids."""
    law: ClassVar[str]
    """How codes decode, as metadata spell it; with the kind it names this class."""
    methods: ClassVar[tuple[str, ...]] = ()
    """How it can be fitted, where there is a choice; the first one is the default."""

    axis: ClassVar[str] = "component"
    """What the codes of a vector stand for, one each: the name of their axis in stores."""

    bits: int
    """Width of one code, in bits: 1, 2, 4, 8 (packed into uint8 below 8), 16 or 32."""

    if TYPE_CHECKING:  # at run time a property here would be the default of fields of this name

        @property
        def n_components(self) -> int:
            """Length of a vector before quantization."""

    def __post_init__(self) -> None:
        """Refuse widths without a codec."""
        if self.bits not in self.kinds.values():
            raise InvalidConfigError(
                f"{self.law} quantizer: {self.bits} bits; expected one of "
                f"{', '.join(map(str, self.kinds.values()))}"
            )

    @property
    def kind(self) -> str:
        """Name in recipes, metadata and codec ids, such as ``int8`` or ``binary``."""
        return next(kind for kind, bits in self.kinds.items() if bits == self.bits)

    @property
    def n_codes(self) -> int:
        """Codes per vector: one per component, or fewer where one code stands for several."""
        return self.n_components

    @property
    def n_prefixes(self) -> int:
        """How long `select` can be told to cut; the whole is as long."""
        return self.n_components

    @property
    def nodata(self) -> int | float | None:
        """Code of an invalid pixel; None where the codes have no room for one."""
        return -128 if self.bits == 8 else None

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the unpacked codes: int8 where −128 is nodata, else uint8."""
        return np.dtype(np.int8 if self.nodata == -128 else np.uint8)

    @property
    def fill_value(self) -> int | float:
        """Stored number of an invalid pixel: `nodata`, in every code of a packed byte.

        0 where there is no code for nodata.
        """
        if self.nodata is None:
            return 0
        if self.bits >= 8:
            return self.nodata
        return sum(int(self.nodata) << shift for shift in range(0, 8, self.bits))

    def is_nodata(self, codes: Codes) -> NDArray[np.bool_]:
        """Return which stored numbers are those of an invalid vector, bool of the same shape.

        All bytes of an invalid vector are `fill_value`; none of a valid one is, since its codes are
        not `nodata` and its padding is 0. So one place of each vector tells.
        """
        if self.nodata is None:
            return np.zeros(codes.shape, np.bool_)
        fill = self.fill_value
        return np.asarray(np.isnan(codes) if np.isnan(fill) else codes == fill, np.bool_)

    @classmethod
    @abstractmethod
    def fit(cls, components: NDArray[np.float32], *args: Any, **kwargs: Any) -> Self:
        """Fit on a checked sample; see `fit_quantizer`.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, not empty.
        *args, **kwargs
            ``bits`` of a class with several kinds, ``method`` where there is a choice, and options
            of its own.
        """

    @abstractmethod
    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; out-of-range values are clipped."""

    def quantize_in_place(self, components: NDArray[np.float32], out: Codes) -> None:
        """Quantize into `out`, shape ``(n_codes, n_pixels)``; may overwrite the components."""
        out[...] = self.quantize(components)

    @abstractmethod
    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the float32 values ``(n_components, n_pixels)`` that codes stand for, in `out`.

        The code of nodata becomes NaN.
        """

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first `n_components` components, at most `n_prefixes`."""
        cut: dict[str, Any] = {name: array[:n_components] for name, array in self.arrays().items()}
        return replace(self, **cut or {"n_components": n_components})  # type: ignore[type-var]

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        return {
            "kind": self.kind,
            "bits": self.bits,
            "law": self.law,
            "n_components": self.n_components,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        return {name: getattr(self, name) for name in self.shapes(self.config())}

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:  # noqa: ARG003 - nothing is fitted here
        """Return the shape of every stored array, by name, from the JSON part alone.

        Raises
        ------
        EncodingError
            If sizes in `config` are missing or do not fit together.
        """
        return {}

    @classmethod
    def scalars(cls, config: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields that are no arrays: the width, of a class with several kinds.

        Raises
        ------
        EncodingError
            If one is missing or makes no sense.
        """
        return {"bits": cls.kinds[config["kind"]]} if len(cls.kinds) > 1 else {}

    @classmethod
    def from_state(cls, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild from `config`, whose kind and law are this class's, and `arrays`.

        Raises
        ------
        EncodingError
            If something is missing, does not fit together, or is not finite.
        """
        scalars = cls.scalars(config)
        stored = {
            name: stored_array(config["kind"], name, arrays, shape)
            for name, shape in cls.shapes(config).items()
        }
        return cls(**scalars, **stored)

    def __repr__(self) -> str:
        """Return the quantizer without its arrays."""
        return f"<{self.kind} ({self.law}) of {self.n_components} components>"


def destination(out: NDArray[np.float32] | None, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return `out`, or a new float32 array of a shape where there is none."""
    return np.empty(shape, dtype=np.float32) if out is None else out
