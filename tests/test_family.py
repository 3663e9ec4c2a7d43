"""The family of encodings: every projection, rotation and whitening means what spec/ says."""

import json
import os
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import geoembz
from geoembz.encoding import Encoding
from geoembz.errors import EncodingError, GeoembzError, InvalidConfigError, NoValidPixelsError
from tests.closeness import assert_same_vectors
from tests.conftest import MakeRaster
from tests.rows import rows
from tests.trees import objects

type Floats = NDArray[np.float32]

DIMENSION, COMPONENTS = 11, 5
PROJECTIONS = ("pca", "svd", "random", "select")
PREFIXES = [
    *("", "l2-", "rot-", "l2-rot-"),
    *(f"{kind}{COMPONENTS}-" for kind in PROJECTIONS),
    *(f"{kind}{COMPONENTS}-rot-" for kind in PROJECTIONS),
    *(f"l2-{kind}{COMPONENTS}w0.5-rot-" for kind in PROJECTIONS),
    f"pca{COMPONENTS}w1-rot-",
]
QUANTIZERS = ("int8", "int4-lloyd", "int2-quantile", "ternary", "binary", "aef", "float16")
BITWISE = ("itq-binary", "pca5w0.5-itq-binary", "l2-svd5-itq-ternary", "pca5w0.5-binary")
GROUPED = ("pq1x8", "pca5-pq5x8", "pca5w0.5-pq5x8", "l2-pca6-rot-pq3x8", "rot-pq11x8")
RECIPES = [*(f"{prefix}{kind}" for prefix in PREFIXES for kind in QUANTIZERS), *GROUPED, *BITWISE]
DEFAULT = [
    *(f"{prefix}{QUANTIZERS[n % len(QUANTIZERS)]}" for n, prefix in enumerate(PREFIXES)),
    *("pq1x8", "pca5w0.5-pq5x8", "l2-pca6-rot-pq3x8", "pca5w0.5-itq-binary"),
]
"""Every prefix with one quantizer, every quantizer with some prefix; the product is slow."""
every_recipe = pytest.mark.parametrize("recipe", rows(RECIPES, DEFAULT))


def vectors(seed: int, count: int = 300) -> Floats:
    """Vectors ``(count, DIMENSION)`` with a decaying spectrum and a mean of their own."""
    rng = np.random.default_rng(9)
    mixing = rng.normal(size=(DIMENSION, DIMENSION)) * 0.6 ** np.arange(DIMENSION) / 4
    noise = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    return (noise @ mixing.T + rng.normal(size=DIMENSION) / 4).astype(np.float32)


@cache
def fitted(recipe: str) -> Encoding:
    return Encoding.fit(vectors(0), recipe)


def gram(decoded: NDArray[Any]) -> NDArray[np.float64]:
    exact = decoded.astype(np.float64)
    return np.asarray(exact @ exact.T)


def reduced(encoding: Encoding, values: Floats, whiten: float = 0.0) -> Floats:
    codes = encoding.encode_block(values.T)[0]
    return encoding.decoder("reduced", whiten=whiten).decode(codes).T


@pytest.mark.parametrize(
    "recipe",
    [
        *("pca11-", "svd11-", "random11-", "select11-", "rot-", "pca11-rot-", "pca11w0.7-rot-"),
        *("svd11w1-rot-", "random11w0.3-rot-", "select11w1-rot-"),
    ],
)
def test_all_components_lose_nothing_but_rounding(recipe: str) -> None:
    """Projection, whitening and rotation are undone exactly."""
    values = vectors(1)
    encoding = fitted(f"{recipe}float32")
    np.testing.assert_allclose(encoding.decode(encoding.encode(values)), values, atol=2e-5)


