"""Residual quantization: a vector is the sum of one codeword of each stage (spec/codecs/rq).

The first stage has 256 centres of the vectors, the second 256 centres of what is left of them, and
so on: each stage adds a byte, and the first bytes alone are a coarser code of the same vector. The
nearest sum is sought by a beam: after each stage the few best partial sums go on. What a codeword
adds to the squared error depends on the vector by one product, and on the codewords before it by
products that are known beforehand, so that no residual is ever made.

A fit sees all sums that a beam holds, not the best one of each vector alone. Codewords that are
means of few residuals suit these too well: with 17,000 vectors of 64 components and 8 stages, the
squared error of vectors that the fit did not see falls by 5 % with the further sums, that of the
vectors it saw rises. The further sums are what a beam has to choose among when it codes others.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.compiling import has_accelerator
from geoembz.encoding._quantization.base import Codes, Quantizer, Shapes, destination
from geoembz.encoding._quantization.centres import (
    MAX_SAMPLES,
    N_CENTRES,
    choose_pixels,
    code_in_blocks,
    k_means,
    repeated_centres,
)
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError, InvalidConfigError

MAX_STAGES = 32
"""Each pair of stages has a table of 256 KiB; with more bytes scalar codes lose as little."""

_BEAM = 5
"""Partial sums that go on to the next stage, as many as FAISS keeps: ten gain 0.1 points more."""

_FIRST_DIRECTIONS = (8, 32)
"""Directions of largest variance in which k-means begins and goes on, before all."""

_REFINEMENTS, _SWEEPS = 2, 3
"""Times that the pixels are coded anew, and that all stages are fitted anew to these codes."""

_BLOCK_PIXELS = 256
"""Pixels that go through the stages together: the products of a stage with those before it stay in
cache for all of them."""


_WORTHWHILE_WORDS = 2**16
"""Codewords chosen at once, below which loading numba takes longer than it saves."""

_ORDINARY = 1e15
"""Largest number whose square, times 65,536 components, 32 stages and their pairs, is finite."""


@dataclass(frozen=True, eq=False, repr=False)
class ResidualQuantizer(Quantizer):
    """Code vectors by the nearest sum of codewords, one of 256 from each stage.

    Codes have one row per stage, ``(n_stages, n_pixels)``, and no room for nodata. The first rows
    are the code of fewer stages.

    Parameters
    ----------
    codebook
        Finite float32, shape ``(n_stages, 256, n_components)``.
    """

    kinds: ClassVar = {"rq": 8}
    law = "residual"
    bits = 8
    nodata = None
    axis = "stage"

    codebook: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse a codebook of another shape."""
        shape = self.codebook.shape
        if len(shape) != 3 or shape[1] != N_CENTRES or not 1 <= shape[0] <= MAX_STAGES:
            raise EncodingError(
                f"rq: codebook of shape {shape}; expected (n_stages, {N_CENTRES}, n_components), "
                f"with 1 to {MAX_STAGES} stages"
            )

    @property
    def n_stages(self) -> int:
        """Bytes of one coded vector."""
        return int(self.codebook.shape[0])

    @property
    def n_components(self) -> int:
        """Length of a vector."""
        return int(self.codebook.shape[2])

    @property
    def n_codes(self) -> int:
        """Codes per vector: one byte per stage."""
        return self.n_stages

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        n_stages: int = 8,
        seed: int = 0,
        n_iterations: int = 12,
    ) -> Self:
        """Fit 256 centres to the vectors, then to what each stage leaves of them.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, at least 256 pixels; of more than
            65,536, of pixels or of their sums, a seeded choice is used.
        n_stages
            Bytes of a code, 1 to 32.
        seed
            Of the choice of pixels and of k-means.
        n_iterations
            At most this many k-means iterations in each number of directions.

        Raises
        ------
        InvalidConfigError
            If there are fewer pixels than codewords, or too many stages.

        References
        ----------
        Y. Chen, T. Guan, C. Wang, "Approximate nearest neighbor search by residual vector
        quantization", Sensors 10 (2010); A. Babenko, V. Lempitsky, "Additive quantization for
        extreme vector compression", CVPR 2014, for the beam; M. Douze et al., "The Faiss library",
        arXiv:2401.08281, for the start in few directions.

        Examples
        --------
        >>> sample = np.random.default_rng(0).normal(size=(4, 300)).astype(np.float32)
        >>> ResidualQuantizer.fit(sample, n_stages=2, n_iterations=5).quantize(sample).shape
        (2, 300)
        """
        if not 1 <= n_stages <= MAX_STAGES:
            raise InvalidConfigError(f"rq: {n_stages} stages; expected 1 to {MAX_STAGES}")
        points = choose_pixels("rq", components, seed)
        residuals = points
        fitted = cls(np.zeros((1, N_CENTRES, len(points)), np.float32))
        for stage in range(n_stages):
            with repeated_centres():
                centres = _progressive_centres(residuals, seed + stage, n_iterations)
            before = fitted.codebook[:stage]
            fitted = cls(np.concatenate([before, centres[np.newaxis]]))
            if stage + 1 < n_stages:
                targets, codes = fitted._likely_sums(points, seed)
                residuals = targets - fitted.dequantize(codes)
        for _ in range(_REFINEMENTS):
            fitted = fitted._refined(*fitted._likely_sums(points, seed))
        return fitted

    def _likely_sums(
        self, points: NDArray[np.float32], seed: int
    ) -> tuple[NDArray[np.float32], Codes]:
        """Return vectors, and codes of the sums that a beam ends with, several of each vector.

        At most `MAX_SAMPLES` of them, chosen by `seed`: a fit takes no longer for them than it
        does for as many vectors.
        """
        codes, n_points = self._code(points, _BEAM), points.shape[1]
        chosen = np.arange(_BEAM * n_points)
        if len(chosen) > MAX_SAMPLES:
            drawn = np.random.default_rng(seed).choice(len(chosen), MAX_SAMPLES, replace=False)
            chosen = np.sort(drawn)
        ranks, pixels = np.divmod(chosen, n_points)
        by_rank = codes.reshape(_BEAM, self.n_stages, n_points)
        return points[:, pixels], np.ascontiguousarray(by_rank[ranks, :, pixels].T)

    def _refined(self, points: NDArray[np.float32], codes: Codes) -> Self:
        """Return codewords with less squared error: each is the mean of what the others leave.

        Stages are fitted one after the other, the first ones without knowing of the later. With
        codes as they are, the error falls with each stage that is fitted anew.
        """
        words = self.codebook.astype(np.float64)
        left = points.T - words[np.arange(len(words))[:, np.newaxis], codes].sum(axis=0)
        for _ in range(_SWEEPS):
            for stage, chosen in zip(words, codes, strict=True):
                counts = np.bincount(chosen, minlength=N_CENTRES)[:, np.newaxis]
                sums = np.stack(
                    [np.bincount(chosen, column, minlength=N_CENTRES) for column in left.T], axis=1
                )
                moved = np.divide(sums, counts, out=np.zeros_like(sums), where=counts > 0)
                stage += moved
                left -= moved[chosen]
        return replace(self, codebook=words.astype(np.float32))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Quantize finite float32 ``(n_components, n_pixels)``; one row of codes per stage."""
        return self._code(components, 1)

    def _code(self, components: NDArray[np.float32], n_sums: int) -> Codes:
        """Return the codes of the best sums, ``(n_sums * n_stages, n_pixels)``, nearest first."""
        work = components.shape[1] * self.n_stages
        is_compiled = work >= _WORTHWHILE_WORDS and has_accelerator() and self._is_ordinary
        nearest = self._nearest_compiled if is_compiled else self._nearest
        return code_in_blocks(
            components, n_sums * self.n_stages, _BLOCK_PIXELS, partial(nearest, n_sums=n_sums)
        )

    def _nearest(self, block: NDArray[np.float32], n_sums: int = 1) -> NDArray[np.uint8]:
        """Return the codes of a block of `_BLOCK_PIXELS`, sum by sum, in each stage by stage.

        The squared error of a sum, less the vector's own square, is the sum of ``|c|² - 2 x·c`` of
        its codewords and ``2 c·c'`` of their pairs.
        """
        n_pixels = block.shape[1]
        errors = np.zeros((n_pixels, 1), np.float32)
        codes = np.empty((n_pixels, 1, 0), np.intp)
        for stage, (words, squares) in enumerate(zip(self.codebook, self._squares, strict=True)):
            with np.errstate(over="ignore", invalid="ignore"):
                alone = squares - 2 * (block.T @ words.T)
                scores = errors[:, :, np.newaxis] + alone[:, np.newaxis]
                for earlier, products in enumerate(self._products[stage]):
                    scores += products[codes[:, :, earlier]]
            beam = _BEAM if stage + 1 < self.n_stages else n_sums
            chosen, errors = _smallest(scores.reshape(n_pixels, -1), beam)
            parents, words_chosen = np.divmod(chosen, N_CENTRES)
            before = np.take_along_axis(codes, parents[..., np.newaxis], axis=1)
            codes = np.concatenate([before, words_chosen[..., np.newaxis]], axis=2)
        return codes.reshape(n_pixels, -1).T.astype(np.uint8)

    def _nearest_compiled(self, block: NDArray[np.float32], n_sums: int = 1) -> NDArray[np.uint8]:
        """Return what `_nearest` does, by a loop that numba compiled."""
        from geoembz.encoding._quantization.compiled import extend_sums

        if not np.abs(block).max() < _ORDINARY:
            return self._nearest(block, n_sums)
        n_pixels = block.shape[1]
        errors = np.zeros((n_pixels, 1), np.float32)
        codes = np.empty((n_pixels, 1, self.n_stages), np.uint8)
        for stage, (words, squares) in enumerate(zip(self.codebook, self._squares, strict=True)):
            alone = squares - 2 * (block.T @ words.T)
            beam = _BEAM if stage + 1 < self.n_stages else n_sums
            chosen = np.empty((n_pixels, beam), np.float32)
            longer = np.empty((n_pixels, beam, self.n_stages), np.uint8)
            extend_sums(alone, self._products[stage], errors, codes, chosen, longer)
            errors, codes = chosen, longer
        return codes.reshape(n_pixels, -1).T

    @cached_property
    def _is_ordinary(self) -> bool:
        """Whether no sum of products can overflow: then no two ways of sorting differ."""
        return bool(np.abs(self.codebook).max() < _ORDINARY)

    @cached_property
    def _squares(self) -> NDArray[np.float32]:
        """Squared length of each codeword, float32, shape ``(n_stages, 256)``."""
        squares: NDArray[np.float64] = np.square(self.codebook, dtype=np.float64).sum(axis=2)
        with np.errstate(over="ignore"):
            return squares.astype(np.float32)

    @cached_property
    def _products(self) -> tuple[NDArray[np.float32], ...]:
        """Twice the products of each stage's codewords with all earlier ones.

        float32, shape ``(stage, 256, 256)`` for each stage: earlier stage, its codeword, codeword.
        In this order in memory, too, where rows are what is read: it takes a third of the time.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            return tuple(
                np.ascontiguousarray(
                    2 * np.einsum("lik,jk->lij", self.codebook[:stage], words, optimize=True)
                )
                if stage
                else np.empty((0, N_CENTRES, N_CENTRES), np.float32)
                for stage, words in enumerate(self.codebook)
            )

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the sums, float32 ``(n_components, n_pixels)``, stage by stage."""
        values = destination(out, (self.n_components, codes.shape[1]))
        values[...] = 0
        for words, chosen in zip(self.codebook, codes, strict=True):
            for row, coordinate in zip(values, np.ascontiguousarray(words.T), strict=True):
                row += np.take(coordinate, chosen, mode="clip")
        return values

    @property
    def n_prefixes(self) -> int:
        """Stages: the first few are a coarser code."""
        return self.n_stages

    def select(self, n_components: int) -> Self:
        """Return the quantizer of the first stages, whose vectors have all components."""
        return replace(self, codebook=self.codebook[:n_components])

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state, the number of stages included."""
        return {**super().config(), "n_stages": self.n_stages}

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:
        """Return the codewords of each stage."""
        stages = stored_length("rq", config, "n_stages")
        if stages > MAX_STAGES:
            raise EncodingError(f"rq: n_stages is {stages}; expected at most {MAX_STAGES}")
        return {"codebook": (stages, N_CENTRES, stored_length("rq", config))}


