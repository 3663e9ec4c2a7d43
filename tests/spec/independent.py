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


def decode_store(store: Path, space: str, level: str = "") -> Array:
    """Decode a store [Views]: ``codes``, ``reduced``, ``original`` or ``whitened`` (w = 1).

    Of a level, `level` is the asset in ``multiscales`` [Overviews].
    """
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    folder = store / level
    document = json.loads((folder / "embedding/zarr.json").read_text())
    arrays = {
        path.name: read_array(path) for path in (store / "encoding").iterdir() if path.is_dir()
    }
    config = attributes["geoembz:encoding"]
    if attributes["geoembz:layout"] == "codec":
        document = plain(document, config)
    codes = read_array(folder / "embedding", document)
    mask = read_array(folder / "valid") if (folder / "valid").exists() else None
    if space == "codes":
        return codes
    if attributes["geoemb:type"] == "chip":  # spec/table.md: one row per sample
        wide = None if mask is None else mask[:, None]
        return np.asarray(decode(codes.T[:, :, None], wide, space, config, arrays)[:, :, 0].T)
    if "geoembz:times" in attributes:  # [Time]
        masks = [None] * len(codes) if mask is None else mask
        dates = [decode(*date, space, config, arrays) for date in zip(codes, masks, strict=True)]
        return np.stack(dates)
    return decode(codes, mask, space, config, arrays)


