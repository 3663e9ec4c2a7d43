"""Searching codes in memory against faiss, and against one matrix product of the same rows.

Hamming: `geoembz._search.nearest_codes` over packed bits, ``faiss.IndexBinaryFlat`` over
the same bits, and the floor: reading the bits once. int8: the ten nearest by dot product and by
cosine, against a float32 GEMM of the same shapes, which has its vectors in memory as floats and
finds nothing. All sides use every core, take turns in one process, and the median counts. Every
result is compared with the peer's.
"""

from collections.abc import Callable, Iterator

import numpy as np

from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import in_turns
from geoembz._search import HammingScorer, nearest_codes, scorer
from geoembz._util.compiling import has_accelerator
from geoembz.encoding import Encoding

K = 10
BYTES = (16, 64, 128)
BATCHES = (1, 64)
COMPONENTS = 64
INT8_BATCHES = (1, 16, 64)
HAMMING_TARGET = Target(">=", 0.7)
INT8_TARGET = Target(">=", 0.5)


def main() -> None:
    """Measure both kinds of codes."""
    options = parse_options(__doc__, sizes=(1000,), smoke=(64,))
    rows: list[Row] = []
    for size in options.size:
        for n_bytes in BYTES:
            for batch in BATCHES:
                rows += hamming(size**2, n_bytes, batch, options.repeat)
        rows += int8(size**2, options.repeat)
    publish("search", rows, options)


def hamming(n_pixels: int, n_bytes: int, batch: int, repeat: int) -> Iterator[Row]:
    """Compare the two paths of ours with faiss on the same bits."""
    import faiss

    bits = np.random.default_rng(0).integers(0, 256, (n_pixels, n_bytes), dtype=np.uint8)
    codes, queries = np.ascontiguousarray(bits.T), bits[:batch].copy()
    index = faiss.IndexBinaryFlat(8 * n_bytes)
    index.add(bits)
    ways = {"numpy": False} | ({"numba": True} if has_accelerator() else {})
    scorers = {name: HammingScorer(queries, accelerate=way) for name, way in ways.items()}
    expected = index.search(queries, K)[0]
    for way in scorers.values():
        np.testing.assert_array_equal(nearest_codes(way, codes, K).distances, expected)
    calls: dict[str, Callable[[], object]] = {
        "faiss": lambda: index.search(queries, K),
        "floor": lambda: int(codes.view(np.uint64).max()) if codes.nbytes % 8 == 0 else 0,
    }
    for name, way in scorers.items():
        calls[name] = lambda way=way: nearest_codes(way, codes, K)  # type: ignore[misc]
    seconds = in_turns(calls, repeat)
    label = f"hamming {8 * n_bytes} bits x {batch}"
    for name, taken in seconds.items():
        yield Row(label, f"{name}, ms per query", 1e3 * taken / batch, "ms")
    for name in scorers:
        target = HAMMING_TARGET if name == "numba" else None
        yield Row(label, f"{name}, speed of faiss", seconds["faiss"] / seconds[name], "x", target)
    best = min(seconds[name] for name in scorers)
    yield Row(label, "share of reading the bits once", seconds["floor"] * batch / best, "x")


def int8(n_pixels: int, repeat: int) -> Iterator[Row]:
    """Compare scores of int8 codes with the product of floats."""
    rng = np.random.default_rng(0)
    samples = rng.normal(size=(4096, COMPONENTS)).astype(np.float32)
    encoding = Encoding.fit(samples, "int8")
    codes = rng.integers(-127, 128, (COMPONENTS, n_pixels), dtype=np.int8)
    floats = codes.astype(np.float32)
    for batch in INT8_BATCHES:
        queries = samples[:batch]
        dot, cosine = (scorer(encoding, queries, metric) for metric in ("dot", "cosine"))
        seconds = in_turns(
            {
                "gemm": lambda queries=queries: queries @ floats,  # type: ignore[misc]
                "dot": lambda dot=dot: nearest_codes(dot, codes, K),  # type: ignore[misc]
                "cosine": lambda cosine=cosine: nearest_codes(cosine, codes, K),  # type: ignore[misc]
            },
            repeat,
        )
        label = f"int8 {COMPONENTS} components x {batch}"
        for name, taken in seconds.items():
            yield Row(label, f"{name}, rows per second", n_pixels / taken, "1/s")
        for name in ("dot", "cosine"):
            target = INT8_TARGET if batch >= 16 else None
            ratio = seconds["gemm"] / seconds[name]
            yield Row(label, f"{name}, speed of the product", ratio, "x", target)


if __name__ == "__main__":
    main()
