"""Encodings: what is fitted and stored of it; invalid vectors never become numbers."""

import pickle
import tempfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from geoembz.encoding import Encoding
from geoembz.encoding import _kernel as decoder
from geoembz.encoding._projection import TILE_PIXELS
from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError
from tests.families import KINDS
from tests.rows import rows

DIMENSION = 11
RECIPES = [*KINDS, *(f"pca5-{kind}" for kind in KINDS)]
DEFAULT = ["int8", "pca5-int4", "pca5-binary", "float32"]
"""Wide and packed codes and floats, with a projection and without; the others run as slow."""
every_recipe = pytest.mark.parametrize("recipe", rows(RECIPES, DEFAULT))
COUNTS = (1, 127, 129, TILE_PIXELS + 3, 16 * TILE_PIXELS + 5)
SEEDS = st.integers(0, 2**32 - 1)
quick = settings(max_examples=12, deadline=None)  # every example fits an encoding


def vectors(seed: int, count: int = 200) -> NDArray[np.float32]:
    """Vectors ``(count, DIMENSION)`` with a decaying spectrum and a mean of their own."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(DIMENSION, DIMENSION)) * 0.6 ** np.arange(DIMENSION)
    return (rng.normal(size=(count, DIMENSION)) @ mixing.T + rng.normal()).astype(np.float32)


@pytest.fixture(scope="module", params=rows(RECIPES, DEFAULT))
def encoding(request: pytest.FixtureRequest) -> Encoding:
    return Encoding.fit(vectors(0), request.param)


@pytest.mark.parametrize("shape", [(), (1,), (7,), (0,), (2, 3)])
def test_leading_axes_are_kept(encoding: Encoding, shape: tuple[int, ...]) -> None:
    """One vector, many, none, or a whole raster: the last axis is the vector's, the others stay."""
    count = int(np.prod(shape))
    codes = encoding.encode(vectors(1)[:count].reshape(*shape, DIMENSION))
    assert codes.shape == (*shape, encoding.code_length)
    assert codes.dtype == encoding.code_dtype
    assert encoding.decode(codes).shape == (*shape, DIMENSION)
    assert encoding.decode(codes, "reduced").shape == (*shape, encoding.n_components)
    assert codes.nbytes == count * encoding.bytes_per_vector


@quick
@given(seed=SEEDS, data=st.data())
@every_recipe
def test_a_code_does_not_depend_on_its_neighbours(
    recipe: str, seed: int, data: st.DataObject
) -> None:
    """Any selection of vectors, in any order, encodes and decodes to the same bits."""
    encoding = Encoding.fit(vectors(seed), recipe)
    count = data.draw(st.sampled_from([9, TILE_PIXELS + 5]))
    chosen = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=20))
    values = vectors(seed + 1, count)
    codes = encoding.encode(values)
    np.testing.assert_array_equal(encoding.encode(values[chosen]), codes[chosen])
    np.testing.assert_array_equal(encoding.decode(codes[chosen]), encoding.decode(codes)[chosen])


@quick
@given(seed=SEEDS, data=st.data())
@every_recipe
def test_invalid_vectors_never_become_numbers(recipe: str, seed: int, data: st.DataObject) -> None:
    """NaN, infinity and the mask: never in the fit, NaN again after decoding, others untouched."""
    clean = vectors(seed, 40)
    bad = data.draw(st.lists(st.integers(0, 39), min_size=1, max_size=20, unique=True))
    spoiled, mask = clean.copy(), np.ones(40, np.bool_)
    for row in bad:
        kind = data.draw(st.sampled_from([np.nan, np.inf, -np.inf, None]))
        if kind is None:
            mask[row] = False
        else:
            spoiled[row, data.draw(st.integers(0, DIMENSION - 1))] = kind
    good = np.setdiff1d(np.arange(40), bad)
    encoding = Encoding.fit(clean[good], recipe)
    assert Encoding.fit(np.where(mask[:, None], spoiled, np.nan), recipe) == encoding

    codes, valid = encoding.encode_block(spoiled.T, mask)
    np.testing.assert_array_equal(np.flatnonzero(valid), good)
    np.testing.assert_array_equal(codes[:, good], encoding.encode_block(clean[good].T)[0])
    stored = 0 if encoding.nodata is None else encoding.nodata
    np.testing.assert_array_equal(codes[:, bad], np.full_like(codes[:, bad], stored))
    for space in ("original", "reduced"):
        given_mask = valid if encoding.nodata is None else None
        decoded = encoding.decode_block(codes, space, given_mask)
        assert np.isnan(decoded[:, bad]).all()
        assert np.isfinite(decoded[:, good]).all()