def _progressive_centres(
    residuals: NDArray[np.float32], seed: int, n_iterations: int
) -> NDArray[np.float32]:
    """Return 256 centres of columns ``(n_components, n_pixels)``, float32 ``(256, n_components)``.

    K-means in many dimensions stops at poor centres. So it starts in the few directions in which
    the residuals vary most, and goes on in more and more of them from where it was.
    """
    n_components = len(residuals)
    _, axes = np.linalg.eigh(np.cov(residuals.astype(np.float64)).reshape(n_components, -1))
    directions = axes[:, ::-1].astype(np.float32)  # largest variance first
    points = np.ascontiguousarray((directions.T @ residuals).T)
    widths = sorted({min(width, n_components) for width in (*_FIRST_DIRECTIONS, n_components)})
    centres = np.empty((N_CENTRES, 0), np.float32)
    for width in widths:
        padded = np.pad(centres, ((0, 0), (0, width - centres.shape[1])))
        start = padded if centres.size else None
        centres = k_means(np.ascontiguousarray(points[:, :width]), seed, n_iterations, start)
    return np.ascontiguousarray(centres @ directions.T, dtype=np.float32)


def _smallest(
    scores: NDArray[np.float32], count: int
) -> tuple[NDArray[np.intp], NDArray[np.float32]]:
    """Return places and values of the smallest numbers of each row, ascending, the first of equals.

    A few passes of `argmin` are faster than a partition, and say which of equal ones come first.
    The scores are overwritten.
    """
    rows = np.arange(len(scores))
    places = np.empty((len(scores), count), np.intp)
    values = np.empty((len(scores), count), np.float32)
    for rank in range(count):
        places[:, rank] = scores.argmin(axis=1)
        values[:, rank] = scores[rows, places[:, rank]]
        scores[rows, places[:, rank]] = np.inf
    return places, values
