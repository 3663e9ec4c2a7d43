"""Product quantization: one byte for each group of components (spec/codecs/pq)."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.encoding._quantization.kmeans import kmeans_of_groups
from geoembz.encoding._quantization.state import (
    check_sample,
    no_options,
    stored_array,
    stored_length,
)
from geoembz.encoding._quantization.tables import destination
from geoembz.errors import EncodingError, InvalidConfigError

_N_CODEWORDS = 256
_BLOCK_PIXELS = 1024
"""Pixels whose distances are computed at once; every block has this width, padded with zeros,
because BLAS rounds differently from width to width and codes must not depend on the window."""
_MAX_SAMPLES = 65_536
"""Pixels that k-means sees, 256 for each codeword; more gain nothing measurable."""


@dataclass(frozen=True)
class ProductQuantizer:
    """Cut vectors into groups of consecutive components, each coded by its nearest of 256 centres.

    Codes have one row per group, ``(n_subquantizers, n_pixels)``, and no room for nodata.

    Parameters
    ----------
    codebook
        Finite float32, shape ``(n_subquantizers, 256, n_components // n_subquantizers)``.
    """

    kind: ClassVar[str] = "pq"
    bits: ClassVar[int] = 8
    nodata: ClassVar[None] = None

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

    @property
    def n_components(self) -> int:
        """Length of a vector."""
        return int(self.codebook.shape[0] * self.codebook.shape[2])

    @property
    def n_codes(self) -> int:
        """Codes per vector: one byte per group of components."""
        return self.n_subquantizers

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """uint8."""
        return np.dtype(np.uint8)

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
        engine: str = "sklearn",
        **options: object,
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
        engine
            ``sklearn``, or ``faiss`` where it is installed.
        **options
            None are known.

        Raises
        ------
        InvalidConfigError
            If the groups do not come out even, or the sample is too small or not finite.
        MissingPackageError
            If faiss is asked for and not installed.

        References
        ----------
        H. Jégou et al., "Product quantization for nearest neighbor search", IEEE TPAMI 33 (2011).

        Examples
        --------
        >>> sample = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)
        >>> ProductQuantizer.fit(sample, n_subquantizers=2).quantize(sample).shape
        (2, 300)
        """
        no_options("pq", options)
        check_sample("pq", components)
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
        centres = kmeans_of_groups(
            [group.T for group in groups],
            _N_CODEWORDS,
            seed=seed,
            n_iterations=n_iterations,
            engine=engine,
        )
        return cls(centres)

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

    def lookup_tables(self, queries: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return products of query parts and centres, for distances without decoding.

        Parameters
        ----------
        queries
            float32, shape ``(n_queries, n_components)``.

        Returns
        -------
        tables
            float32, shape ``(n_queries, n_subquantizers, 256)``.
        """
        parts = queries.reshape(len(queries), self.n_subquantizers, -1)
        products = np.matmul(parts.transpose(1, 0, 2), self.codebook.transpose(0, 2, 1))
        return np.ascontiguousarray(products.transpose(1, 0, 2))

    def norm_table(self, shift: NDArray[np.float32] | float = 0.0) -> NDArray[np.float32]:
        """Return ``|centre + shift|**2``, float32, shape ``(n_subquantizers, 256)``.

        `shift` is what reduced vectors add to each component, shape ``(n_components, 1)``.
        """
        parts = np.broadcast_to(np.float32(shift), (self.n_components, 1))
        moved = self.codebook + parts.reshape(self.n_subquantizers, 1, -1)
        return np.square(moved).sum(axis=2)

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
        """Return the JSON part of the state."""
        return {
            "kind": self.kind,
            "bits": self.bits,
            "law": "product",
            "n_components": self.n_components,
            "n_subquantizers": self.n_subquantizers,
        }

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        return {"codebook": self.codebook}

    @classmethod
    def from_state(
        cls, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config` and `arrays`."""
        count = stored_length(cls.kind, config)
        groups = stored_length(cls.kind, config, "n_subquantizers")
        if count % groups:
            raise EncodingError(f"pq: n_subquantizers is {groups}; expected a divisor of {count}")
        shape = (groups, _N_CODEWORDS, count // groups)
        return cls(stored_array(cls.kind, "codebook", arrays, shape))


def _choose(components: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return at most `_MAX_SAMPLES` pixels, in their order, chosen by `seed`."""
    n_pixels = components.shape[1]
    if n_pixels <= _MAX_SAMPLES:
        return components
    chosen = np.random.default_rng(seed).choice(n_pixels, _MAX_SAMPLES, replace=False)
    return components[:, np.sort(chosen)]