@pytest.mark.parametrize("kind", PROJECTIONS)
@pytest.mark.parametrize("turn", ["-rot", "w0.5-rot", "w1-rot"])
def test_whitening_and_rotation_keep_the_subspace(kind: str, turn: str) -> None:
    """Without quantization they change neither reconstructions nor reduced dot products."""
    values = vectors(1)
    plain, turned = (fitted(f"{kind}{COMPONENTS}{part}-float32") for part in ("", turn))
    decoded = [encoding.decode(encoding.encode(values)) for encoding in (plain, turned)]
    np.testing.assert_allclose(decoded[1], decoded[0], atol=2e-5)
    np.testing.assert_allclose(
        gram(reduced(turned, values)), gram(reduced(plain, values)), atol=5e-5
    )
    assert turned.projection.rotated
    assert turned.report.explained_variance == plain.report.explained_variance


@every_recipe
def test_reduced_vectors_have_the_dot_products_of_the_reconstruction(recipe: str) -> None:
    """Reduced space leaves out one constant, the square of `residual_norm`, and nothing else."""
    encoding = fitted(recipe)
    codes = encoding.encode(vectors(1, 80))
    whole = gram(encoding.decode(codes))
    left_out = encoding.projection.residual_norm**2
    came = gram(encoding.decode(codes, "reduced")) + left_out
    np.testing.assert_allclose(came, whole, atol=1e-5 * np.abs(whole).max())


@pytest.mark.parametrize("kind", PROJECTIONS)
@pytest.mark.parametrize("whiten", [0.25, 1.0])
def test_the_whitening_metric_is_that_of_the_unrotated_components(kind: str, whiten: float) -> None:
    """Rotated or not, whitened for the quantizer or not: one metric, and the one of the text."""
    values = vectors(1)
    plain = fitted(f"{kind}{COMPONENTS}-float32")
    deviation = np.sqrt(plain.variance.astype(np.float64))
    expected = reduced(plain, values) * (deviation / deviation.max()) ** -whiten
    for turn in ("", "-rot", "w0.4-rot"):
        came = reduced(fitted(f"{kind}{COMPONENTS}{turn}-float32"), values, whiten)
        np.testing.assert_allclose(came, expected, rtol=1e-3, atol=2e-4)


def test_the_whitening_metric_of_unprojected_vectors() -> None:
    """Each dimension is weighed by its own standard deviation."""
    values, encoding = vectors(1), fitted("float32")
    deviation = vectors(0).astype(np.float64).std(axis=0, ddof=1)
    expected = values * (deviation / deviation.max()) ** -0.5
    np.testing.assert_allclose(reduced(encoding, values, 0.5), expected, rtol=1e-5)


def test_a_component_that_never_varies_is_not_blown_up() -> None:
    """The metric's weights are bounded where a standard deviation is 0."""
    samples = vectors(0)
    samples[:, 3] = 0.5
    encoding = Encoding.fit(samples, "float32")
    came = reduced(encoding, samples, 1.0)
    assert np.isfinite(came).all()
    assert np.abs(came).max() <= 1e6 * np.abs(samples).max()


@pytest.mark.parametrize("whiten", [-0.1, 1.1, np.nan, np.inf])
def test_other_weights_are_refused(whiten: float) -> None:
    with pytest.raises(InvalidConfigError, match="whiten"):
        fitted("pca5-int8").decoder("reduced", whiten=whiten)


def test_metrics_that_make_no_sense_are_refused() -> None:
    """Of originals, and where nothing says how rotated vectors vary."""
    with pytest.raises(InvalidConfigError, match="reduced"):
        fitted("pca5-int8").decoder("original", whiten=0.5)
    with pytest.raises(InvalidConfigError, match="without a projection"):
        fitted("rot-binary").decoder("reduced", whiten=0.5)


