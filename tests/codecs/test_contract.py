"""One contract for every codec: the numcodecs face, the Zarr v3 face, and what both refuse."""

import asyncio
import base64
import json
import pickle
from functools import cache
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from zarr.registry import get_codec_class

from geoembz.codecs._stages import PREFIX, NormalizeStage, ProjectionStage, QuantizerStage, Stage
from geoembz.codecs.numcodecs import StageFilter
from geoembz.codecs.zarr import StageCodec, codec_chain
from geoembz.encoding import Encoding
from geoembz.errors import EncodingError
from tests.rows import rows

DIMENSION, COMPONENTS = 9, 5
CHUNK = (4, 6)
CASES = {
    "normalize": "l2-float32",
    "projection": f"pca{COMPONENTS}-float32",
    "projection-biorthogonal": f"pca{COMPONENTS}w0.5-rot-float32",
    **{f"{kind}-{method}": f"{kind}-{method}" for kind in ("int8", "int4", "int2")
       for method in ("minmax", "quantile", "lloyd")},
    **{kind: kind for kind in ("ternary", "binary", "float16")},
    "pq": "pq3x8",
    "rq": "rq3x8",
    "power": "aef",
}  # fmt: skip
"""Every codec and each of its laws, with the recipe that fits it."""
quick = settings(max_examples=6, deadline=None)
DEFAULT = [
    *("normalize", "projection", "projection-biorthogonal", "int8-minmax", "int4-lloyd"),
    *("ternary", "binary", "float16", "pq", "rq", "power"),
]
"""Every codec and law of its own; other widths and fits of the same law run as slow."""
every_codec = pytest.mark.parametrize("name", rows(CASES, DEFAULT))
one_of_each_form = pytest.mark.parametrize("name", ["projection", "int8-minmax", "int4-minmax"])
"""Floats, wide codes, packed codes: what the faces check is the same for all codecs."""


def vectors(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(DIMENSION, DIMENSION)) * 0.6 ** np.arange(DIMENSION)
    return (rng.normal(size=(count, DIMENSION)) @ mixing.T + 1).astype(np.float32)


@cache
def stage_of(name: str) -> Stage:
    """Fit a stage; quantizers see unprojected vectors of `DIMENSION` components."""
    encoding = Encoding.fit(vectors(300), CASES[name])
    if encoding.normalize:
        return NormalizeStage(DIMENSION)
    if encoding.projection.matrix is not None:
        return ProjectionStage(encoding.projection)
    return QuantizerStage(encoding.quantizer)


def codec_id(name: str) -> str:
    """Return the codec's registered name."""
    return PREFIX + name.partition("-")[0]


def has_nodata(name: str) -> bool:
    """Whether the codec can store a pixel that is not finite."""
    stage = stage_of(name)
    return not isinstance(stage, QuantizerStage) or stage.quantizer.nodata is not None


def filter_of(name: str, chunk: tuple[int, ...] = CHUNK) -> StageFilter:
    """Return the numcodecs codec, found as numcodecs finds it: by entry point."""
    codec_class = numcodecs.get_codec(
        {
            "id": codec_id(name),
            "chunk_shape": [DIMENSION, *chunk],
            **stage_of(name).config(),
        }
    )
    assert isinstance(codec_class, StageFilter)
    return codec_class


def codec_of(name: str) -> StageCodec:
    """Return the Zarr v3 codec, found as Zarr finds it: by entry point."""
    codec = get_codec_class(codec_id(name)).from_dict(
        {"name": codec_id(name), "configuration": stage_of(name).config()}
    )
    assert isinstance(codec, StageCodec)
    return codec


def raster(shape: tuple[int, ...], seed: int = 1) -> NDArray[np.float32]:
    """Vectors as ``(DIMENSION, *shape)`` in C order."""
    return np.ascontiguousarray(vectors(int(np.prod(shape)), seed).T).reshape(DIMENSION, *shape)


