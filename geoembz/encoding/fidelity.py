"""Add up, block by block, how far decoded vectors are from the originals.

The sums are what a conversion keeps: five numbers per shard, merged at the end.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike

from geoembz.encoding.pixelwise import pixel_fidelity
from geoembz.errors import InvalidConfigError


@dataclass(frozen=True)
class FidelitySums:
    """Sums over pixels from which the mean fidelity follows; additive, so blocks can be merged.

    Floating-point addition is not associative: merge the blocks in one fixed order, whatever the
    order in which they were finished, and the result is the same to the last bit.

    Attributes
    ----------
    n
        Number of pixels.
    dimension
        Components of one vector; 0 in the empty sum, which merges with any other.
    cosine, cosine_centred
        Sums of the per-pixel cosines.
    squared_error
        Sum of the squared differences over all pixels and components.

    Examples
    --------
    >>> original = np.array([[3.0, 4.0], [1.0, 0.0]])
    >>> FidelitySums.of(original, original, centre=np.zeros(2)).summary()
    {'cosine': 1.0, 'cosine_centred': 1.0, 'rmse': 0.0, 'n': 2}
    """

    n: int = 0
    dimension: int = 0
    cosine: float = 0.0
    cosine_centred: float = 0.0
    squared_error: float = 0.0

    @classmethod
    def of(cls, original: ArrayLike, decoded: ArrayLike, centre: ArrayLike) -> Self:
        """Add up the fidelity of one block.

        Parameters
        ----------
        original, decoded
            Shape ``(n, D)``, any real dtype, finite.
        centre
            Shape ``(D,)``: what the centred cosine takes off both.

        Raises
        ------
        InvalidConfigError
            If the shapes differ or a value is not finite.
        """
        pixels = pixel_fidelity(original, decoded, centre)
        dimension = np.shape(original)[1]
        return cls(
            n=pixels.cosine.size,
            dimension=dimension if pixels.cosine.size else 0,
            cosine=float(pixels.cosine.sum()),
            cosine_centred=float(pixels.cosine_centred.sum()),
            squared_error=float((pixels.rmse**2).sum()) * dimension,
        )

    def merge(self, other: "FidelitySums") -> "FidelitySums":
        """Return the sums of both; `self` comes first in the order of addition.

        Raises
        ------
        InvalidConfigError
            If the two were made from vectors of different dimension.
        """
        if self.n and other.n and self.dimension != other.dimension:
            raise InvalidConfigError(
                f"fidelity: sums over {self.dimension} and {other.dimension} components cannot be "
                "merged; merge only blocks of one store"
            )
        return FidelitySums(
            n=self.n + other.n,
            dimension=self.dimension or other.dimension,
            cosine=self.cosine + other.cosine,
            cosine_centred=self.cosine_centred + other.cosine_centred,
            squared_error=self.squared_error + other.squared_error,
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain numbers; JSON keeps them to the last bit."""
        return asdict(self)

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Self:
        """Read back what `to_dict` wrote."""
        return cls(**document)

    def summary(self) -> dict[str, float | int | None]:
        """Return mean cosines, pooled RMSE and `n`; without pixels the means are None."""
        if self.n == 0:
            return {"cosine": None, "cosine_centred": None, "rmse": None, "n": 0}
        return {
            "cosine": self.cosine / self.n,
            "cosine_centred": self.cosine_centred / self.n,
            "rmse": float(np.sqrt(self.squared_error / (self.n * self.dimension))),
            "n": self.n,
        }
