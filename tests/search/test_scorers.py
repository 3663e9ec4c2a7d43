"""Scores of codes are those of the vectors that the codes decode to, for every kind of codes."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from geoembz._search import (
    BestK,
    HammingScorer,
    LinearFold,
    VectorScorer,
    nearest_codes,
    scorer,
    valid_codes,
)
from geoembz._search.metrics import check_queries
from geoembz._search.scorer import NOWHERE
from geoembz._util.compiling import has_accelerator
from geoembz.encoding import Encoding, Metric, MetricName
from geoembz.errors import InvalidConfigError

RECIPES = (
    "int8",
    "pca8-int8",
    "pca8-int4",
    "pca7-int2",
    "int8-lloyd",
    "pca8-int4-lloyd",
    "pca7-ternary",
    "rot-binary",
    "pca8w0.5-itq-binary",
    "pca8-rot-pq4x8",
    "pca8w0.5-rot-pq4x8",
    "pca8w0.5-rot-int4",
    "svd8-int8",
    "l2-pca8-int8",
    "power2x20",
    "float16",
)
N_PIXELS, DIMENSION = 1500, 24


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    rng = np.random.default_rng(3)
    scores, axes = rng.normal(size=(N_PIXELS, 9)), rng.normal(size=(9, DIMENSION))
    return (scores @ axes + 0.3 * rng.normal(size=(N_PIXELS, DIMENSION)) + 1).astype(np.float32)


def exhaustive(
    metric: str, queries: NDArray[np.float64], decoded: NDArray[np.float64]
) -> NDArray[np.float64]:
    if metric == "euclidean":
        return np.sqrt(np.square(queries[:, np.newaxis] - decoded).sum(axis=2))
    products = queries @ decoded.T
    if metric == "dot":
        return products
    lengths = np.linalg.norm(queries, axis=1)[:, np.newaxis] * np.linalg.norm(decoded, axis=1)
    return np.asarray(products / lengths)


@pytest.mark.parametrize("recipe", RECIPES)
@pytest.mark.parametrize("metric", ["cosine", "dot", "euclidean"])
@pytest.mark.parametrize("n_queries", [1, 40])
def test_scores_are_those_of_decoded_vectors(
    vectors: NDArray[np.float32], recipe: str, metric: str, n_queries: int
) -> None:
    """Folded scores equal float64 arithmetic on the reconstruction, up to float32 rounding."""
    encoding = Encoding.fit(vectors, recipe)
    codes = encoding.encode(vectors)
    queries = vectors[:n_queries] + np.float32(0.1)
    exact = queries.astype(np.float64)
    if encoding.normalize:
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    expected = exhaustive(metric, exact, encoding.decode(codes).astype(np.float64))
    compared = scorer(encoding, queries, metric)
    scores = compared.scores(compared.distances(codes.T))
    if metric == "euclidean":  # squares are what float32 sums
        scores, expected = np.square(scores), np.square(expected)
    np.testing.assert_allclose(scores, expected, rtol=1e-5, atol=2e-6 * np.abs(expected).max())


WEIGHED = ("int8", "l2-pca8w0.5-rot-int2-lloyd", "pca8-rot-binary", "svd8-int4", "pca8-rq4x8")


@pytest.mark.parametrize("recipe", WEIGHED)
@pytest.mark.parametrize("name", ["cosine", "dot", "euclidean"])
def test_weighed_scores_are_those_of_reduced_vectors(
    vectors: NDArray[np.float32], recipe: str, name: MetricName
) -> None:
    """What `open(space="reduced", whiten=1)` reads, compared in float64."""
    encoding, queries = Encoding.fit(vectors, recipe), vectors[:3] + np.float32(0.1)
    codes = encoding.encode(vectors)
    decoded = encoding.decoder("reduced", whiten=1.0).decode(np.ascontiguousarray(codes.T)).T
    reduced = encoding.reduce(queries, whiten=1.0).astype(np.float64)
    expected = exhaustive(name, reduced, decoded.astype(np.float64))
    compared = scorer(encoding, queries, Metric(name, 1.0))
    scores = compared.scores(compared.distances(codes.T))
    if name == "euclidean":
        scores, expected = np.square(scores), np.square(expected)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("recipe", ["int8", "pca8-int8", "l2-pca8w0.5-rot-float32"])
def test_reducing_is_decoding_without_codes(vectors: NDArray[np.float32], recipe: str) -> None:
    """Of float codes there is nothing to lose; of others the same vectors come near."""
    encoding = Encoding.fit(vectors, recipe)
    decoded = encoding.decode(encoding.encode(vectors), "reduced")
    atol = 1e-5 if recipe.endswith("float32") else 0.02
    atol *= float(np.abs(decoded).max())
    np.testing.assert_allclose(encoding.reduce(vectors), decoded, atol=atol)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("manhattan", "expected one of cosine"),
        ("cosine-w2", "expected one of cosine"),
        ("cosine-", "expected one of cosine"),
        ("hamming-w0.5", "not weighed"),
        ("hamming", "counts bits"),
        ("cosine-w0.5", "rotates vectors without a projection"),
    ],
)
def test_metrics_that_cannot_work_are_refused(
    vectors: NDArray[np.float32], text: str, message: str
) -> None:
    encoding = Encoding.fit(vectors, "rot-int8")
    with pytest.raises(InvalidConfigError, match=message):
        scorer(encoding, vectors[0], text)


@pytest.mark.parametrize("recipe", ["pca8-int4-lloyd", "pca7-ternary", "pca8-rot-pq4x8"])
def test_tables_and_values_agree(vectors: NDArray[np.float32], recipe: str) -> None:
    """Looking stored bytes up and multiplying decoded components are the same function."""
    encoding = Encoding.fit(vectors, recipe)
    codes = encoding.encode(vectors).T
    weights = np.random.default_rng(0).normal(size=(3, DIMENSION))
    results = [
        LinearFold.of(encoding, weights, 2.0, way="tables")(codes),
        LinearFold.of(encoding, weights, 2.0, way="values")(codes),
    ]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-4)


WAYS = sorted({False, has_accelerator()})


@pytest.mark.parametrize("accelerate", WAYS)
@pytest.mark.parametrize("recipe", ["pca8-int8", "pca8-int4-lloyd", "svd8-int8", "rot-binary"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "dot"])
def test_nearest_codes_are_the_exhaustive_ones(
    vectors: NDArray[np.float32], metric: MetricName, recipe: str, *, accelerate: bool
) -> None:
    """Threads and tiles find what sorting all scores finds, invalid pixels left out."""
    encoding = Encoding.fit(vectors, recipe)
    codes = np.tile(encoding.encode(vectors).T, 14)  # every vector 14 times: ties everywhere
    valid = np.asarray(np.random.default_rng(1).random(codes.shape[1]) < 0.7)
    queries = check_queries(encoding, vectors[:3])
    distances = VectorScorer(encoding, queries, metric, accelerate=False).distances(codes)
    distances[:, ~valid] = np.inf
    expected = np.argsort(distances, axis=1, kind="stable")[:, :25]
    compared = VectorScorer(encoding, queries, metric, accelerate=accelerate)
    found = nearest_codes(compared, codes, 25, valid)
    np.testing.assert_array_equal(found.positions, expected)
    np.testing.assert_array_equal(found.distances, np.take_along_axis(distances, expected, axis=1))


@pytest.mark.parametrize("n_bytes", [1, 3, 8, 31, 33, 70])
@pytest.mark.parametrize("n_pixels", [1, 2047, 5000])
def test_hamming_counts_differing_bits(n_bytes: int, n_pixels: int) -> None:
    """NumPy and numba count what comparing unpacked bits counts, and find the same neighbours."""
    rng = np.random.default_rng(n_bytes)
    codes = rng.integers(0, 256, (n_bytes, n_pixels), dtype=np.uint8)
    queries = rng.integers(0, 256, (3, n_bytes), dtype=np.uint8)
    bits, wanted = (np.unpackbits(array, axis=axis) for array, axis in ((codes, 0), (queries, 1)))
    expected = (wanted[:, :, np.newaxis] != bits).sum(axis=1)
    for accelerate in WAYS:
        compared = HammingScorer(queries, accelerate=accelerate)
        np.testing.assert_array_equal(compared.distances(codes), expected)
        k = min(9, n_pixels)
        order = np.argsort(expected, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(nearest_codes(compared, codes, k).positions, order)


def test_loops_compile_where_nothing_can_be_cached() -> None:
    """A machine without a folder to write to compiles for itself instead of failing."""
    caching = pytest.importorskip("numba.core.caching")
    script = (
        "from numba.core.caching import CacheImpl\n"
        "CacheImpl._locator_classes = []\n"
        "import numpy as np\n"
        "from geoembz._search import HammingScorer, nearest_codes\n"
        "codes = np.array([[3, 1, 2]], np.uint8)\n"
        "query = HammingScorer(np.array([[1]], np.uint8), accelerate=True)\n"
        "print(nearest_codes(query, codes, 2).positions)\n"
    )
    assert hasattr(caching.CacheImpl, "_locator_classes")
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[[1 0]]"


def test_hamming_neighbours_are_those_of_faiss() -> None:
    """Distances agree with faiss' exhaustive index; which of equal ones it returns is its own."""
    faiss = pytest.importorskip("faiss")
    bits = np.random.default_rng(0).integers(0, 256, (4000, 16), dtype=np.uint8)
    index = faiss.IndexBinaryFlat(128)
    index.add(bits)
    found = nearest_codes(HammingScorer(bits[:5]), np.ascontiguousarray(bits.T), 10)
    np.testing.assert_array_equal(found.distances, index.search(bits[:5], 10)[0])


