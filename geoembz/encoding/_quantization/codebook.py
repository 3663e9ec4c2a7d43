"""Scalar codebooks: each component has its own values for 2, 4 or 8-bit codes.

``value = codebook[component, index]``; the index is the code, or ``code + 127`` for int8
(spec/codecs/int8, spec/codecs/int4, spec/codecs/int2).

Codebooks are fitted to a sorted sample, by equal shares or by least squared error. Every step works
on the sorted values and their running sum, so a Lloyd iteration costs a bisection per codeword and
not a pass over the sample.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes, Quantizer, Shapes
from geoembz.encoding._quantization.lookup import CellIndex, look_up
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError, InvalidConfigError

_DENSITY_POINTS = 4096
"""Order statistics that describe the density from which Lloyd's iteration starts."""
_MAX_ITERATIONS = 100
"""Bounds samples on which Lloyd's iteration creeps; others are within the tolerance before."""

_MAX_REPAIRS = 8
"""Rounds in which codewords of empty cells are given to the worst ones."""
_TOLERANCE = 1e-4
"""Stop when no codeword moved by more than this share of the mean distance between codewords."""


@dataclass(frozen=True, eq=False, repr=False)
class CodebookQuantizer(Quantizer):
    """Map each value to the nearest of its component's codewords.

    8-bit codes are int8, −127 to 127 (255 codewords), and −128 is nodata. Narrower ones are uint8
    from 0 up and have no room for nodata.

    Parameters
    ----------
    bits
        8, 4 or 2.
    codebook
        Ascending and finite, float32, shape ``(n_components, n_codewords)``: 255 codewords for
        8 bits, 16 for 4, 4 for 2.
    """

    kinds: ClassVar = {"int8": 8, "int4": 4, "int2": 2}
    law = "codebook"
    methods = ("quantile", "lloyd")

    bits: int
    codebook: NDArray[np.float32]

    def __post_init__(self) -> None:
        """Refuse widths without a codec, and codewords out of order."""
        super().__post_init__()
        if self.codebook.shape[1:] != (n_codewords(self.bits),):
            raise EncodingError(
                f"{self.kind}: codebook of shape {self.codebook.shape}; expected "
                f"(n_components, {n_codewords(self.bits)})"
            )
        if not (self.codebook[:, 1:] >= self.codebook[:, :-1]).all():
            raise EncodingError(
                f"{self.kind}: the codebook is not ascending; the encoding is damaged"
            )

    @cached_property
    def n_components(self) -> int:
        """Length of a vector."""
        return len(self.codebook)

    @cached_property
    def _cells(self) -> CellIndex:
        return CellIndex.of(self.codebook)

    @cached_property
    def _table(self) -> NDArray[np.float32]:
        """Value of each code seen as uint8; int8's −128 is NaN."""
        if self.bits < 8:
            return self.codebook
        nodata = np.full((self.n_components, 1), np.nan, dtype=np.float32)
        return np.roll(np.concatenate([self.codebook, nodata], axis=1), -127, axis=1)

    @classmethod
    def fit(
        cls,
        components: NDArray[np.float32],
        *,
        bits: int = 8,
        method: str = "lloyd",
    ) -> Self:
        """Fit a codebook per component.

        A component with no more distinct values than codewords keeps them all, exactly.

        Parameters
        ----------
        components
            Finite float32, shape ``(n_components, n_pixels)``, at least as many pixels as
            codewords.
        bits
            8, 4 or 2.
        method
            ``quantile`` (equal shares of the sample) or ``lloyd`` (least squared error).

        Raises
        ------
        InvalidConfigError
            If there are fewer pixels than codewords.

        References
        ----------
        spec/codecs/int8, "Codebooks"; S. Lloyd, IEEE Trans. Inf. Theory 28 (1982).

        Examples
        --------
        >>> sample = np.array([[0.0, 0.1, 1.0, 1.1, 5.0, 9.0, 9.2]], dtype=np.float32)
        >>> CodebookQuantizer.fit(sample, bits=2).codebook.round(2)
        array([[0.05, 1.05, 5.  , 9.1 ]], dtype=float32)
        """
        size, n_pixels = n_codewords(bits), components.shape[1]
        if n_pixels < size:
            raise InvalidConfigError(
                f"int{bits} codebook: {n_pixels} sampled pixels for {size} codewords; "
                f"take at least {size} pixels, fewer bits, or minmax"
            )
        fit_row = lloyd_codebook if method == "lloyd" else quantile_codebook
        rows = [fit_row(np.sort(row), size) for row in components.astype(np.float32, copy=False)]
        return cls(bits, np.stack(rows))

    def quantize(self, components: NDArray[np.float32]) -> Codes:
        """Return the nearest codeword's code; half-way values take the lower one."""
        cells = self._cells.find(components)
        if self.bits < 8:
            return cells
        cells -= np.uint8(127)  # wraps: index 0 is code −127
        return cells.view(np.int8)

    def dequantize(
        self, codes: Codes, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the codewords, float32 ``(n_components, n_pixels)``; NaN for int8's −128."""
        return look_up(self._table, codes.astype(self.dtype, copy=False).view(np.uint8), out)

    @classmethod
    def shapes(cls, config: Mapping[str, Any]) -> Shapes:
        """Return the codewords of each component."""
        kind = config["kind"]
        return {"codebook": (stored_length(kind, config), n_codewords(cls.kinds[kind]))}


def n_codewords(bits: int) -> int:
    """Return how many codewords a width has: int8 leaves one code to nodata."""
    return 255 if bits == 8 else 2**bits


def quantile_codebook(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float32]:
    """Return the means of `n_codewords` groups that hold equal shares of the sample.

    Parameters
    ----------
    ordered
        Finite, ascending, float32, shape ``(n_samples,)`` with ``n_samples >= n_codewords``.
    n_codewords
        How many codewords, at least 2.

    Returns
    -------
    codewords
        Ascending (equal where the sample repeats a value), float32, shape ``(n_codewords,)``.

    References
    ----------
    spec/codecs/int8, "Codebooks".

    Examples
    --------
    >>> quantile_codebook(np.array([0, 1, 2, 9], dtype=np.float32), 2)
    array([0.5, 5.5], dtype=float32)
    """
    few = _distinct(ordered, n_codewords)
    if few is not None:
        return few
    edges = np.arange(1, n_codewords) * len(ordered) // n_codewords
    centre, running = _running_sum(ordered)
    means, _ = _group_means(running, edges)
    return _ascending(means + centre, ordered)


def lloyd_codebook(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float32]:
    """Return codewords of (locally) least mean squared error.

    Starts at equal steps of the cube root of the density, which is the optimum for many
    codewords, and iterates means and mid-points from there.

    Parameters
    ----------
    ordered
        Finite, ascending, float32, shape ``(n_samples,)`` with ``n_samples >= n_codewords``.
    n_codewords
        How many codewords, at least 2.

    Returns
    -------
    codewords
        Ascending, float32, shape ``(n_codewords,)``.

    References
    ----------
    S. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28 (1982); P. Panter and
    W. Dite, "Quantization distortion in pulse-count modulation", Proc. IRE 39 (1951): the start.

    Examples
    --------
    >>> lloyd_codebook(np.array([0, 1, 2, 9, 9, 9], dtype=np.float32), 2)
    array([1., 9.], dtype=float32)
    """
    few = _distinct(ordered, n_codewords)
    if few is not None:
        return few
    codewords = _density_start(ordered, n_codewords)
    codewords, occupied = _iterate(ordered, codewords)
    for _ in range(_MAX_REPAIRS):
        if occupied.all():
            break
        codewords, occupied = _iterate(ordered, _split_worst(ordered, codewords, occupied))
    return _ascending(codewords, ordered)


def _iterate(
    ordered: NDArray[np.float32], codewords: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Alternate cells and their means until they settle; also tell which cells hold any value."""
    centre, running = _running_sum(ordered)
    tolerance = _TOLERANCE * (codewords[-1] - codewords[0]) / len(codewords)
    for _ in range(_MAX_ITERATIONS):
        means, occupied = _group_means(running, _edges(ordered, codewords))
        moved = np.where(occupied, means + centre, codewords)
        change = np.abs(moved - codewords).max()
        codewords = moved
        if change <= tolerance:
            break
    return codewords, occupied


def _split_worst(
    ordered: NDArray[np.float32], codewords: NDArray[np.float64], occupied: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Move the codewords of empty cells next to those with the largest squared error."""
    ends = np.concatenate([[0], _edges(ordered, codewords), [len(ordered)]])
    counts, used = np.diff(ends)[occupied], codewords[occupied]
    error = np.square(ordered - np.repeat(used, counts))
    sums = np.add.reduceat(error, ends[:-1][occupied])
    worst = np.argsort(-sums, kind="stable")[: len(codewords) - len(used)]
    spread = np.sqrt(sums[worst] / counts[worst])
    halves = [used[worst] - spread, used[worst] + spread]
    split = np.sort(np.concatenate([np.delete(used, worst), *halves]))
    left_over = len(codewords) - len(split)  # more empty cells than others: next round
    return np.concatenate([split, np.repeat(split[-1:], left_over)])


def _distinct(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float32] | None:
    """Return the sample's distinct values, the last one repeated, if they all fit; else None."""
    changes = np.flatnonzero(ordered[1:] != ordered[:-1])
    if len(changes) >= n_codewords:
        return None
    values = ordered[np.concatenate([[0], changes + 1])]
    return np.concatenate([values, np.repeat(values[-1:], n_codewords - len(values))])


def _edges(ordered: NDArray[np.float32], codewords: NDArray[np.float64]) -> NDArray[np.intp]:
    """Where the sample passes from one codeword's cell to the next."""
    middles = ((codewords[1:] + codewords[:-1]) / 2).astype(np.float32)
    return np.searchsorted(ordered, middles, side="right")


def _running_sum(ordered: NDArray[np.float32]) -> tuple[float, NDArray[np.float64]]:
    """Return the mean, and the sums of the first 0, 1, 2 … values minus it."""
    # Sums about the mean: those of values far from 0 would lose the digits that means differ in.
    centre = float(ordered.mean(dtype=np.float64))
    running = np.zeros(len(ordered) + 1)
    np.cumsum(ordered - centre, out=running[1:])
    return centre, running


def _group_means(
    running: NDArray[np.float64], edges: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Mean of each group of consecutive values (0 where empty), and which groups hold any."""
    ends = np.concatenate([[0], edges, [len(running) - 1]])
    counts = np.diff(ends)
    means: NDArray[np.float64] = np.diff(running[ends]) / np.maximum(counts, 1)
    return means, counts > 0


def _density_start(ordered: NDArray[np.float32], n_codewords: int) -> NDArray[np.float64]:
    """Codewords at equal steps of the integral of ``density ** (1 / 3)``.

    Between two of m order statistics the density is ``1 / (m * gap)``, so the integral over the gap
    goes with ``gap ** (2 / 3)``.
    """
    points = min(len(ordered), _DENSITY_POINTS)
    places = np.arange(points) * (len(ordered) - 1) // (points - 1)
    values = ordered[places].astype(np.float64)
    integral = np.concatenate([[0.0], np.cumsum(np.cbrt(np.diff(values)) ** 2)])
    wanted = (np.arange(n_codewords) + 0.5) / n_codewords * integral[-1]
    start: NDArray[np.float64] = np.interp(wanted, integral, values)
    return start


def _ascending(codewords: NDArray[np.float64], ordered: NDArray[np.float32]) -> NDArray[np.float32]:
    """Round to float32 inside the sample's range, in order whatever the rounding did."""
    # Means of neighbouring cells may round to swapped or outer float32: searches need the order.
    rounded = np.clip(codewords.astype(np.float32), ordered[0], ordered[-1])
    ascending: NDArray[np.float32] = np.maximum.accumulate(rounded)
    return ascending
