"""Product quantization: one byte for each group of components (spec/codecs/pq)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import for_each, single_threaded_blas, worker_count
from geoembz.encoding._quantization.base import Codes, Quantizer, Shapes, destination
from geoembz.encoding._quantization.centres import (
    N_CENTRES,
    choose_pixels,
    code_in_blocks,
    k_means,
    repeated_centres,
)
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError, InvalidConfigError

_BLOCK_PIXELS = 1024
"""Pixels whose distances are computed at once."""


@dataclass(frozen=True, eq=False, repr=False)
class ProductQuantizer(Quantizer):
    """Cut vectors into groups of consecutive components, each coded by its nearest of 256 centres.

    Codes have one row per group, ``(n_subquantizers, n_pixels)``, and no room for nodata.

    Parameters
    ----------
    codebook
        Finite float32, shape ``(n_subquantizers, 256, n_components // n_subquantizers)``.
    """

    kinds: ClassVar = {"pq": 8}
    law = "product"
    bits = 8
    nodata = None
    axis = "subquantizer"

    codebook: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse a codebook of another shape."""
        if self.codebook.ndim != 3 or self.codebook.shape[1] != N_CENTRES:
            raise EncodingError(
                f"pq: codebook of shape {self.codebook.shape}; expected "
                f"(n_subquantizers, {N_CENTRES}, width)"
            )

    @property
    def n_subquantizers(self) -> int:
        """Bytes of one coded vector."""
        return int(self.codebook.shape[0])

    @cached_property
    def n_components(self) -> int:
        """Length of a vector."""
        return int(self.codebook.shape[0] * self.codebook.shape[2])

    @property
    def n_codes(self) -> int:
        """Codes per vector: one byte per group of components."""
        return self.n_subquantizers

    @cached_property
    def _half_norms(self) -> NDArray[np.float32]:
        """Half of each codeword's squared length, float32, shape ``(n_subquantizers, 256)``."""
        norms: NDArray[np.float64] = np.square(self.codebook, dtype=np.float64).sum(axis=2)
        with np.errstate(over="ignore"):
            return (norms / 2).astype(np.float32)

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        n_subquantizers: int = 8,
        seed: int = 0,
        n_iterations: int = 25,
    ) -> Self:
        """Fit 256 centres to each group of components.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, at least 256 pixels; of more than
            65,536 a seeded choice is used.
        n_subquantizers
            Bytes of a code; must divide the number of components.
        seed
            Of the choice of pixels and of k-means.
        n_iterations
            At most this many k-means iterations.

        Raises
        ------
        InvalidConfigError
            If the number of components is not a multiple of the number of groups, or there are
            fewer pixels than codewords.

        References
        ----------
        H. Jégou et al., "Product quantization for nearest neighbor search", IEEE TPAMI 33 (2011).

        Examples
        --------
        >>> sample = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)
        >>> ProductQuantizer.fit(sample, n_subquantizers=2).quantize(sample).shape
        (2, 300)
        """
        n_components = len(components)
        if n_subquantizers < 1 or n_components % n_subquantizers:
            raise InvalidConfigError(
                f"pq: {n_subquantizers} sub-quantizers for {n_components} components; expected a "
                f"divisor of {n_components}"
            )
        groups = np.split(choose_pixels("pq", components, seed), n_subquantizers)
        points = [np.ascontiguousarray(group.T) for group in groups]
        return cls(_centres_of_groups(points, seed, n_iterations))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; one row of codes per group."""
        return code_in_blocks(components, self.n_subquantizers, _BLOCK_PIXELS, self._nearest)

    def _nearest(self, block: NDArray[np.float32]) -> NDArray[np.intp]:
        """Nearest centre of each group: largest product minus half the centre's squared length."""
        nearest = np.empty((self.n_subquantizers, block.shape[1]), dtype=np.intp)
        groups = np.split(block, self.n_subquantizers)
        for number, (group, centres) in enumerate(zip(groups, self.codebook, strict=True)):
            # |x - c|² = |x|² - 2 (x·c - |c|²/2), and |x|² is the same for all centres: the largest
            # x·c - |c|²/2 is the nearest, at the cost of one product.
            with np.errstate(over="ignore", invalid="ignore"):
                closeness = group.T @ centres.T
                closeness -= self._half_norms[number]
            closeness.argmax(axis=1, out=nearest[number])
        return nearest

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the centres, float32 ``(n_components, n_pixels)``."""
        values = destination(out, (self.n_components, codes.shape[1]))
        groups = np.split(values, self.n_subquantizers)
        for group, centres, chosen in zip(groups, self.codebook, codes, strict=True):
            for row, coordinate in zip(group, np.ascontiguousarray(centres.T), strict=True):
                np.take(coordinate, chosen, out=row, mode="clip")
        return values

    def select(self, n_components: int) -> Self:
        """Refuse a prefix: a byte stands for a whole group of components.

        Raises
        ------
        InvalidConfigError
            Unless all components are asked for.
        """
        if n_components == self.n_components:
            return self
        raise InvalidConfigError(
            f"pq: {n_components} of {self.n_components} components; product codes have no "
            "prefix, read all components"
        )

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state, the number of groups included."""
        return {**super().config(), "n_subquantizers": self.n_subquantizers}

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:
        """Return the centres of each group."""
        count = stored_length("pq", config)
        groups = stored_length("pq", config, "n_subquantizers")
        if count % groups:
            raise EncodingError(f"pq: n_subquantizers is {groups}; expected a divisor of {count}")
        return {"codebook": (groups, N_CENTRES, count // groups)}


def _centres_of_groups(
    groups: Sequence[NDArray[np.float32]], seed: int, n_iterations: int
) -> NDArray[np.float32]:
    """Return the k-means centres of groups of points ``(n_points, width)``, fitted side by side.

    Each group has a seed of its own and is fitted by one thread, so the result does not depend on
    the number of threads. Shape ``(n_groups, 256, width)``; centres are repeated where there are
    fewer distinct points.
    """

    def centres(number: int) -> NDArray[np.float32]:
        return k_means(groups[number], seed + number, n_iterations)

    with repeated_centres(), single_threaded_blas():
        return np.stack(for_each(range(len(groups)), centres, worker_count()))
