"""Sums and means over the dates, or the grids, of a store."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from geoembz._convert.shards import Written


def written_at(entry: Mapping[str, Any]) -> Written:
    """Return what a date's entry in the attributes says; the inverse of `Written.at`."""
    return Written(tuple(entry["sources"]), entry["pixels"], entry["fidelity"])


def total_pixels(parts: Sequence[Mapping[str, Any]]) -> dict[str, int]:
    """Add up pixels by name; none was rejected where nothing is said."""
    names = dict.fromkeys(name for part in parts for name in part)
    return {name: sum(int(part.get(name, 0)) for part in parts) for name in names}


def total_fidelity(parts: Sequence[Written]) -> dict[str, Any]:
    """Return the means over the held-out pixels of all parts."""
    measured = [part.fidelity for part in parts if part.fidelity.get("n")]
    total = sum(int(entry["n"]) for entry in measured)
    if not total:
        return {"cosine": None, "cosine_centred": None, "rmse": None, "n": 0}

    def mean(name: str, power: int = 1) -> float:
        return float(sum(entry[name] ** power * entry["n"] for entry in measured) / total)

    return {
        "cosine": mean("cosine"),
        "cosine_centred": mean("cosine_centred"),
        "rmse": math.sqrt(mean("rmse", 2)),
        "n": total,
    }
