"""How chunks are compressed: to be read often, or as an archive (spec/format.md, "Archives").

An archive differs in the codecs of its large arrays, which its metadata name, and in nothing else.
Neighbouring codes are alike: the difference to the left neighbour has less entropy, and zstd at a
high level finds the rest. Only codecs that zarr-python and zarrita both have are used.
"""

from collections.abc import Mapping, Sequence
from typing import Any

DELTA = "numcodecs.delta"
"""Difference to the number before, modulo 256, along the last axis and on from row to row."""

READING_LEVEL, ARCHIVE_LEVEL = 1, 19
"""Of zstd. Level 19 saves up to a quarter and decodes half as fast; 22 saves no more of chunks of
1 MB (docs/performance.md)."""

_COMPONENTS = ("component", "component_byte")
_TERNARY_FILL = 255
"""Four ternary codes in a byte have no order that a difference could use."""


def compression(*, archive: bool) -> dict[str, Any]:
    """Return the metadata of zstd."""
    level = ARCHIVE_LEVEL if archive else READING_LEVEL
    return {"name": "zstd", "configuration": {"level": level, "checksum": True}}


def differences(data_type: str, dimensions: Sequence[str], fill: object) -> list[dict[str, Any]]:
    """Return the metadata of the filters that an archive has on an array: one, or none.

    Parameters
    ----------
    data_type
        Zarr's name of it.
    dimensions
        Names of the array's.
    fill
        The fill value.

    Examples
    --------
    >>> [codec["name"] for codec in differences("int8", ("component", "y", "x"), -128)]
    ['numcodecs.delta']
    >>> differences("uint8", ("subquantizer", "y", "x"), 0)
    []
    """
    types = {"int8": "|i1", "uint8": "|u1"}
    *_, first, last, fast = ("", "", "", *dimensions)
    is_raster = first in _COMPONENTS and (last, fast) == ("y", "x")
    if data_type not in types or not is_raster or fill == _TERNARY_FILL:
        return []
    return [{"name": DELTA, "configuration": {"dtype": types[data_type]}}]


def repacked(document: Mapping[str, Any], *, archive: bool) -> dict[str, Any]:
    """Return an array's metadata with the codecs of an archive, or of a store to be read.

    Parameters
    ----------
    document
        Its ``zarr.json``.
    archive
        Which of the two.
    """
    names, fill = document.get("dimension_names") or (), document["fill_value"]
    filters = differences(document["data_type"], names, fill) if archive else []

    def pack(codecs: Sequence[Mapping[str, Any]]) -> list[Any]:
        if codecs[0]["name"] == "sharding_indexed":
            inner = codecs[0]["configuration"]
            changed = {**inner, "codecs": pack(inner["codecs"])}
            return [{**codecs[0], "configuration": changed}, *codecs[1:]]
        kept = [codec for codec in codecs if codec["name"] not in {DELTA, "zstd"}]
        return [*kept[:-1], *filters, kept[-1], compression(archive=archive)]

    return {**document, "codecs": pack(document["codecs"])}


def is_archive(document: Mapping[str, Any]) -> bool:
    """Whether an array's metadata name the codecs of an archive."""
    codecs: Sequence[Mapping[str, Any]] = document["codecs"]
    if codecs[0]["name"] == "sharding_indexed":
        codecs = codecs[0]["configuration"]["codecs"]
    levels = [codec["configuration"]["level"] for codec in codecs if codec["name"] == "zstd"]
    return bool(levels) and int(levels[0]) >= ARCHIVE_LEVEL
