"""A reader written from the specification alone: NumPy, JSON and a Zstandard decoder.

It imports nothing of geoembz and nothing of zarr-python, so that it fails where the text of
``spec/`` does not say enough. References in brackets are sections of ``spec/format.md``.
"""

import base64
import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import rfc8785
from numcodecs import Zstd
from numpy.typing import NDArray

type Array = NDArray[Any]


def decode_store(store: Path, space: str) -> Array:
    """Decode a whole store [Views]: `space` is ``codes``, ``reduced`` or ``original``."""
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    document = json.loads((store / "embedding/zarr.json").read_text())
    arrays = {
        path.name: read_array(path) for path in (store / "encoding").iterdir() if path.is_dir()
    }
    config = attributes["geoembz:encoding"]
    if attributes["geoembz:layout"] == "codec":
        document = plain(document, config)
    codes = read_array(store / "embedding", document)
    if space == "codes":
        return codes
    values, valid = dequantize(codes, config, arrays)
    if (store / "valid").exists():
        valid = read_array(store / "valid")
    if config["projection"]["law"] == "orthonormal":
        matrix, mean = arrays["projection"], arrays["mean"]
        if space == "reduced":
            values = values + (matrix @ mean)[:, None, None]
        else:
            values = np.einsum("kd,kyx->dyx", matrix, values) + mean[:, None, None]
    return np.where(valid, values, np.float32(np.nan))


def dequantize(
    codes: Array, config: dict[str, Any], arrays: dict[str, Array]
) -> tuple[Array, Array]:
    """Return values ``(component, y, x)`` and which pixels the codes call valid."""
    quantizer, count = config["quantizer"], config["projection"]["n_components"]
    valid = np.ones(codes.shape[1:], dtype=bool)
    if quantizer["bits"] < 8:
        codes = unpack(codes, quantizer["bits"], count)
    elif quantizer["kind"] == "int8":
        valid = codes[0] != -128
    if quantizer["law"] == "linear":
        scale, offset = arrays["scale"], arrays["offset"]
        return codes.astype("f4") * scale[:, None, None] + offset[:, None, None], valid
    if quantizer["law"] == "codebook":
        component = np.arange(count)[:, None, None]
        return arrays["codebook"][component, codes], valid
    return codes, ~np.isnan(codes[0])


def unpack(packed: Array, bits: int, count: int) -> Array:
    """Take codes out of bytes, lowest bits first (spec/codecs/pack)."""
    index = np.arange(count)
    shift = (index * bits % 8).reshape(-1, *[1] * (packed.ndim - 1))
    codes: Array = packed[index * bits // 8] >> shift & (2**bits - 1)
    return codes


def plain(document: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of the plain layout [Layouts]; int8 behind any number of our codecs."""
    count = config["projection"]["n_components"]
    outer = [count, *document["chunk_grid"]["configuration"]["chunk_shape"][1:]]
    sharding = document["codecs"][0]
    inner = dict(sharding["configuration"])
    inner["chunk_shape"] = [count, *inner["chunk_shape"][1:]]
    inner["codecs"] = [c for c in inner["codecs"] if not c["name"].startswith("geoembz.")]
    return {
        **document,
        "shape": [count, *document["shape"][1:]],
        "data_type": "int8",
        "fill_value": -128,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": outer}},
        "codecs": [{**sharding, "configuration": inner}],
    }


def read_array(folder: Path, document: dict[str, Any] | None = None) -> Array:
    """Read a Zarr v3 array whose chunks are bytes, zstd, sharded or not [Chunks and shards]."""
    document = document or json.loads((folder / "zarr.json").read_text())
    shape, dtype = document["shape"], np.dtype(document["data_type"]).newbyteorder("<")
    fill = float("nan") if document["fill_value"] == "NaN" else document["fill_value"]
    out = np.full(shape, fill, dtype=dtype)
    chunk = document["chunk_grid"]["configuration"]["chunk_shape"]
    for index in np.ndindex(*[-(-n // c) for n, c in zip(shape, chunk, strict=True)]):
        path = folder.joinpath("c", *map(str, index))
        if path.exists():
            data = read_chunk(path.read_bytes(), document["codecs"], chunk, dtype, fill)
            corner = [i * c for i, c in zip(index, chunk, strict=True)]
            window = tuple(
                slice(a, min(a + c, n)) for a, c, n in zip(corner, chunk, shape, strict=True)
            )
            out[window] = data[tuple(slice(0, s.stop - s.start) for s in window)]
    return out


def read_chunk(
    content: bytes, codecs: list[dict[str, Any]], shape: list[int], dtype: np.dtype[Any], fill: Any
) -> Array:
    """Decode one object: zstd of C-order bytes, or a shard of such chunks with its index behind."""
    if codecs[0]["name"] != "sharding_indexed":
        return np.frombuffer(Zstd().decode(content), dtype).reshape(shape)
    inner = codecs[0]["configuration"]["chunk_shape"]
    counts = [s // i for s, i in zip(shape, inner, strict=True)]
    size = 16 * int(np.prod(counts))
    entries = np.frombuffer(content[-size - 4 : -4], "<u8").reshape(*counts, 2)
    out = np.full(shape, fill, dtype=dtype)
    for index in np.ndindex(*counts):
        start, length = (int(number) for number in entries[index])
        if start != 2**64 - 1:
            window = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, inner, strict=True))
            data = Zstd().decode(content[start : start + length])
            out[window] = np.frombuffer(data, dtype).reshape(inner)
    return out


def content_hash(config: dict[str, Any], arrays: dict[str, Array]) -> str:
    """Hash an encoding (spec/encoding.md, "Hash")."""
    content = rfc8785.dumps({key: value for key, value in config.items() if key != "recipe"})
    for name, array in sorted(arrays.items()):
        header = {"name": name, "dtype": array.dtype.name, "shape": list(array.shape)}
        content += rfc8785.dumps(header) + array.astype(array.dtype.newbyteorder("<")).tobytes("C")
    return "sha256:" + hashlib.sha256(content).hexdigest()


def from_base64(text: str, shape: tuple[int, ...]) -> Array:
    """Read an array of a codec's configuration: little-endian float32, C order."""
    return np.frombuffer(base64.b64decode(text), "<f4").reshape(shape)