@pytest.mark.parametrize("accelerate", WAYS)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
@pytest.mark.parametrize("k", [1, 20, 700])
def test_the_cut_of_a_stream_does_not_change_what_is_kept(
    k: int, dtype: type, *, accelerate: bool
) -> None:
    """Blocks in any order and size, merged in any order, keep the same k, ties by position."""
    rng = np.random.default_rng(0)
    distances: NDArray[Any] = rng.integers(0, 9, (4, 600)).astype(dtype)
    valid = np.asarray(rng.random(600) < 0.8)
    far = np.inf if dtype is np.float32 else 65535
    distances[1, ::3] = far  # does not count, like what is invalid
    if dtype is np.float32:
        distances[2, 5:90] = np.nan
    counted = np.where(valid & (distances < far), distances, far)
    order = np.argsort(counted, axis=1, kind="stable")
    found = np.take_along_axis(counted, order, axis=1) < far
    expected = np.full((4, k), NOWHERE)
    expected[:, :600] = np.where(found, order, NOWHERE)[:, :k]
    for size in (7, 100, 600):
        blocks = list(range(0, 600, size))
        rng.shuffle(blocks)
        total, other = (BestK(4, k, distances.dtype, accelerate=accelerate) for _ in range(2))
        for number, start in enumerate(blocks):
            span = np.arange(start, min(start + size, 600))
            (total if number % 2 else other).update(distances[:, span], span, valid[span])
        total.merge(other)
        np.testing.assert_array_equal(total.positions, expected)
        assert (total.distances[expected == NOWHERE] == total.farthest).all()


