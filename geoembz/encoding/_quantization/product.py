"""Product quantization: one byte for each group of components (spec/codecs/pq)."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import for_each, single_threaded_blas, worker_count
from geoembz.encoding._quantization.base import Codes, Quantizer, Shapes, destination
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError, InvalidConfigError

_N_CODEWORDS = 256
_BLOCK_PIXELS = 1024
"""Pixels whose distances are computed at once; every block has this width, padded with zeros,
because BLAS rounds differently from width to width and codes must not depend on the window."""
_MAX_SAMPLES = 65_536
"""Pixels that k-means sees, 256 for each codeword; more gain nothing measurable."""


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

    codebook: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse a codebook of another shape."""
        if self.codebook.ndim != 3 or self.codebook.shape[1] != _N_CODEWORDS:
            raise EncodingError(
                f"pq: codebook of shape {self.codebook.shape}; expected "
                f"(n_subquantizers, {_N_CODEWORDS}, width)"
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
        n_components, n_pixels = components.shape
        if n_subquantizers < 1 or n_components % n_subquantizers:
            raise InvalidConfigError(
                f"pq: {n_subquantizers} sub-quantizers for {n_components} components; expected a "
                f"divisor of {n_components}"
            )
        if n_pixels < _N_CODEWORDS:
            raise InvalidConfigError(
                f"pq: {n_pixels} sampled pixels for {_N_CODEWORDS} codewords; "
                f"take at least {_N_CODEWORDS}"
            )
        groups = np.split(_choose(components, seed), n_subquantizers)
        points = [np.ascontiguousarray(group.T) for group in groups]
        return cls(_centres_of_groups(points, seed, n_iterations))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; one row of codes per group."""
        n_pixels = components.shape[1]
        codes = np.empty((self.n_subquantizers, n_pixels), dtype=np.uint8)
        block = np.zeros((self.n_components, _BLOCK_PIXELS), dtype=np.float32)
        for start in range(0, n_pixels, _BLOCK_PIXELS):
            width = min(_BLOCK_PIXELS, n_pixels - start)
            block[:, :width] = components[:, start : start + width]
            block[:, width:] = 0
            codes[:, start : start + width] = self._nearest(block)[:, :width]
        return codes

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
        return {"codebook": (groups, _N_CODEWORDS, count // groups)}


def _choose(components: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return at most `_MAX_SAMPLES` pixels, in their order, chosen by `seed`."""
    n_pixels = components.shape[1]
    if n_pixels <= _MAX_SAMPLES:
        return components
    chosen = np.random.default_rng(seed).choice(n_pixels, _MAX_SAMPLES, replace=False)
    return components[:, np.sort(chosen)]


def _centres_of_groups(
    groups: Sequence[NDArray[np.float32]], seed: int, n_iterations: int
) -> NDArray[np.float32]:
    """Return the k-means centres of groups of points ``(n_points, width)``, fitted side by side.

    Each group has a seed of its own and is fitted by one thread, so the result does not depend on
    the number of threads. Shape ``(n_groups, 256, width)``; centres are repeated where there are
    fewer distinct points.
    """
    from sklearn.exceptions import ConvergenceWarning

    def centres(number: int) -> NDArray[np.float32]:
        return _centres(groups[number], seed + number, n_iterations)

    # Filters of warnings belong to the process: set them once, outside the threads.
    with warnings.catch_warnings(), single_threaded_blas():
        # Fewer distinct points than centres is no mistake here: repeated centres lose nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.stack(for_each(range(len(groups)), centres, worker_count()))


def _centres(points: NDArray[np.float32], seed: int, n_iterations: int) -> NDArray[np.float32]:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    model = KMeans(_N_CODEWORDS, n_init=1, max_iter=n_iterations, tol=0.0, random_state=seed)
    # Threads add their partial sums in the order in which they finish: one thread, one result.
    with threadpool_limits(limits=1):
        model.fit(points)
    return np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)