@pytest.mark.parametrize(
    ("projection", "kind", "kept"),
    rows(
        product(PROJECTIONS, QUANTIZERS, (1, 3, COMPONENTS)),
        [
            *((PROJECTIONS[n % 4], kind, 3) for n, kind in enumerate(QUANTIZERS)),
            *(("pca", "int8", 1), ("pca", "int8", COMPONENTS)),
        ],
        lambda row: "-".join(map(str, row)),
    ),
)
def test_the_first_components_are_an_encoding_of_their_own(
    projection: str, kind: str, kept: int
) -> None:
    """Decoding k' of k components equals decoding a store that was fitted with k'."""
    values = vectors(1)
    full, short = fitted(f"{projection}{COMPONENTS}-{kind}"), fitted(f"{projection}{kept}-{kind}")
    space: Any
    for space in ("original", "reduced"):
        np.testing.assert_allclose(
            full.decode(full.encode(values), space, components=kept),
            short.decode(short.encode(values), space),
            atol=1e-4,
        )


@pytest.mark.parametrize(
    "recipe",
    [
        *(
            "pca5-rot-int8",
            "pca5w0.5-rot-int4",
            "rot-binary",
            "select5-rot-ternary",
            "pca5-itq-binary",
        ),
        *("pca5-pq5x8", "int8", "l2-aef"),
    ],
)
def test_components_without_order_cannot_be_cut(recipe: str) -> None:
    """After a rotation, in groups, or without a projection a prefix is no smaller encoding."""
    encoding = fitted(recipe)
    codes = encoding.encode(vectors(1, 4))
    space: Any
    for space in ("original", "reduced"):
        with pytest.raises(InvalidConfigError, match="components"):
            encoding.decode(codes, space, components=2)


@pytest.mark.parametrize("kind", PROJECTIONS)
def test_the_explained_variance_is_what_the_reconstruction_keeps(kind: str) -> None:
    """Of the centred sample; of the uncentred one, its energy, for svd."""
    samples, encoding = vectors(0), fitted(f"{kind}{COMPONENTS}-float32")
    exact = samples.astype(np.float64)
    lost = np.square(encoding.decode(encoding.encode(samples)) - exact).sum()
    total = np.square(exact if kind == "svd" else exact - exact.mean(axis=0)).sum()
    np.testing.assert_allclose(encoding.report.explained_variance, 1 - lost / total, atol=1e-5)


def test_principal_components_keep_the_most() -> None:
    kept = {kind: fitted(f"{kind}{COMPONENTS}-float32").report for kind in PROJECTIONS}
    best = kept["pca"].explained_variance
    assert best > max(kept["random"].explained_variance, kept["select"].explained_variance)


@pytest.mark.parametrize("recipe", ["rot-binary", "random5-int8", "pca5-pq5x8", "pca5-rot-int4"])
def test_the_seed_shows(recipe: str) -> None:
    """Another seed, another rotation, projection or k-means; the same one, the same bits."""
    first, second, other = (Encoding.fit(vectors(0), recipe, seed=seed) for seed in (1, 1, 2))
    assert first == second
    assert first != other


HASHES = """
import hashlib, json, sys
import numpy as np
from geoembz.encoding import Encoding
rng = np.random.default_rng(0)
samples = (rng.normal(size=(2000, 192)) @ rng.normal(size=(192, 192))).astype("f4")
for recipe in sys.argv[1:]:
    encoding = Encoding.fit(samples, recipe)
    codes = encoding.encode(samples)
    decoded = encoding.decode(codes)
    print(encoding.hash, *(hashlib.sha256(a.tobytes()).hexdigest() for a in (codes, decoded)))
"""


@pytest.mark.slow
def test_hashes_do_not_depend_on_blas_threads() -> None:
    """Encodings, codes and decoded vectors are the same with one BLAS thread and with two."""
    recipes = ("pca64-int8", "svd32w0.5-rot-int4-lloyd", "random64-binary", "l2-rot-ternary")
    found = []
    for threads in ("1", "2"):
        names = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
        completed = subprocess.run(
            [sys.executable, "-c", HASHES, *recipes, "pca32-rot-pq4x8", "pca32-itq-binary"],
            env={**os.environ, **dict.fromkeys(names, threads)},
            capture_output=True,
            text=True,
            check=True,
        )
        found.append(completed.stdout)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == len(recipes) + 2


