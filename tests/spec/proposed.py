"""The proposed attribute ``geoemb:decoding``: of our stores, and a reader that knows nothing else.

References in brackets are sections of ``spec/proposals/decoding``.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.spec.independent import read_array

type Array = NDArray[Any]

NODATA = {"int8": -128, "float16": "NaN", "float32": "NaN"}
"""Of kinds of codes that can say that a pixel has none; the others have an array ``valid``."""


def describe(document: dict[str, Any]) -> dict[str, Any] | None:
    """Return the document of one of our groups with the attribute; None if it has no words for it.

    Only what the document says is used: ``attributes`` and the consolidated metadata.
    """
    attributes = document["attributes"]
    config = attributes["geoembz:encoding"]
    kind, law = config["quantizer"]["kind"], config["quantizer"]["law"]
    if attributes["geoembz:layout"] != "plain" or law not in {"linear", "codebook", "identity"}:
        return None
    if kind == "ternary":
        return None
    decoding = {"codes": _codes(config, _array(document)["dimension_names"][-3])}
    if law == "linear":
        arrays = {"scale": "encoding/scale", "offset": "encoding/offset"}
        decoding["scale"] = {"type": "component", **arrays}
    if law == "codebook":
        first = -127 if kind == "int8" else 0
        decoding["scale"] = {"type": "lookup", "table": "encoding/codebook", "first": first}
    if config["projection"]["law"] != "identity":
        decoding["projection"] = {"matrix": "encoding/projection", "mean": "encoding/mean"}
        if not config["projection"].get("rotated", False):
            decoding["prefixes"] = {"depths": _depths(document, decoding["codes"])}
    if "multiscales" in attributes:
        unit = attributes["multiscales"]["geoembz:unit_length"]
        decoding["levels"] = {"resampling": "average", "of": "unit vectors" if unit else "vectors"}
    return {**document, "attributes": {**attributes, "geoemb:decoding": decoding}}


def _array(document: dict[str, Any]) -> dict[str, Any]:
    return dict(document["consolidated_metadata"]["metadata"]["embedding"])


def _codes(config: dict[str, Any], axis: str) -> dict[str, Any]:
    kind, bits = config["quantizer"]["kind"], config["quantizer"]["bits"]
    count = config["projection"]["n_components"]
    codes: dict[str, Any] = {"array": "embedding", "axis": axis, "count": count}
    if bits < 8:
        codes["bits"] = bits
    return codes | ({"nodata": NODATA[kind]} if kind in NODATA else {"valid": "valid"})


def _depths(document: dict[str, Any], codes: dict[str, Any]) -> list[int]:
    """Return the numbers of components that whole chunks hold [prefixes]."""
    array = _array(document)
    axis = array["dimension_names"].index(codes["axis"])
    chunk = array["chunk_grid"]["configuration"]["chunk_shape"][axis]
    if array["codecs"][0]["name"] == "sharding_indexed":
        chunk = array["codecs"][0]["configuration"]["chunk_shape"][axis]
    step = chunk * 8 // codes.get("bits", 8)
    return [*range(step, codes["count"], step), codes["count"]]


def decode(group: Path, components: int | None = None, level: str = "") -> Array:
    """Return the vectors of a group, from the attribute alone [What a reader does].

    `components` are the first ones to read, `level` is the asset in ``multiscales``.
    """
    attributes = json.loads((group / "described.json").read_text())["attributes"]
    decoding = attributes["geoemb:decoding"]
    codes = decoding["codes"]
    stored = read_array(group / level / codes["array"])
    names = json.loads((group / level / codes["array"] / "zarr.json").read_text())
    axis = names["dimension_names"].index(codes["axis"])
    values = np.moveaxis(stored, axis, -1)
    count = components or codes["count"]
    assert count == codes["count"] or count in decoding["prefixes"]["depths"]
    values = _unpacked(values, codes["bits"], count) if "bits" in codes else values[..., :count]
    if "valid" in codes:
        valid = read_array(group / level / codes["valid"]).astype(bool)
    elif codes["nodata"] == "NaN":
        valid = ~np.isnan(values[..., 0])
    else:
        valid = values[..., 0] != codes["nodata"]
    vectors = _vectors(group, decoding, values, count)
    return np.moveaxis(np.where(valid[..., None], vectors, np.nan), -1, axis)


def _unpacked(values: Array, bits: int, count: int) -> Array:
    index = np.arange(count)
    return np.asarray(values[..., index * bits // 8] >> index * bits % 8 & (2**bits - 1))


def _vectors(group: Path, decoding: dict[str, Any], codes: Array, count: int) -> Array:
    z = codes.astype("f4")
    scale = decoding.get("scale")
    if scale and scale["type"] == "component":
        z = z * read_array(group / scale["scale"])[:count]
        z = z + (read_array(group / scale["offset"])[:count] if "offset" in scale else 0)
    if scale and scale["type"] == "lookup":
        table, row = read_array(group / scale["table"]), codes.astype(int) - scale.get("first", 0)
        z = table[np.arange(count), np.maximum(row, 0)]  # a pixel without a vector may lie outside
    projection = decoding.get("projection")
    if projection:
        z = z @ read_array(group / projection["matrix"])[:count]
        z = z + (read_array(group / projection["mean"]) if "mean" in projection else 0)
    return np.asarray(z)
