"""Recipes: what to fit, as a name such as ``pca64-int8``, before anything is fitted."""

import re
from dataclasses import dataclass
from typing import Self

from geoembz.errors import InvalidConfigError
from geoembz.quantization import KINDS

_PROJECTION = re.compile(r"(pca)([1-9]\d*)")


@dataclass(frozen=True)
class Recipe:
    """A projection and a quantizer.

    Parameters
    ----------
    quantizer
        ``int8``, ``int4``, ``binary`` or ``float32``.
    pca
        Number of principal components to keep; None to quantize the vectors as they are.

    Raises
    ------
    InvalidConfigError
        If the quantizer is unknown or the number of components is less than 1.

    Examples
    --------
    >>> str(Recipe("int8", pca=64))
    'pca64-int8'
    >>> Recipe.parse("pca16-binary")
    Recipe(quantizer='binary', pca=16)
    """

    quantizer: str = "int8"
    pca: int | None = None

    def __post_init__(self) -> None:
        """Refuse unknown quantizers and impossible numbers of components."""
        if self.quantizer not in KINDS:
            raise InvalidConfigError(
                f"recipe: quantizer {self.quantizer!r}; expected one of {', '.join(KINDS)}"
            )
        if self.pca is not None and self.pca < 1:
            raise InvalidConfigError(f"recipe: pca of {self.pca} components; expected 1 or more")

    def __str__(self) -> str:
        """Return the recipe's name."""
        return self.quantizer if self.pca is None else f"pca{self.pca}-{self.quantizer}"

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a recipe's name.

        Raises
        ------
        InvalidConfigError
            If the name is not ``[pcaK-]QUANTIZER``.
        """
        *stages, quantizer = name.strip().lower().split("-")
        match = _PROJECTION.fullmatch(stages[0]) if len(stages) == 1 else None
        if quantizer not in KINDS or (stages and match is None):
            raise InvalidConfigError(
                f"recipe {name!r}; expected [pcaK-]QUANTIZER with QUANTIZER one of "
                f"{', '.join(KINDS)}, for example 'pca64-int8'"
            )
        return cls(quantizer, int(match[2]) if match else None)