def expected(name: str, values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return what a codec must give back, from the stage itself."""
    stage = stage_of(name)
    return stage.decode(stage.encode(values))


@every_codec
def test_configuration_round_trips_through_json(name: str) -> None:
    """`from_config(get_config())` is the same codec, and so is the one that numcodecs finds."""
    codec = filter_of(name)
    config = json.loads(json.dumps(codec.get_config()))
    assert config["id"] == codec_id(name)
    again = type(codec).from_config(config)
    assert again.get_config() == config
    assert again == codec
    assert numcodecs.get_codec(dict(config)) == codec
    values = raster(CHUNK)
    np.testing.assert_array_equal(again.encode(values), codec.encode(values))


@every_codec
def test_zarr_metadata_round_trips_through_json(name: str) -> None:
    """`from_dict(to_dict())` is the same codec, pickled or not."""
    codec = codec_of(name)
    document = json.loads(json.dumps(codec.to_dict()))
    assert document["name"] == codec_id(name)
    assert type(codec).from_dict(document) == codec
    assert pickle.loads(pickle.dumps(codec)) == codec  # noqa: S301 - our own bytes


@every_codec
@quick
@given(seed=st.integers(0, 2**32 - 1), shape=st.lists(st.integers(1, 5), max_size=3))
def test_both_faces_are_the_stage(name: str, seed: int, shape: list[int]) -> None:
    """Chunks of any rank encode and decode as the kernel does, from arrays and from bytes."""
    chunk = tuple(shape)
    values = raster(chunk, seed)
    codec, stage = filter_of(name, chunk), stage_of(name)
    encoded = codec.encode(values)
    np.testing.assert_array_equal(encoded, stage.encode(values))
    np.testing.assert_array_equal(codec.encode(values.tobytes()), encoded)
    np.testing.assert_array_equal(codec.encode(memoryview(values.tobytes())), encoded)
    decoded = codec.decode(encoded)
    np.testing.assert_array_equal(decoded, stage.decode(encoded))
    np.testing.assert_array_equal(codec.decode(encoded.tobytes()), decoded)
    out = np.empty_like(decoded)
    codec.decode(encoded, out=out)
    np.testing.assert_array_equal(out, decoded)


@every_codec
def test_input_is_left_as_it_was(name: str) -> None:
    """Neither direction writes into the buffer that it was given, read-only ones included."""
    codec, values = filter_of(name), raster(CHUNK)
    before = values.copy()
    values.flags.writeable = False
    encoded = codec.encode(values)
    kept = encoded.copy()
    encoded.flags.writeable = False
    codec.decode(encoded)
    np.testing.assert_array_equal(values, before)
    np.testing.assert_array_equal(encoded, kept)


@one_of_each_form
@pytest.mark.parametrize(
    "wrong",
    [
        raster((4, 5)),
        raster((6, 4)),
        raster((5, 6)),
        raster(CHUNK)[:5],
        np.asfortranarray(raster(CHUNK)),
        raster((6, 4)).transpose(0, 2, 1),
        raster(CHUNK).astype(np.float64),
        raster(CHUNK).view(np.int32),
        raster(CHUNK).tobytes()[:-4],
        raster(CHUNK).tobytes() + b"\0",
        b"",
    ],
    ids=[
        "smaller", "transposed", "larger", "cut components", "F order", "strided", "float64",
        "int32", "short bytes", "long bytes", "no bytes",
    ],
)  # fmt: skip
def test_other_chunks_are_refused(name: str, wrong: Any) -> None:
    """A chunk that is not exactly the configured one raises, in both directions."""
    codec = filter_of(name)
    with pytest.raises(EncodingError, match="component axis first"):
        codec.encode(wrong)
    with pytest.raises(EncodingError, match="component axis first"):
        codec.decode(codec.encode(raster(CHUNK)).reshape(-1)[:-1])


@one_of_each_form
@pytest.mark.parametrize(
    "chunk",
    [
        *([], [4], [4, 6], [DIMENSION, 0], [DIMENSION, -1]),
        *(None, "ab", ["x"], [DIMENSION, 2.5], {"0": 9}),
    ],
)
def test_impossible_chunk_shapes_are_refused(name: str, chunk: Any) -> None:
    config = {**filter_of(name).get_config(), "chunk_shape": chunk}
    with pytest.raises(EncodingError, match="chunk_shape"):
        numcodecs.get_codec(config)


def damaged(config: dict[str, Any]) -> list[dict[str, Any]]:
    """Every value of a configuration missing, of a wrong type, cut, not finite, or too large."""
    wrong: list[Any] = [None, [], {}, 7.5, "", "no base64!", "é", True, -1, 0, 10**9, 2**200]
    wrong += [np.nan, np.inf, 10**400, "A" * 4096]
    for text in (v for v in config.values() if isinstance(v, str) and len(v) > 16):
        bits = np.full(len(base64.b64decode(text)) // 4, np.nan, "<f4")
        wrong += [text[:-4], text + "AAAA", base64.b64encode(bits.tobytes()).decode()]
    changes = [{**config, key: value} for key in config for value in wrong]
    removed = [{key: value for key, value in config.items() if key != gone} for gone in config]
    return [change for change in (*changes, *removed) if change != config]


@every_codec
def test_hostile_configuration_is_refused_or_harmless(name: str) -> None:
    """Nothing but `EncodingError` comes of a bad configuration; what passes still works."""
    config = stage_of(name).config()
    for change in damaged(config):
        try:
            codec = get_codec_class(codec_id(name)).from_dict(
                {"name": codec_id(name), "configuration": change}
            )
        except EncodingError:
            continue
        assert codec.to_dict()["configuration"] == change  # another law that makes sense


@every_codec
def test_it_filters_zarr_v2_arrays(name: str, tmp_path: Path) -> None:
    """A Zarr v2 array with the codec as a filter reads as the kernel decodes, edges included."""
    values = raster((10, 13))
    array = zarr.create_array(
        tmp_path / "v2.zarr",
        shape=values.shape,
        chunks=(DIMENSION, *CHUNK),
        dtype=np.float32,
        filters=[filter_of(name)],
        zarr_format=2,
        fill_value=0,
    )
    array[:] = values
    read = zarr.open_array(tmp_path / "v2.zarr", mode="r")
    np.testing.assert_array_equal(read[:], expected(name, values))
    np.testing.assert_array_equal(read[2, 3:9, 5], expected(name, values)[2, 3:9, 5])


@one_of_each_form
def test_zarr_v2_arrays_of_other_chunks_are_refused(name: str, tmp_path: Path) -> None:
    """Chunks that are not the filter's raise when they are written, never wrong numbers."""
    array = zarr.create_array(
        tmp_path / "v2.zarr",
        shape=(DIMENSION, 8, 8),
        chunks=(DIMENSION, 8, 8),
        dtype=np.float32,
        filters=[filter_of(name)],
        zarr_format=2,
        fill_value=0,
    )
    with pytest.raises(EncodingError, match="chunk_shape"):
        array[:] = raster((8, 8))


@every_codec
@pytest.mark.parametrize("shards", [None, (DIMENSION, 8, 12)], ids=["plain", "sharded"])
def test_it_stands_in_zarr_v3_chains(
    name: str, shards: tuple[int, ...] | None, tmp_path: Path
) -> None:
    """A Zarr v3 array with the codec reads as the kernel decodes, inside sharding as well."""
    values = raster((10, 13))
    array = zarr.create_array(
        tmp_path / "v3.zarr",
        shape=values.shape,
        chunks=(DIMENSION, *CHUNK),
        shards=shards,
        dtype=np.float32,
        filters=[codec_of(name)],
        fill_value=0.0,
    )
    array[:] = values
    read = zarr.open_array(tmp_path / "v3.zarr", mode="r")
    np.testing.assert_array_equal(read[:], expected(name, values))
    np.testing.assert_array_equal(read[1, ::3, 2:11], expected(name, values)[1, ::3, 2:11])
    read_back = asyncio.run(read.async_array.getitem(np.s_[:, 9:, 12:]))
    np.testing.assert_array_equal(read_back, expected(name, values)[:, 9:, 12:])


@one_of_each_form
@pytest.mark.parametrize(
    "options",
    [
        {"chunks": (DIMENSION - 1, 4, 6)},
        {"chunks": (3, 4, 6)},
        {"dtype": np.float64},
        {"dtype": np.int8, "fill_value": 0},
    ],
    ids=["cut by one", "cut in three", "float64", "int8"],
)
def test_zarr_v3_arrays_it_cannot_hold_are_refused(
    name: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """A cut component axis and other types are refused before a byte is written."""
    given_options: dict[str, Any] = {
        "chunks": (DIMENSION, 4, 6),
        "dtype": np.float32,
        "fill_value": 0.0,
    } | options
    with pytest.raises(EncodingError, match="whole in every chunk"):
        zarr.create_array(
            tmp_path / "v3.zarr",
            shape=(DIMENSION, 8, 12),
            filters=[codec_of(name)],
            **given_options,
        )


@every_codec
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_pixel_that_is_not_finite_is_never_a_number(name: str, bad: float) -> None:
    """Such a pixel is not finite again, in every component, or the chunk is refused."""
    values = raster(CHUNK)
    values[2, 1, 3] = bad
    codec = filter_of(name)
    if not has_nodata(name):
        with pytest.raises(EncodingError, match="no room for nodata"):
            codec.encode(values)
        return
    decoded = codec.decode(codec.encode(values))
    invalid = ~np.isfinite(decoded)
    assert invalid[:, 1, 3].all()
    assert invalid.sum() == DIMENSION


@pytest.mark.parametrize(
    "recipe",
    [
        *(f"pca{COMPONENTS}-int8", "svd3-float16", "select4-aef", "rot-ternary", "l2-float32"),
        *("l2-pca4w0.5-rot-int8-lloyd", f"l2-random{COMPONENTS}-ternary-tertiles"),
    ],
)
def test_codecs_in_a_chain_are_the_encoding(recipe: str, tmp_path: Path) -> None:
    """All of them together, as the codec layout has them, give what the Encoding gives."""
    encoding = Encoding.fit(vectors(300), recipe)
    values = raster((10, 13))
    values[:, 0, 0] = np.nan
    values[2, 9, 12] = np.inf
    array = zarr.create_array(
        tmp_path / "v3.zarr",
        shape=values.shape,
        chunks=(DIMENSION, *CHUNK),
        shards=(DIMENSION, 8, 12),
        dtype=np.float32,
        filters=codec_chain(encoding),
        fill_value=np.nan,
    )
    array[:] = values
    pixels = np.moveaxis(values, 0, -1)
    decoded = np.moveaxis(encoding.decode(encoding.encode(pixels)), -1, 0)
    np.testing.assert_array_equal(zarr.open_array(tmp_path / "v3.zarr", mode="r")[:], decoded)


@every_codec
def test_what_is_not_written_is_not_a_number(name: str, tmp_path: Path) -> None:
    """Chunks that do not exist read as the fill value, beside chunks that do, in one shard."""
    array = zarr.create_array(
        tmp_path / "v3.zarr",
        shape=(DIMENSION, 8, 12),
        chunks=(DIMENSION, *CHUNK),
        shards=(DIMENSION, 8, 12),
        dtype=np.float32,
        filters=[codec_of(name)],
        fill_value=np.nan,
    )
    values = raster(CHUNK)
    array[:, :4, :6] = values
    read = np.asarray(zarr.open_array(tmp_path / "v3.zarr", mode="r")[:])
    np.testing.assert_array_equal(read[:, :4, :6], expected(name, values))
    read[:, :4, :6] = np.nan
    assert np.isnan(read).all()


@every_codec
def test_changed_bits_give_other_numbers_or_an_error(name: str) -> None:
    """Any bytes of the right number decode to something: codes have no invalid state."""
    stage, rng = stage_of(name), np.random.default_rng(0)
    shape = (stage.encoded_length, 50, 41)
    noise = rng.integers(0, 256, (*shape, stage.encoded_dtype.itemsize), dtype=np.uint8)
    decoded = stage.decode(noise.view(stage.encoded_dtype).reshape(shape))
    assert decoded.shape == (DIMENSION, 50, 41)
    assert decoded.dtype == np.float32
