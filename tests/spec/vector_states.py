"""Fitted state made up for golden vectors: powers of two, and sums of them, throughout."""

import numpy as np
from numpy.typing import NDArray

from geoembz.codecs._stages import NormalizeStage, ProjectionStage, QuantizerStage, Stage
from geoembz.encoding import Recipe
from geoembz.encoding._projection import Projection
from geoembz.encoding._quantization import (
    BinaryQuantizer,
    CodebookQuantizer,
    FloatQuantizer,
    LinearQuantizer,
    PowerQuantizer,
    ProductQuantizer,
    Quantizer,
    ResidualQuantizer,
    TernaryQuantizer,
)

type Floats = NDArray[np.float32]

DIMENSION = 8
_HADAMARD = np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]]) / 2


def values(shape: tuple[int, ...], *, step: float = 0.25) -> Floats:
    """Return multiples of `step` between −8 and 8, in no order that a reader could guess."""
    index = np.arange(np.prod(shape), dtype=np.int64).reshape(shape)
    return ((index * 37 + index // 7 * 11) % 64 - 32).astype(np.float32) * np.float32(step)


def projection(recipe: Recipe) -> Projection:
    """Return 5 orthonormal components of 8 dimensions, entries ±1/2 and 0, whitened and rotated.

    Without a projection, return a rotation of all 8.
    """
    kind = recipe.projection or "none"
    mean = np.array([1, -2, 0.5, 3, 0, -0.25, 2, 4], dtype=np.float32)
    if kind == "none":
        whole = np.kron(np.eye(2), _HADAMARD).astype(np.float32)
        return Projection(kind, DIMENSION, whole, mean, rotated=True)
    rows = np.zeros((5, DIMENSION))
    rows[:4, ::2] = _HADAMARD
    rows[4, 1::2] = _HADAMARD[1]
    rotation = np.eye(5)
    if recipe.is_rotated:
        rotation[1:, 1:] = _HADAMARD
    weight = (2.0 ** -np.arange(5) if recipe.whiten else np.ones(5))[:, np.newaxis]
    return Projection(
        kind,
        DIMENSION,
        (rotation @ (weight * rows)).astype(np.float32),
        mean * np.float32(kind != "svd"),
        (rotation @ (rows / weight)).astype(np.float32) if recipe.whiten else None,
        rotated=recipe.is_rotated,
        whiten=recipe.whiten,
        rotation=rotation.astype(np.float32) if recipe.is_rotated else None,
    )


def quantizer(recipe: Recipe, n_components: int) -> Quantizer:
    """Return a quantizer whose steps and values are sums of few powers of two."""
    index = np.arange(n_components)
    step = (2.0 ** -(index % 4)).astype(np.float32)
    offset = ((index % 5) - 2).astype(np.float32)
    half = offset / np.float32(2)
    if recipe.method in {"lloyd", "quantile"}:
        return CodebookQuantizer(recipe.bits, _codebook(recipe.bits, n_components))
    if recipe.quantizer == "int8":
        return LinearQuantizer(8, step / np.float32(16), offset / np.float32(8))
    if recipe.quantizer in {"int4", "int2"}:
        return LinearQuantizer(recipe.bits, step, offset - np.float32(2 ** (recipe.bits - 2)))
    if recipe.quantizer == "ternary":
        reach, outer = step / np.float32(2), step * np.float32(2)
        cut = np.stack([half - reach, half + reach], axis=1)
        return TernaryQuantizer(cut, np.stack([half - step, half, half + outer], axis=1))
    if recipe.quantizer == "binary":
        return BinaryQuantizer(half, np.stack([half - step, half + step], axis=1))
    if recipe.quantizer == "pq":
        groups = recipe.n_subquantizers or 1
        return ProductQuantizer(_centres(groups, n_components // groups))
    if recipe.n_stages is not None:
        return ResidualQuantizer(_codewords(recipe.n_stages, n_components))
    if recipe.power is not None:
        return PowerQuantizer(n_components, *recipe.power)
    return FloatQuantizer(recipe.bits, n_components)


def _codebook(bits: int, n_components: int) -> Floats:
    """Return ascending codewords, finer in the middle; every third component has equal ones."""
    count = 255 if bits == 8 else 2**bits
    place = np.arange(count) - count // 2
    rows = [place * np.abs(place) / 2.0 ** (bits + row % 2) for row in range(n_components)]
    for row in rows[2::3]:
        row[1::2] = row[:-1:2] if count % 2 else row[::2]
    return np.stack(rows).astype(np.float32)


def _centres(n_subquantizers: int, width: int) -> Floats:
    """Return 256 different centres per group, multiples of 1/2, in no order."""
    place = np.arange(256 * n_subquantizers).reshape(n_subquantizers, 256) * 167 % 256
    digits = [place // 2 ** (8 * axis // width) % 2 ** (8 // width) for axis in range(width)]
    centres: Floats = (np.stack(digits, axis=2) / 2.0 - 2 ** (8 // width - 2)).astype(np.float32)
    return centres


def _codewords(n_stages: int, n_components: int) -> Floats:
    """Return 256 codewords per stage, each stage with steps of an eighth of the one before."""
    stages = _centres(n_stages, n_components)
    return np.asarray(stages * 8.0 ** -np.arange(n_stages)[:, np.newaxis, np.newaxis], np.float32)


def codec_cases() -> list[tuple[str, Stage, Floats]]:
    """Return name, stage and input ``(length, 2, 3)`` of every codec, and of each of its laws."""

    def quantized(name: str, count: int) -> QuantizerStage:
        return QuantizerStage(quantizer(Recipe.parse(name), count))

    def projected(name: str) -> ProjectionStage:
        return ProjectionStage(projection(Recipe.parse(name)))

    five, small, tiny = (values((5, 2, 3), step=step) for step in (0.25, 0.125, 0.0625))
    return [
        ("projection", projected("pca5-int8"), values((DIMENSION, 2, 3))),
        ("int8", QuantizerStage(_int8()), _int8_values()),
        ("int4", quantized("int4", 5), five),
        ("binary", quantized("binary", 11), values((11, 2, 3))),
        ("projection-biorthogonal", projected("pca5w1-rot-int8"), values((DIMENSION, 2, 3))),
        ("int8-codebook", quantized("int8-lloyd", 3), _with_gaps(values((3, 2, 3), step=2.0))),
        ("int4-codebook", quantized("int4-lloyd", 5), small),
        ("int2", quantized("int2", 5), tiny),
        ("int2-codebook", quantized("int2-lloyd", 5), tiny),
        ("ternary", quantized("ternary", 5), _with_gaps(values((5, 2, 3), step=0.03125))),
        ("rq", quantized("rq2x8", 4), values((4, 2, 3), step=0.125) + np.float32(0.0625)),
        ("pq", quantized("pq2x8", 8), values((8, 2, 3), step=0.125) + np.float32(0.0625)),
        ("power", quantized("aef", 3), _power_values()),
        ("power-linear", quantized("power1x64", 3), _with_gaps(values((3, 2, 3), step=0.0625))),
        ("float16", quantized("float16", 2), _float16_values()),
        ("normalize", NormalizeStage(4), _normalize_values()),
    ]


def _with_gaps(data: Floats) -> Floats:
    """Make one pixel NaN and one infinite in part."""
    data[-1, 0, 1], data[0, 1, 2] = np.nan, -np.inf
    return data


def _int8() -> LinearQuantizer:
    """Return steps of 1, 1/4 and, to show that decoding rounds twice, float32's 0.1."""
    return LinearQuantizer(8, np.array([1, 0.25, 0.1], "f4"), np.array([0, 8, 0.7], "f4"))


def _int8_values() -> Floats:
    """Return ties (component 0, exact), values out of range, and pixels that are not finite."""
    rows = [
        [[0.5, 1.5, -2.5], [3.0, -126.0, 7.0]],
        [[8.0, 8.25, 100.0], [-100.0, 1.0, 7.9]],
        [[0.7, 1.04, 13.0], [-11.97, np.nan, np.inf]],
    ]
    return np.array(rows, dtype=np.float32)


def _power_values() -> Floats:
    """Return values of the codes 0, ±1, ±2, ±64, ±127, and ±1, which must not wrap to nodata."""
    law = [sign * (code / 127.5) ** 2 for code in (1, 2, 64, 127) for sign in (1, -1)]
    rows = [
        [[0.0, law[0], law[1]], [law[6], law[7], np.nan]],
        [[1.0, -1.0, law[2]], [law[3], law[4], law[5]]],
        [[2.0, -1e30, 0.25], [-0.25, 1e-9, 0.5]],
    ]
    return np.array(rows, dtype=np.float32)


def _float16_values() -> Floats:
    """Return ties at 11 bits, the ends of the range, a subnormal, and a pixel that is not valid."""
    rows = [
        [[2049.0, 2051.0, 65504.0], [65520.0, -1e30, 1.0]],
        [[2.0**-24, 2.0**-25, 3 * 2.0**-25], [-0.0, 0.1, np.nan]],
    ]
    return np.array(rows, dtype=np.float32)


def _normalize_values() -> Floats:
    """Return vectors of length 2, 5, 0 and beyond float32, and two that are not finite."""
    vectors = [
        *([1, -1, 1, 1], [3, 0, -4, 0], [0, 0, 0, 0], [3e38, 3e38, -3e38, 3e38]),
        *([1, np.nan, 0, 0], [np.inf, 1, 0, 0]),
    ]
    return np.array(vectors, dtype=np.float32).T.reshape(4, 2, 3)
