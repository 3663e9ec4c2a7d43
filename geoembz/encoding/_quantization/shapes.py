"""Shapes that the arrays of a stored quantizer must have, from its JSON alone."""

from collections.abc import Mapping
from typing import Any

from geoembz.encoding._quantization.codebook import n_codewords
from geoembz.encoding._quantization.state import stored_length
from geoembz.errors import EncodingError

type Shape = tuple[int, ...]


def stored_shapes(kind: str, config: Mapping[str, Any]) -> dict[str, Shape]:
    """Return the shape of every array of a quantizer, by stored name.

    Raises
    ------
    EncodingError
        If sizes in `config` are missing or do not fit together.

    Examples
    --------
    >>> stored_shapes("int4", {"law": "linear", "n_components": 64})
    {'scale': (64,), 'offset': (64,)}
    """
    count = stored_length(kind, config)
    if config.get("law") == "linear":
        return {"scale": (count,), "offset": (count,)}
    if kind == "binary":
        return {"threshold": (count,), "codebook": (count, 2)}
    if kind == "ternary":
        return {"threshold": (count, 2), "codebook": (count, 3)}
    if kind in {"int8", "int4", "int2"}:
        return {"codebook": (count, n_codewords(int(kind.removeprefix("int"))))}
    if kind == "pq":
        groups = stored_length(kind, config, "n_subquantizers")
        if count % groups:
            raise EncodingError(f"pq: n_subquantizers is {groups}; expected a divisor of {count}")
        return {"codebook": (groups, 256, count // groups)}
    return {}