@every_recipe
def test_codes_without_room_refuse_invalid_vectors(recipe: str) -> None:
    """`encode` gives codes alone: where these cannot say "invalid", it raises."""
    encoding = Encoding.fit(vectors(2), recipe)
    values = vectors(3, 4)
    values[1, 3] = np.nan
    if encoding.nodata is None:
        with pytest.raises(EncodingError, match="1 of 4 vectors are invalid"):
            encoding.encode(values)
    else:
        decoded = encoding.decode(encoding.encode(values))
        np.testing.assert_array_equal(np.isnan(decoded).all(axis=1), [False, True, False, False])


@quick
@given(seed=SEEDS, cuts=st.lists(st.integers(1, 199), max_size=4, unique=True))
def test_a_fit_in_parts_is_the_fit_of_the_whole(seed: int, cuts: list[int]) -> None:
    """Streaming gives the same subspace, mean and steps, to rounding."""
    whole = Encoding.fit(vectors(seed), "pca5-int8")
    parts = [block.T for block in np.split(vectors(seed), sorted(cuts))]
    streamed = Encoding.fit_blocks(parts, "pca5-int8", DIMENSION)
    assert streamed.report.n_samples == whole.report.n_samples
    np.testing.assert_allclose(
        streamed.report.explained_variance, whole.report.explained_variance, rtol=1e-9
    )
    values = vectors(seed + 1)
    step = float(whole.quantizer.arrays()["scale"].max())
    np.testing.assert_allclose(
        streamed.decode(streamed.encode(values)),
        whole.decode(whole.encode(values)),
        atol=2 * step * np.sqrt(5),
    )


