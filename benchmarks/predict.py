"""Predicting from codes with a applied model against decoding first, and against reading the codes.

A logistic regression with five classes on 512-d vectors; codes of several recipes. ``decode`` is
what a user does: `Encoding.decode_block`, then the model's ``predict`` on the vectors, 65,536
pixels at a time. The floor adds up the codes' bytes. Labels of both must agree, but for pixels
whose two best scores differ by less than 1e-3.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

import geoembz
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import in_turns
from geoembz.encoding import Encoding

DIMENSION, N_CLASSES = 512, 5
RECIPES = (
    "pca64-int8",
    "pca64-int4",
    "pca64-int4-lloyd",
    "rot-binary",
    "pca64-ternary",
    "pca64-rot-pq16x8",
    "int8",
)
TARGET = Target(">=", 5.0)
BLOCK = 1 << 16


def main() -> None:
    """Measure all recipes."""
    options = parse_options(__doc__, sizes=(512,), smoke=(48,))
    rows = [row for size in options.size for row in measure(size**2, options.repeat)]
    publish("predict", rows, options)


def measure(n_pixels: int, repeat: int) -> Iterator[Row]:
    """Return seconds and ratios of every recipe."""
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(32, DIMENSION)).astype(np.float32)
    vectors = rng.normal(size=(n_pixels, 32)).astype(np.float32) @ axes
    vectors += 0.1 * rng.normal(size=vectors.shape).astype(np.float32)
    sample = vectors[:2048]
    truth = (sample @ rng.normal(size=(DIMENSION, N_CLASSES))).argmax(axis=1)
    for recipe in RECIPES:
        encoding = Encoding.fit(sample, recipe)
        codes = encoding.encode(vectors)
        decoded = encoding.decode(codes[:2048])
        model = LogisticRegression(max_iter=50, tol=1e-2).fit(decoded, truth)
        yield from compare(recipe, encoding, codes, model, repeat)


def compare(
    recipe: str,
    encoding: Encoding,
    codes: NDArray[np.generic],
    model: LogisticRegression,
    repeat: int,
) -> Iterator[Row]:
    """Time both ways on the same codes, once they agree."""
    applied = geoembz.apply_model(model, encoding)

    def decode_first() -> NDArray[np.generic]:
        starts = range(0, len(codes), BLOCK)
        parts = [model.predict(encoding.decode(codes[at : at + BLOCK])) for at in starts]
        return np.concatenate(parts)

    scores = np.sort(applied.decision_function(codes), axis=1)
    clear = scores[:, -1] - scores[:, -2] > 1e-3
    np.testing.assert_array_equal(applied.predict(codes)[clear], decode_first()[clear])
    calls: dict[str, Callable[[], object]] = {
        "applied": lambda: applied.predict(codes),
        "decode": decode_first,
        "floor": lambda: int(codes.view(np.uint8).sum(dtype=np.uint64)),
    }
    seconds = in_turns(calls, repeat)
    for name, taken in seconds.items():
        yield Row(recipe, f"{name}, Mpixel/s", len(codes) / taken / 1e6, "Mpx/s")
    ratio = seconds["decode"] / seconds["applied"]
    yield Row(recipe, "speed of decode, then predict", ratio, "x", TARGET)


if __name__ == "__main__":
    main()
