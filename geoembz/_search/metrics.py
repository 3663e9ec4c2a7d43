"""Distances from queries to codes, in each metric; ascending, nearest first.

Float metrics compare a query as it is with the vector that a code decodes to (asymmetric): the code
alone is compressed. Hamming compares the bits of both.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._search.hamming import HammingScorer
from geoembz._search.scorer import Scorer
from geoembz._search.vectors import VectorScorer
from geoembz._util.compiling import has_accelerator
from geoembz.encoding import Encoding, Metric
from geoembz.errors import InvalidConfigError

_WORTHWHILE_BYTES = 2**28
"""Bytes compared, by their bits, below which loading numba takes longer than it saves."""

_WORTHWHILE_PRODUCTS = 2**33
"""The same for numbers multiplied; the product itself is BLAS' either way."""


def scorer(
    encoding: Encoding, queries: ArrayLike, metric: Metric | str, *, n_pixels: int | None = None
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
        ``cosine``, ``dot``, ``euclidean``, or ``hamming`` for binary codes; ``cosine-w0.5`` and
        the like weigh components by a power of their deviation first (see `Metric`).
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
    >>> int(cosine.distances(encoding.encode(samples).T).argmin())
    7
    """
    metric = Metric.parse(metric) if isinstance(metric, str) else metric
    encoding.check_metric(metric)
    vectors = check_queries(encoding, queries)
    if metric.whiten:
        vectors = encoding.reduce(vectors, metric.whiten)
        encoding = encoding.in_reduced_space(metric.whiten)
    if metric.name != "hamming":
        products = None if n_pixels is None else n_pixels * vectors.size
        accelerate = _is_worthwhile(products, _WORTHWHILE_PRODUCTS)
        return VectorScorer(encoding, vectors, metric.name, accelerate=accelerate)
    bits = encoding.encode(vectors).view(np.uint8)
    compared = None if n_pixels is None else n_pixels * bits.size
    return HammingScorer(bits, accelerate=_is_worthwhile(compared, _WORTHWHILE_BYTES))


def _is_worthwhile(work: int | None, least: int) -> bool:
    return (work is None or work >= least) and has_accelerator()


def check_queries(encoding: Encoding, queries: ArrayLike) -> NDArray[np.float32]:
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
    return np.ascontiguousarray(encoding.target(vectors.T).T)