@every_recipe
def test_vectors_all_equal_come_back(recipe: str) -> None:
    """A sample without variance fits, and its one vector comes back to float32's rounding."""
    samples = np.full((300, DIMENSION), 0.25, np.float32)
    encoding = Encoding.fit(samples, recipe)
    decoded = encoding.decode(encoding.encode(samples[:3]))
    expected = encoding.target(samples[:3].T).T
    bound = 0.005 if recipe.endswith("aef") else 1e-3 if recipe.endswith("float16") else 1e-6
    np.testing.assert_allclose(decoded, expected, atol=bound)


@every_recipe
def test_constant_components_and_invalid_rows_do_not_spoil_a_fit(recipe: str) -> None:
    """Rows with NaN or infinity are left out; a constant component stays finite."""
    samples = vectors(0)
    samples[:, 2] = 0.125
    spoiled = np.concatenate([samples, samples[:3]])
    spoiled[-3:, [0, 4, 2]] = [np.nan, np.inf, -np.inf]
    encoding = Encoding.fit(spoiled, recipe)
    assert encoding.report.n_samples == 300
    assert encoding == Encoding.fit(samples, recipe)
    assert np.isfinite(encoding.decode(encoding.encode(samples))).all()


@every_recipe
def test_nothing_to_fit_is_our_error(recipe: str) -> None:
    """No valid row, or fewer than components and codewords: said, not computed."""
    with pytest.raises(NoValidPixelsError):
        Encoding.fit(np.full((300, DIMENSION), np.nan, np.float32), recipe)
    try:
        encoding = Encoding.fit(vectors(0, 2), recipe)
    except GeoembzError:
        return
    assert np.isfinite(encoding.decode(encoding.encode(vectors(0, 2)))).all()


@every_recipe
def test_files_and_json_hold_everything(recipe: str) -> None:
    """An encoding survives its file and, with its arrays, JSON; the recipe is its name."""
    encoding, values = fitted(recipe), vectors(1, 20)
    again = Encoding.from_bytes(encoding.to_bytes())
    assert again == encoding
    assert again.recipe == recipe
    assert (
        Encoding.from_state(json.loads(json.dumps(encoding.config())), encoding.arrays()) == again
    )
    np.testing.assert_array_equal(again.encode(values), encoding.encode(values))


@every_recipe
def test_invalid_vectors_are_the_fill_value(recipe: str) -> None:
    """In every byte, padding included, so that chunks of invalid pixels need not be stored."""
    encoding, values = fitted(recipe), vectors(1, 20).T.copy()
    values[3, 4], values[0, 7] = np.nan, np.inf
    codes, valid = encoding.encode_block(values)
    np.testing.assert_array_equal(np.flatnonzero(~valid), [4, 7])
    filled = np.full((encoding.code_length, 2), encoding.fill_value, encoding.code_dtype)
    np.testing.assert_array_equal(codes[:, [4, 7]], filled)
    decoded = encoding.decode_block(
        codes, "reduced", None if encoding.nodata is not None else valid
    )
    np.testing.assert_array_equal(np.isnan(decoded).any(axis=0), ~valid)


@pytest.mark.parametrize("claim", [10**12, 2**31, 65_537])
@pytest.mark.parametrize("recipe", ["aef", "float16", "pca5-int8", "pca5w0.5-rot-int4", "pq1x8"])
def test_huge_claims_are_refused_without_allocating(recipe: str, claim: int) -> None:
    """An encoding that claims 10¹² dimensions costs nothing."""
    encoding = fitted(recipe)
    config = encoding.config()
    tracemalloc.start()
    for part in ("dimension", "projection", "quantizer"):
        changed = {
            **config,
            part: claim if part == "dimension" else {**config[part], "n_components": claim},
        }
        with pytest.raises(EncodingError):
            Encoding.from_state(changed, encoding.arrays())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


