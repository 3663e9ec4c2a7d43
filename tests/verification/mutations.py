"""Random changes to the objects of a store, and everything that can be read of it."""

import hashlib
import json
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import zarr

from geoembz.errors import GeoembzError
from geoembz.store import StoreReader, TableReader
from geoembz.store.conventions import GRIDS
from geoembz.store.digests import SEAL
from tests.trees import objects

type Rng = np.random.Generator
type Mutation = Callable[[Rng, Path, Path], str]

FAULTS = (GeoembzError, OSError, ValueError, KeyError, TypeError, RuntimeError, AttributeError)
"""What a library may say of a damaged store."""

_IGNORED = {SEAL, "geoembz:software", "geoemb:build_version"}
_NUMBER = re.compile(rb"\d")


def readings(store: Path) -> dict[str, str]:
    """Return everything that can be read of a store, by name: its digest, or that it fails."""
    names = _try(lambda: _grids(store))
    if not isinstance(names, list):
        return {"": str(names)}
    found = {"grids": ",".join(names)}
    for name in names or [""]:
        place = store / name if name else store
        found |= {f"{name}/{key}": value for key, value in _read(place).items()}
    return found


def _grids(store: Path) -> list[str]:
    group = zarr.open_group(str(store), mode="r")
    attributes: dict[str, Any] = dict(group.attrs.asdict())
    return [str(name) for name in attributes.get(GRIDS, [])]


def _read(store: Path) -> dict[str, str]:
    """Read one grid, or a table: by plain Zarr, and by geoembz."""
    group = _try(lambda: zarr.open_group(str(store), mode="r"))
    if not isinstance(group, zarr.Group):
        return {"group": str(group)}
    found = {"attributes": _digest(_attributes(group))}
    for path, member in sorted(group.members(max_depth=None)):
        found[f"{path} attributes"] = _digest(_attributes(member))
        if isinstance(member, zarr.Array) and not path.startswith("digests"):
            found[path] = _digest(_try(partial(member.__getitem__, ...)))
    found["views"] = _digest(_try(lambda: _views(store, group)))
    return found


def _views(store: Path, group: zarr.Group) -> Any:
    if group.attrs.get("geoemb:type") == "chip":
        table = TableReader.open(str(store))
        rows = np.arange(table.n_rows)
        others = [batch.to_pydict() for batch in table.others()]
        return [table.read(rows, "original").tobytes(), repr(others)]
    reader = StoreReader.open(str(store))
    window = reader.attributes.grid.window
    dates = range(len(reader.dates) or 1)
    return [reader.read(window, "reduced", date=date).tobytes() for date in dates]


def _attributes(node: Any) -> Any:
    return {key: value for key, value in node.attrs.asdict().items() if key not in _IGNORED}


def _try(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except FAULTS as error:
        return f"fails: {type(error).__name__}"


def _digest(value: Any) -> str:
    if isinstance(value, np.ndarray):
        value = [value.dtype.str, value.shape, value.tobytes()]
    return hashlib.sha256(repr(value).encode()).hexdigest()


def _pick(rng: Rng, names: list[str]) -> str:
    return names[int(rng.integers(len(names)))]


def _keys(store: Path, wanted: Callable[[str], bool] = lambda _: True) -> list[str]:
    return sorted(key for key in objects(store) if wanted(key))


def _is_chunk(key: str) -> bool:
    return "/c/" in key


def _is_document(key: str) -> bool:
    return key.endswith("zarr.json")


def flip(rng: Rng, store: Path, twin: Path) -> str:
    """Change one bit."""
    key = _pick(rng, _keys(store))
    content = bytearray((store / key).read_bytes())
    content[int(rng.integers(len(content)))] ^= 1 << int(rng.integers(8))
    (store / key).write_bytes(content)
    return key


def truncate(rng: Rng, store: Path, twin: Path) -> str:
    """Cut an object."""
    key = _pick(rng, _keys(store))
    content = (store / key).read_bytes()
    (store / key).write_bytes(content[: int(rng.integers(len(content)))])
    return key


def blank(rng: Rng, store: Path, twin: Path) -> str:
    """Fill an object with zeros, as a crash of the disk may."""
    key = _pick(rng, _keys(store))
    (store / key).write_bytes(bytes(len((store / key).read_bytes())))
    return key


def delete(rng: Rng, store: Path, twin: Path) -> str:
    """Lose an object."""
    key = _pick(rng, _keys(store))
    (store / key).unlink()
    return key


def swap(rng: Rng, store: Path, twin: Path) -> str:
    """Exchange two objects of one array: shards, dates, parts."""
    arrays: dict[str, list[str]] = {}
    for key in _keys(store, _is_chunk):
        arrays.setdefault(key.partition("/c/")[0], []).append(key)
    several = sorted(name for name, keys in arrays.items() if len(keys) > 1)
    one, two = rng.choice(arrays[_pick(rng, several)], 2, replace=False)
    first, second = (store / one).read_bytes(), (store / two).read_bytes()
    (store / one).write_bytes(second)
    (store / two).write_bytes(first)
    return f"{one} <-> {two}"


def foreign(rng: Rng, store: Path, twin: Path) -> str:
    """Put another store's object in the place of one."""
    key = _pick(rng, [key for key in _keys(twin, _is_chunk) if (store / key).exists()])
    (store / key).write_bytes((twin / key).read_bytes())
    return key


def stale(rng: Rng, store: Path, twin: Path) -> str:
    """Put another store's, or another time's, small document in the place of one."""
    key = _pick(rng, [key for key in _keys(twin, _is_document) if (store / key).exists()])
    (store / key).write_bytes((twin / key).read_bytes())
    return key


def copied(rng: Rng, store: Path, twin: Path) -> str:
    """Copy an object of an array to another place of it, whether one is there or not."""
    key = _pick(rng, _keys(store, _is_chunk))
    *head, last = key.split("/")
    target = "/".join([*head, str(max(0, int(last) + int(rng.choice([-1, 1]))))])
    (store / target).write_bytes((store / key).read_bytes())
    return f"{key} -> {target}"


def edit(rng: Rng, store: Path, twin: Path) -> str:
    """Change a digit in a document."""
    key = _pick(rng, _keys(store, _is_document))
    content = bytearray((store / key).read_bytes())
    at = _pick(rng, [str(found.start()) for found in _NUMBER.finditer(content)])
    content[int(at)] = ord("0") + (content[int(at)] - ord("0") + 1 + int(rng.integers(9))) % 10
    (store / key).write_bytes(content)
    return f"{key} at {at}"


def consistent_edit(rng: Rng, store: Path, twin: Path) -> str:
    """Change a node's attributes in its document and in the consolidated copy alike."""
    root = json.loads((store / "zarr.json").read_text())
    nodes = root["consolidated_metadata"]["metadata"]
    path = _pick(rng, sorted(nodes))
    document = json.loads((store / path / "zarr.json").read_text())
    document["attributes"]["units"] = "furlongs"
    nodes[path] = {**nodes[path], "attributes": document["attributes"]}
    (store / path / "zarr.json").write_text(json.dumps(document))
    (store / "zarr.json").write_text(json.dumps(root))
    return path


MUTATIONS: tuple[Mutation, ...] = (
    *(flip, truncate, blank, delete, swap, swap, foreign, foreign, stale, stale),
    *(copied, edit, edit, consistent_edit),
)