def level_codes(store: Path, factor: int) -> Array:
    """Return the int8 codes that a level must have, from the full resolution [Overviews]."""
    attributes = json.loads((store / "zarr.json").read_text())["attributes"]
    config, names = attributes["geoembz:encoding"], ("scale", "offset")
    arrays = {name: read_array(store / "encoding" / name) for name in names}
    scale, offset = (arrays[name][:, None, None] for name in names)
    components, valid = dequantize(decode_store(store, "codes"), config, arrays)
    height, width = (-(-side // factor) for side in valid.shape)
    whole = np.zeros((len(components), height * factor, width * factor), "f4")
    count = np.zeros(whole.shape[1:], "f4")
    whole[:, : valid.shape[0], : valid.shape[1]] = np.where(valid, components, 0)
    count[: valid.shape[0], : valid.shape[1]] = valid
    sums = whole.reshape(-1, height, factor, width, factor).sum(axis=(2, 4))
    counts = count.reshape(height, factor, width, factor).sum(axis=(1, 3))
    codes = np.rint((sums / np.maximum(counts, 1) - offset) * (1 / scale))
    return np.where(counts > 0, np.clip(codes, -127, 127), -128).astype("i1")


def decode(
    codes: Array, mask: Array | None, space: str, config: dict[str, Any], arrays: dict[str, Array]
) -> Array:
    """Decode codes ``(code, y, x)`` to a view; invalid pixels are NaN."""
    components, valid = dequantize(codes, config, arrays)
    values = view(components, space, config["projection"], arrays).astype("f4")
    return np.where(valid if mask is None else mask, values, np.float32(np.nan))


def view(
    components: Array, space: str, projection: dict[str, Any], arrays: dict[str, Array]
) -> Array:
    """Turn components ``(component, y, x)`` into a view [Views, Reduced space]."""
    weight = np.ones(len(components))
    if space == "whitened":
        deviation = np.sqrt(arrays["variance"].astype("f8"))
        weight = deviation.max() / np.maximum(deviation, 1e-6 * deviation.max())
    if projection["law"] == "identity":
        return np.asarray(weight[:, None, None] * components)
    matrix, mean = arrays["projection"], arrays["mean"]
    if space == "original":
        return np.asarray(np.einsum("kd,kyx->dyx", matrix, components) + mean[:, None, None])
    encoder = arrays["inverse"] if projection["law"] == "biorthogonal" else matrix
    moved = components + (encoder @ mean)[:, None, None]
    if projection["law"] == "orthonormal" and space == "reduced":
        return np.asarray(moved)
    rotation = arrays.get("rotation", np.eye(len(matrix), dtype="f4"))
    weight = weight * np.sqrt(np.square(rotation.T @ matrix).sum(axis=1))
    return np.asarray(weight[:, None, None] * np.einsum("kj,kyx->jyx", rotation, moved))


def dequantize(
    codes: Array, config: dict[str, Any], arrays: dict[str, Array]
) -> tuple[Array, Array]:
    """Return values ``(component, y, x)`` and which pixels the codes call valid [Nodata]."""
    quantizer, count = config["quantizer"], config["projection"]["n_components"]
    kind, law = quantizer["kind"], quantizer["law"]
    if quantizer["bits"] < 8:
        codes = unpack(codes, quantizer["bits"], count)
    valid = np.ones(codes.shape[1:], dtype=bool)
    if kind in {"int8", "power"}:
        valid = codes[0] != -128
    if kind == "ternary":
        valid, codes = codes[0] != 3, np.minimum(codes, 2)
    if law == "linear":
        scale, offset = arrays["scale"], arrays["offset"]
        return codes.astype("f4") * scale[:, None, None] + offset[:, None, None], valid
    if law == "codebook":
        component = np.arange(count)[:, None, None]
        index = codes.astype("i2") + (127 if kind == "int8" else 0)
        return arrays["codebook"][component, index], valid
    if law == "product":
        book = arrays["codebook"]
        parts = [book[group][codes[group]] for group in range(len(book))]
        return np.moveaxis(np.concatenate(parts, axis=-1), -1, 0), valid
    if law == "residual":
        total = np.zeros((*codes.shape[1:], count), "f4")
        for stage, chosen in zip(arrays["codebook"], codes, strict=True):
            total += stage[chosen]
        return np.moveaxis(total, -1, 0), valid
    if law == "power":
        size = np.abs(codes.astype("f8")) / quantizer["factor"]
        return (np.sign(codes) * size ** quantizer["exponent"]).astype("f4"), valid
    return codes.astype("f4"), ~np.isnan(codes[0])


def unpack(packed: Array, bits: int, count: int) -> Array:
    """Take codes out of bytes, lowest bits first (spec/codecs/pack)."""
    index = np.arange(count)
    shift = (index * bits % 8).reshape(-1, *[1] * (packed.ndim - 1))
    codes: Array = packed[index * bits // 8] >> shift & (2**bits - 1)
    return codes


def plain(document: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """Return the metadata of the plain layout [Layouts]."""
    quantizer, count = config["quantizer"], config["projection"]["n_components"]
    kind, bits = quantizer["kind"], quantizer["bits"]
    dtype, fill = "uint8", 255 if kind == "ternary" else 0
    if kind in {"int8", "power"}:
        dtype, fill = "int8", -128
    length = -(-count * min(bits, 8) // 8)
    length = quantizer.get("n_subquantizers", quantizer.get("n_stages", length))
    outer = [length, *document["chunk_grid"]["configuration"]["chunk_shape"][1:]]
    codecs = [plain_codec(codec, length) for codec in document["codecs"] if is_standard(codec)]
    return {
        **document,
        "shape": [length, *document["shape"][1:]],
        "data_type": dtype,
        "fill_value": fill,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": outer}},
        "codecs": codecs,
    }


def plain_codec(codec: dict[str, Any], length: int) -> dict[str, Any]:
    """Return a codec without ours inside it, its chunks as long as the codes."""
    if codec["name"] != "sharding_indexed":
        return codec
    inner = dict(codec["configuration"])
    inner["chunk_shape"] = [length, *inner["chunk_shape"][1:]]
    inner["codecs"] = [codec for codec in inner["codecs"] if is_standard(codec)]
    return {**codec, "configuration": inner}


def is_standard(codec: dict[str, Any]) -> bool:
    """Whether a codec is not one of geoembz'."""
    return not codec["name"].startswith("geoembz.")


def read_array(folder: Path, document: dict[str, Any] | None = None) -> Array:
    """Read a Zarr v3 array of zstd chunks, of differences or not, sharded or not [Archives]."""
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
        numbers = np.frombuffer(Zstd().decode(content), dtype)
        if codecs[0]["name"] == "numcodecs.delta":  # [Archives]
            numbers = np.add.accumulate(numbers, dtype=dtype)
        return numbers.reshape(shape)
    members = codecs[0]["configuration"]["codecs"]
    inner = codecs[0]["configuration"]["chunk_shape"]
    counts = [s // i for s, i in zip(shape, inner, strict=True)]
    size = 16 * int(np.prod(counts))
    entries = np.frombuffer(content[-size - 4 : -4], "<u8").reshape(*counts, 2)
    out = np.full(shape, fill, dtype=dtype)
    for index in np.ndindex(*counts):
        start, length = (int(number) for number in entries[index])
        if start != 2**64 - 1:
            window = tuple(slice(i * n, (i + 1) * n) for i, n in zip(index, inner, strict=True))
            out[window] = read_chunk(content[start : start + length], members, inner, dtype, fill)
    return out


def wrong_objects(store: Path) -> set[str]:
    """Return the keys of objects that are not what the store says [Digests]."""
    content = (store / "zarr.json").read_bytes()
    attributes = json.loads(content)["attributes"]
    seal = attributes["geoembz:digests"]
    own = seal["document"].encode()
    wrong = set()
    if hashlib.sha256(content.replace(own, b"0" * 64)).hexdigest() != seal["document"]:
        wrong.add("zarr.json")
    files = {p.relative_to(store).as_posix(): p for p in store.rglob("*") if p.is_file()}
    found = {key: hashlib.sha256(path.read_bytes()).hexdigest() for key, path in files.items()}
    known = {"zarr.json", *seal["objects"]}
    wrong |= {key for key, digest in seal["objects"].items() if found.get(key) != digest}
    for name in attributes.get("geoembz:grids", []):
        inside = wrong_objects(store / name)
        wrong |= {f"{name}/{key}" for key in inside}
        known |= {key for key in found if key.startswith(f"{name}/")}
    for path in (store / "digests").rglob("zarr.json"):
        if json.loads(path.read_text())["node_type"] == "array":
            array = path.parent.relative_to(store / "digests").as_posix()
            digests = read_array(path.parent)
            for place in np.ndindex(digests.shape[:-1]):
                key = "/".join([array, "c", *map(str, place)])
                stored = digests[place].tobytes().hex() if digests[place].any() else ""
                wrong |= {key} if stored != found.get(key, "")[:32] else set()
                known.add(key)
    return wrong | (files.keys() - known)


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