@pytest.mark.slow
def test_a_fit_of_ten_million_pixels_is_exact_and_holds_few() -> None:
    """Moments are those of all pixels, in memory that does not grow with their number."""
    dimension, width, count = 16, 65_536, 160
    base = np.random.default_rng(0).normal(size=(dimension, width)).astype(np.float32)
    exact = base.astype(np.float64)

    def blocks() -> Iterator[Floats]:
        for number in range(count):
            yield base + np.float32(number / 64)

    tracemalloc.start()
    encoding = Encoding.fit_blocks(blocks(), "pca8-int4-lloyd", dimension)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert encoding.report.n_samples == width * count > 10**7
    assert peak < 150 * 2**20  # all of them are 671 MB
    shifts = np.arange(count) / 64
    mean = exact.mean(axis=1) + shifts.mean()
    assert encoding.projection.mean is not None
    np.testing.assert_allclose(encoding.projection.mean, mean, rtol=1e-6)
    covariance = np.cov(exact, ddof=0) + shifts.var()
    eigenvalues = np.linalg.eigvalsh(covariance)[::-1][:8]
    np.testing.assert_allclose(encoding.variance, eigenvalues, rtol=1e-5)


@pytest.fixture(scope="module")
def rasters(make_raster: MakeRaster, tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Write a raster with a gap (True) and one without (False)."""
    folder = tmp_path_factory.mktemp("rasters")
    values = np.ascontiguousarray(vectors(0, 24 * 20).T).reshape(DIMENSION, 24, 20)
    holed = values.copy()
    holed[:, 5:9, 3] = np.nan
    return {
        False: make_raster(folder / "whole.tif", values, blocksize=16),
        True: make_raster(folder / "holed.tif", holed, blocksize=16),
    }


HAS_ROOM = {
    **dict.fromkeys(("int8", "l2-pca5-int8-lloyd", "aef", "pca5-float16", "float32"), True),
    **dict.fromkeys(("l2-float32", "ternary", "pca5-ternary", "rot-int8"), True),
    "pca5w0.5-rot-ternary-tertiles": True,
    **dict.fromkeys(("pca5-int4", "l2-int2-lloyd", "rot-binary", "pca6-pq3x8"), False),
    "l2-pca6w0.5-rot-pq3x8": False,
}
"""Whether a recipe's codes can say that a pixel is invalid."""


@pytest.mark.parametrize("gaps", [False, True], ids=["whole", "holed"])
@pytest.mark.parametrize(
    "recipe",
    rows(HAS_ROOM, ["l2-pca5-int8-lloyd", "float32", "pca5-ternary", "aef", "rot-binary"]),
)
def test_layouts_say_the_same_or_refuse(
    recipe: str, gaps: bool, rasters: dict[bool, Path], tmp_path: Path
) -> None:
    """The codec layout is refused only where a pixel is invalid and codes cannot say so."""

    def convert(layout: Any) -> Path:
        geoembz.convert(
            rasters[gaps], tmp_path / layout, recipe=recipe, layout=layout, chunk=8, shard=16
        )
        return tmp_path / str(layout)

    plain = convert("plain")
    if gaps and not HAS_ROOM[recipe]:
        with pytest.raises(InvalidConfigError, match='layout="plain"'):
            convert("codec")
        return
    codec = convert("codec")
    decoded = [np.asarray(geoembz.open(store)["embedding"].values) for store in (plain, codec)]
    np.testing.assert_array_equal(decoded[1], decoded[0])
    assert np.isnan(decoded[0]).any() == gaps
    trees = [objects(store) for store in (plain, codec)]
    stored = [{k: v for k, v in tree.items() if "embedding/c" in k} for tree in trees]
    assert stored[0] == stored[1]
    import zarr

    vectors_alone = zarr.open_array(codec / "embedding", mode="r")
    assert_same_vectors(np.asarray(vectors_alone[...]), decoded[0])
