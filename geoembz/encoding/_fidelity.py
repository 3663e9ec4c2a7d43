"""Measure how far decoded vectors are from the originals, pixel by pixel, and add it up.

Everything is computed in float64, over row blocks of fixed length, so that the numbers depend
neither on the memory at hand nor on the number of threads. The sums are what a conversion keeps:
five numbers per shard, merged at the end.
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.errors import InvalidConfigError

_BLOCK_VALUES = 1 << 16
"""Values of one block: 8 MB in float64."""


@dataclass(frozen=True)
class PixelFidelity:
    """How well each of n pixels came back: float64 arrays of shape ``(n,)``.

    `cosine` is taken between the vectors as they are, `cosine_centred` after `centre` (usually
    the mean of the data) was taken off both, and `rmse` over the components, in units of the data.
    A cosine with a zero vector is 1 where both are zero and 0 otherwise.
    """

    cosine: NDArray[np.float64]
    cosine_centred: NDArray[np.float64]
    rmse: NDArray[np.float64]

    def summary(self) -> dict[str, dict[str, float]]:
        """Return mean, 5th percentile and minimum; of `rmse` also p95, maximum and the pooled one.

        Of an error the high end is the bad one: p95 and maximum say what p5 and minimum say of a
        cosine. The pooled RMSE is that of all numbers together.
        """
        summary = {
            name: {
                "mean": float(values.mean()),
                "p5": float(np.quantile(values, 0.05)),
                "min": float(values.min()),
            }
            for name, values in vars(self).items()
        }
        summary["rmse"] |= {
            "p95": float(np.quantile(self.rmse, 0.95)),
            "max": float(self.rmse.max()),
            "pooled": float(np.sqrt(np.mean(self.rmse**2))),
        }
        return summary


def pixel_fidelity(original: ArrayLike, decoded: ArrayLike, centre: ArrayLike) -> PixelFidelity:
    """Compare decoded vectors with the originals, one by one.

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

    Examples
    --------
    >>> pixel_fidelity([[1.0, 0.0]], [[0.0, 1.0]], centre=[0.0, 0.0]).cosine
    array([0.])
    """
    original, decoded, centre = np.asarray(original), np.asarray(decoded), np.asarray(centre)
    if (
        original.ndim != 2
        or 0 in original.shape[1:]
        or original.shape != decoded.shape
        or centre.shape != original.shape[1:]
    ):
        raise InvalidConfigError(
            f"fidelity: got original {original.shape}, decoded {decoded.shape} and centre "
            f"{centre.shape}; expected (n, D), (n, D) and (D,)"
        )
    result = np.empty((3, len(original)))
    for rows in _row_blocks(*original.shape):
        x, y = original[rows].astype(np.float64), decoded[rows].astype(np.float64)
        _require_finite(x, y)
        result[0, rows] = _cosine(x, y)
        result[1, rows] = _cosine(x - centre, y - centre)
        result[2, rows] = np.sqrt(np.mean((x - y) ** 2, axis=1))
    return PixelFidelity(*result)


def clipped_share(values: ArrayLike, low: ArrayLike, high: ArrayLike) -> float:
    """Return the share of `values` that lie outside what a quantizer can express.

    Parameters
    ----------
    values
        Shape ``(n, k)``, what was quantized.
    low, high
        Smallest and largest value of each component's codebook; scalars or shape ``(k,)``.
    """
    values = np.asarray(values)
    return float(np.mean((values < low) | (values > high))) if values.size else 0.0


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
        return cls.of_pixels(pixel_fidelity(original, decoded, centre), np.shape(original)[1])

    @classmethod
    def of_pixels(cls, pixels: PixelFidelity, dimension: int) -> Self:
        """Add up pixels that were measured, of vectors of so many components, in their order."""
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


def _row_blocks(n_rows: int, dimension: int) -> Iterator[slice]:
    step = max(1, _BLOCK_VALUES // max(1, dimension))
    return (slice(start, start + step) for start in range(0, n_rows, step))


def _require_finite(*blocks: NDArray[np.float64]) -> None:
    if not all(np.isfinite(block).all() for block in blocks):
        raise InvalidConfigError(
            "fidelity: a vector holds NaN or infinity; leave out the pixels that are not valid"
        )


def _cosine(x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return row-wise cosines; two zero rows agree, a zero row and another do not."""
    dot, xx, yy = (np.einsum("ij,ij->i", a, b) for a, b in ((x, y), (x, x), (y, y)))
    norms = np.sqrt(xx) * np.sqrt(yy)
    cosine = np.divide(dot, norms, out=np.zeros_like(dot), where=norms != 0)
    cosine[(xx == 0) & (yy == 0)] = 1.0
    return np.asarray(np.clip(cosine, -1.0, 1.0), dtype=np.float64)