@pytest.mark.parametrize("recipe", ["int8", "pca7-ternary", "float16"])
def test_nodata_codes_are_invalid(vectors: NDArray[np.float32], recipe: str) -> None:
    """What was encoded from NaN is recognised by its codes; all-valid blocks need no mask."""
    encoding = Encoding.fit(vectors, recipe)
    holed = vectors[:50].T.copy()
    holed[3, 7] = np.nan
    codes, expected = encoding.encode_block(holed)
    found = valid_codes(encoding.quantizer, codes)
    assert found is not None
    np.testing.assert_array_equal(found, expected)
    assert valid_codes(encoding.quantizer, codes[:, 8:]) is None


@pytest.mark.parametrize(
    ("query", "metric", "message"),
    [
        (np.ones(5), "cosine", "expected real numbers of shape"),
        (np.full(DIMENSION, np.nan), "cosine", "not finite"),
        (np.ones(DIMENSION), "hamming", "counts bits"),
        (np.ones(DIMENSION), "manhattan", "expected one of cosine"),
    ],
)
def test_queries_that_cannot_work_are_refused(
    vectors: NDArray[np.float32], query: NDArray[np.float64], metric: str, message: str
) -> None:
    encoding = Encoding.fit(vectors, "pca8-int8")
    with pytest.raises(InvalidConfigError, match=message):
        scorer(encoding, query, metric)


def test_a_query_of_length_zero_is_no_nearer_to_anything(vectors: NDArray[np.float32]) -> None:
    encoding = Encoding.fit(vectors, "int8")
    compared = scorer(encoding, np.zeros(DIMENSION), "cosine")
    assert isinstance(compared, VectorScorer)
    assert (compared.scores(compared.distances(encoding.encode(vectors).T)) == 0).all()