@every_recipe
@quick
@given(seed=SEEDS)
def test_the_same_fit_has_the_same_hash(recipe: str, seed: int) -> None:
    """Fitting twice gives the same bits; other data give another encoding."""
    first, second = (Encoding.fit(vectors(seed), recipe, seed=seed) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    assert first.hash.startswith("sha256:")
    if recipe != "float32":
        assert Encoding.fit(vectors(seed + 1) * 2, recipe) != first


def test_the_seed_alone_chooses_the_quantizer_s_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """With more vectors than the quantizer needs, the same seed chooses the same ones."""
    monkeypatch.setattr("geoembz.encoding._fit.RESERVOIR_VECTORS", 50)
    same = [Encoding.fit(vectors(0), "int8", seed=1).hash for _ in range(2)]
    other = Encoding.fit(vectors(0), "int8", seed=2).hash
    assert same[0] == same[1] != other


@every_recipe
def test_provenance_is_not_part_of_the_hash(recipe: str) -> None:
    """The report says where an encoding comes from; what it does is the same without it."""
    fitted = Encoding.fit(vectors(4), recipe, seed=9)
    assert fitted.report.seed == 9
    bare = Encoding.from_state(fitted.config(), fitted.arrays())
    assert bare.report != fitted.report
    assert bare == fitted


@quick
@given(data=st.data())
@every_recipe
def test_every_array_is_part_of_the_hash(recipe: str, data: st.DataObject) -> None:
    """One changed bit in any array changes the hash."""
    fitted = Encoding.fit(vectors(5), recipe)
    arrays = {name: array.copy() for name, array in fitted.arrays().items()}
    name = data.draw(st.sampled_from(sorted(arrays)))
    flat = arrays[name].reshape(-1).view(np.uint32)
    flat[data.draw(st.integers(0, flat.size - 1))] ^= 1
    assert Encoding.from_state(fitted.config(), arrays).hash != fitted.hash


def test_files_round_trip(encoding: Encoding, tmp_path: Path) -> None:
    """A saved encoding comes back with hash, report and codes; saving never replaces a file."""
    path = tmp_path / "encoding.npz"
    encoding.save(path)
    again = Encoding.load(path)
    assert again == encoding
    assert again.report == encoding.report
    values = vectors(6)
    np.testing.assert_array_equal(again.encode(values), encoding.encode(values))
    assert again.to_bytes() == path.read_bytes()
    with pytest.raises(InvalidConfigError, match="exists"):
        encoding.save(path)


def test_it_can_be_pickled(encoding: Encoding) -> None:
    """Workers in other processes get the same encoding."""
    assert pickle.loads(pickle.dumps(encoding)) == encoding  # noqa: S301 - our own bytes


@quick
@given(data=st.data())
def test_damaged_files_are_refused(data: st.DataObject) -> None:
    """A file cut anywhere, or with any byte changed, is refused or is the same encoding."""
    fitted = Encoding.fit(vectors(7), "pca5-int8")
    content = bytearray(fitted.to_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "encoding.npz")
        path.write_bytes(content)
        try:
            loaded = Encoding.load(path)
        except EncodingError:
            return
    assert loaded == fitted


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not an archive", b"\x93NUMPY\x01\x00"])
def test_other_files_are_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "encoding.npz"
    path.write_bytes(content)
    with pytest.raises(EncodingError, match=r"Encoding\.save"):
        Encoding.load(path)


@pytest.mark.parametrize(
    "change",
    [
        {"dimension": None},
        {"dimension": 0},
        {"dimension": 2**40},
        {"dimension": DIMENSION + 1},
        {"recipe": 3},
        {"projection": None},
        {"projection": {"kind": "pca", "n_components": DIMENSION + 1}},
        {"projection": {"kind": "umap", "n_components": 5}},
        {"quantizer": {"kind": "int4", "bits": 4, "law": "linear"}},
        {"quantizer": {"kind": ["int8"]}},
        {"quantizer": {"kind": "int8", "bits": 8, "law": "power"}},
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change: dict[str, Any]) -> None:
    """Hostile or damaged JSON raises before anything is decoded with it."""
    fitted = Encoding.fit(vectors(8), "pca5-int8")
    with pytest.raises(EncodingError):
        Encoding.from_state({**fitted.config(), **change}, fitted.arrays())


@pytest.mark.parametrize("dtype", ["u1", "i2", "<f8", ">f8", ">f4", "f2", "i8"])
def test_real_types_are_taken_as_float32(encoding: Encoding, dtype: str) -> None:
    """Integers, doubles and foreign byte orders encode as their float32 values do."""
    values = (np.abs(vectors(9, 6)) * 3).astype(dtype)
    np.testing.assert_array_equal(encoding.encode(values), encoding.encode(values.astype("f4")))


@pytest.mark.parametrize(
    "values",
    [
        np.zeros((2, DIMENSION + 1), np.float32),
        np.zeros((DIMENSION, 2), np.float32),
        np.zeros((2, DIMENSION), np.complex64),
        np.zeros((2, DIMENSION), np.bool_),
        np.zeros((2, DIMENSION), "U3"),
        np.float32(1),
    ],
)
def test_other_vectors_are_refused(encoding: Encoding, values: NDArray[Any]) -> None:
    with pytest.raises(EncodingError, match=rf"shape \(…, {DIMENSION}\)"):
        encoding.encode(values)


def test_other_codes_are_refused(encoding: Encoding) -> None:
    codes = encoding.encode(vectors(10, 4))
    for wrong in (codes[:, :-1], codes.T, codes.astype(np.int64), codes[0, 0]):
        with pytest.raises(EncodingError, match="expects"):
            encoding.decode(wrong)


@pytest.mark.parametrize("components", [0, 6, -1])
def test_components_that_do_not_exist_are_refused(components: int) -> None:
    encoding = Encoding.fit(vectors(15), "pca5-int8")
    with pytest.raises(InvalidConfigError, match="expected 1 to 5"):
        encoding.decode(encoding.encode(vectors(15)), components=components)


def test_too_many_components_and_too_few_vectors_are_refused() -> None:
    with pytest.raises(InvalidConfigError, match="at most 11"):
        Encoding.fit(vectors(0), "pca12-int8")
    with pytest.raises(NoValidPixelsError, match="3 valid pixels"):
        Encoding.fit(vectors(0, 3), "pca5-int8")
    with pytest.raises(NoValidPixelsError, match="no valid pixel"):
        Encoding.fit(np.full((9, DIMENSION), np.nan), "int8")
    with pytest.raises(InvalidConfigError, match="real"):
        Encoding.fit(np.zeros((9, DIMENSION), np.complex64), "int8")


@pytest.mark.parametrize(
    ("recipe", "count"),
    rows(
        product([f"{prefix}{one}" for one in RECIPES for prefix in ("", "l2-")], COUNTS),
        [
            *(("pca5-int8", count) for count in COUNTS),
            *(("l2-pca5-int4", TILE_PIXELS + 3), ("float32", TILE_PIXELS + 3)),
        ],
        lambda row: "-".join(map(str, row)),
    ),
)
def test_vectors_as_rows_and_as_columns_have_the_same_codes(recipe: str, count: int) -> None:
    """To the last bit, whatever the order in memory, the tiles and the threads."""
    encoding = Encoding.fit(vectors(16), recipe)
    values = vectors(17, count)
    columns = np.ascontiguousarray(values.T)
    expected, _ = encoding.encode_block(columns)
    np.testing.assert_array_equal(encoding.encode(values), expected.T)
    np.testing.assert_array_equal(encoding.encode(np.asfortranarray(values)), expected.T)
    np.testing.assert_array_equal(encoding.encode(values[::-1]), expected.T[::-1])
    transform = encoding.projection.transform
    np.testing.assert_array_equal(transform(values.T), transform(columns))


def test_many_rows_keep_their_mask() -> None:
    """Rows that are masked or not finite are nodata, in every thread's part."""
    encoding, values = Encoding.fit(vectors(18), "pca5-int8"), vectors(19, 40_000)
    values[::7, 3] = np.nan
    valid = np.arange(len(values)) % 5 != 0
    codes = encoding.encode(values, valid)
    expected = valid & np.isfinite(values).all(axis=1)
    np.testing.assert_array_equal((codes != -128).all(axis=1), expected)
    np.testing.assert_array_equal((codes == -128).any(axis=1), ~expected)


def test_invalid_pixels_are_nan_even_where_blas_skips_products_with_zero(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A zero in the matrix times NaN is NaN, but for a BLAS that leaves such products out."""

    def skipping(matrix: Any, padded: Any, out: Any) -> None:
        out[...] = (matrix @ np.nan_to_num(padded))[:, : out.shape[1]]

    samples = np.random.default_rng(0).normal(size=(64, 6)).astype(np.float32)
    encoding = Encoding.fit(samples, "select3-int8")
    codes, _ = encoding.encode_block(samples.T, np.arange(64) % 7 > 0)
    expected = encoding.decode_block(codes)
    assert np.isnan(expected[:, ::7]).all()
    monkeypatch.setattr(decoder, "affine_tile", skipping)
    np.testing.assert_array_equal(encoding.decode_block(codes), expected)


def test_blocks_are_kept_by_reference_or_copied_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    """A list is taken as it lies, an iterator may use its memory again: the fit is the same."""
    monkeypatch.setattr("geoembz.encoding._fit.RESERVOIR_VECTORS", 500)
    rng = np.random.default_rng(0)
    blocks = [rng.normal(size=(DIMENSION, n)).astype(np.float32) for n in (300, 1, 0, 280, 90)]

    def reused() -> Iterator[NDArray[np.float32]]:
        memory = np.empty((DIMENSION, 300), dtype=np.float32)
        for block in blocks:
            here = memory[:, : block.shape[1]]
            here[...] = block
            yield here

    for recipe in ("pca5-int8", "l2-pca4-int4-lloyd"):
        listed = Encoding.fit_blocks(blocks, recipe, DIMENSION)
        assert Encoding.fit_blocks(reused(), recipe, DIMENSION).hash == listed.hash
