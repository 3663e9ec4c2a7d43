"""Distances from queries to codes, in each metric; ascending, nearest first.

Float metrics compare a query as it is with the vector that a code decodes to (asymmetric): the code
alone is compressed. Hamming compares the bits of both.
"""

from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError
from geoembz.projection import normalized
from geoembz.quantization import Codes
from geoembz.scoring.fold import TILE_PIXELS, LinearFold
from geoembz.scoring.hamming import WORTHWHILE_BYTES, hamming_tile, has_accelerator
from geoembz.scoring.norms import SquaredNorms

type Metric = Literal["cosine", "dot", "euclidean", "hamming"]

METRICS: tuple[Metric, ...] = get_args(Metric.__value__)


_DISTANCES = 2**18
"""Counts of bits made at once: enough to hide a call, few enough to stay in cache."""


class Scorer(Protocol):
    """Queries in one metric."""

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the distances."""
        ...

    @property
    def tile_pixels(self) -> int:
        """Pixels to give at once."""
        ...

    def distances(self, codes: Codes) -> tuple[NDArray[Any], NDArray[Any] | None]:
        """Return distances ``(n_queries, n_pixels)``, and the smallest of each query if known."""
        ...

    def scores(self, distances: NDArray[Any]) -> NDArray[Any]:
        """Return distances as users know the metric."""
        ...


def scorer(
    encoding: Encoding, queries: ArrayLike, metric: Metric, *, n_pixels: int | None = None
) -> Scorer:
    """Prepare queries for the codes of an encoding.

    Parameters
    ----------
    encoding
        Of the codes.
    queries
        Finite vectors in original space, shape ``(dimension,)`` or ``(n_queries, dimension)``.
        Encodings that scale vectors to length 1 (``l2-…``) scale queries too.
    metric
        ``cosine``, ``dot``, ``euclidean``, or ``hamming`` for binary codes.
    n_pixels
        About how many pixels will be compared: few are not worth loading the accelerator.

    Raises
    ------
    InvalidConfigError
        If the metric is unknown or does not suit the codes, or the queries are not such vectors.

    Examples
    --------
    >>> samples = np.random.default_rng(0).normal(size=(500, 8)).astype("float32")
    >>> encoding = Encoding.fit(samples, "int8")
    >>> cosine = scorer(encoding, samples[7], "cosine")
    >>> int(cosine.distances(encoding.encode(samples).T)[0].argmin())
    7
    """
    if metric not in METRICS:
        raise InvalidConfigError(f"metric {metric!r}; expected one of {', '.join(METRICS)}")
    vectors = checked_queries(encoding, queries)
    if metric != "hamming":
        return VectorScorer(encoding, vectors, metric)
    if encoding.quantizer.kind != "binary":
        raise InvalidConfigError(
            f"metric 'hamming': it counts bits, and {encoding.recipe} has {encoding.quantizer.kind}"
            " codes; use 'cosine', or convert with a binary recipe such as rot-binary"
        )
    bits = encoding.encode(vectors).view(np.uint8)
    work = WORTHWHILE_BYTES if n_pixels is None else n_pixels * bits.size
    return HammingScorer(bits, accelerate=work >= WORTHWHILE_BYTES and has_accelerator())


def checked_queries(encoding: Encoding, queries: ArrayLike) -> NDArray[np.float32]:
    """Return queries as float32 rows.

    Raises
    ------
    InvalidConfigError
        If they are not finite vectors of the encoding's dimension.
    """
    array = np.asarray(queries)
    rows = array[np.newaxis] if array.ndim == 1 else array
    if rows.ndim != 2 or rows.shape[1] != encoding.dimension or array.dtype.kind not in "fiu":
        raise InvalidConfigError(
            f"query of shape {array.shape} and type {array.dtype}; expected real numbers of shape "
            f"({encoding.dimension},) or (n_queries, {encoding.dimension}): vectors as they were "
            "before the conversion"
        )
    if not len(rows) or not np.isfinite(rows).all():
        raise InvalidConfigError(
            "query: no vector, or numbers that are not finite; leave out queries without data"
        )
    vectors = rows.astype(np.float32)
    return np.ascontiguousarray(normalized(vectors.T).T) if encoding.normalize else vectors


class VectorScorer:
    """Cosine, dot product or Euclidean distance to the vectors that codes stand for.

    Parameters
    ----------
    encoding
        Of the codes.
    queries
        From `checked_queries`.
    metric
        ``cosine``, ``dot`` or ``euclidean``.
    """

    dtype = np.dtype(np.float32)
    tile_pixels = 8 * TILE_PIXELS

    def __init__(self, encoding: Encoding, queries: NDArray[np.float32], metric: Metric) -> None:
        wide, self._metric = queries.astype(np.float64), metric
        lengths = np.linalg.norm(wide, axis=1)
        shift = None
        if metric == "cosine":
            weights = wide / np.where(lengths > 0, lengths, 1)[:, np.newaxis]
        elif metric == "euclidean":  # around the mean, where squares cancel least
            shift = encoding.projection.mean
            wide = wide if shift is None else wide - shift
            lengths, weights = np.linalg.norm(wide, axis=1), -2 * wide
        else:
            weights = wide
        self._squares = np.square(lengths).astype(np.float32)[:, np.newaxis]
        self._fold = LinearFold.of(encoding, weights, shift=shift)
        self._norms = None if metric == "dot" else SquaredNorms.of(encoding, shift)

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return self._fold.n_outputs

    def distances(self, codes: Codes) -> tuple[NDArray[np.float32], None]:
        """Return ``-cosine``, ``-dot`` or the squared distance, shape ``(n_queries, n_pixels)``."""
        out = self._fold(codes)
        if self._norms is None:
            return np.negative(out, out=out), None
        squares = self._norms(codes)
        if self._metric == "cosine":
            with np.errstate(divide="ignore", invalid="ignore"):
                factor = np.where(squares > 0, -1 / np.sqrt(squares), 0).astype(np.float32)
            out *= factor
        else:
            out += squares
            out += self._squares
            np.maximum(out, 0, out=out)
        return out, None

    def scores(self, distances: NDArray[Any]) -> NDArray[np.float32]:
        """Return cosines and products (largest first), or distances (smallest first)."""
        if self._metric == "euclidean":
            return np.sqrt(distances)
        return np.negative(distances)


class HammingScorer:
    """Differing bits between queries and codes.

    Parameters
    ----------
    bits
        Encoded queries, uint8, shape ``(n_queries, n_bytes)``.
    accelerate
        Use numba; None for where it is installed.
    """

    dtype = np.dtype(np.uint16)

    def __init__(self, bits: NDArray[np.uint8], *, accelerate: bool | None = None) -> None:
        self._bits = np.ascontiguousarray(bits)
        self._accelerate = has_accelerator() if accelerate is None else accelerate
        self.tile_pixels = max(_DISTANCES // len(bits), 4096)

    @property
    def n_queries(self) -> int:
        """Number of queries."""
        return len(self._bits)

    def distances(self, codes: Codes) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Return differing bits, and the fewest of each query."""
        packed = codes.view(np.uint8) if codes.dtype != np.uint8 else codes
        return hamming_tile(self._bits, packed, accelerate=self._accelerate)  # type: ignore[arg-type]

    def scores(self, distances: NDArray[Any]) -> NDArray[np.int32]:
        """Return differing bits as int32."""
        return distances.astype(np.int32)
