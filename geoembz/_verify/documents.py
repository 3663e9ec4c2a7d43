"""Check a store's metadata: every node against the consolidated copy, attributes against meaning.

Knows ``zarr.json`` documents; reads no array.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from geoembz._objects.names import check_key
from geoembz._objects.tree import ObjectTree
from geoembz._publish import Problem
from geoembz._util.threads import for_each
from geoembz.errors import GeoembzError

_CONSOLIDATED = "consolidated_metadata"
_WORKERS = 8
_CONVENTIONS = ("zarr_conventions", "geoemb:", "proj:", "spatial:")


def check_documents(tree: ObjectTree) -> tuple[dict[str, dict[str, Any]], set[Problem]]:
    """Compare each node's own metadata with the consolidated copy, which readers use.

    Returns
    -------
    nodes
        Consolidated metadata of every node below the root, by path.
    problems
        What differs, or is missing.
    """
    try:
        root = tree.read_json("zarr.json")
        if not isinstance(root, dict):
            return {}, set()  # opening says what is wrong
        nodes = dict((root.get(_CONSOLIDATED) or {}).get("metadata") or {})
        if not nodes:
            what = "no consolidated metadata; over plain HTTP it looks empty"
            return {}, {Problem("zarr.json", what)}
        found = for_each(sorted(nodes), lambda path: _check_node(tree, path, nodes[path]), _WORKERS)
    except (GeoembzError, AttributeError, TypeError, ValueError, OSError) as error:
        return {}, {Problem("zarr.json", f"its metadata cannot be checked ({error})")}
    return nodes, {problem for problem in found if problem is not None}


def check_conventions(stored: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Problem]:
    """Compare the attributes that conventions define with what grid and encoding say.

    Parameters
    ----------
    stored
        Attributes of a group.
    expected
        Those that the same grid, encoding and provenance would be given today.
    """
    yield from _check_code(stored)
    for name in sorted(name for name in expected if name.startswith(_CONVENTIONS)):
        if name == "zarr_conventions":
            declared = [entry["uuid"] for entry in stored.get(name, ()) if _has_uuid(entry)]
            missing = [e for e in expected[name] if e["uuid"] not in declared]
            for entry in missing:
                yield Problem("zarr.json", f"convention {entry['name']} is not declared")
        elif stored.get(name) != expected[name]:
            yield Problem(
                "zarr.json",
                f"{name} is {_short(stored.get(name))}; the rest of the store says "
                f"{_short(expected[name])}",
            )


def _check_code(stored: Mapping[str, Any]) -> Iterator[Problem]:
    """Compare the two ways in which a CRS is given."""
    from pyproj import CRS
    from pyproj.exceptions import CRSError

    code, wkt = stored.get("proj:code"), stored.get("proj:wkt2")
    if code is None or wkt is None:
        return
    try:
        same = CRS.from_wkt(str(wkt)).equals(CRS.from_user_input(code), ignore_axis_order=True)
    except CRSError as error:
        yield Problem("zarr.json", f"proj:code {_short(code)} is no CRS ({error})")
        return
    if not same:
        yield Problem("zarr.json", f"proj:code is {_short(code)}; proj:wkt2 says another CRS")


def _check_node(tree: ObjectTree, path: str, document: Mapping[str, Any]) -> Problem | None:
    key = check_key(f"{path}/zarr.json")
    own = tree.read_json(key)
    if own is None:
        return Problem(key, "missing")
    if _bare(own) != _bare(document):
        return Problem(key, "differs from the root's consolidated copy")
    return None


def _bare(document: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != _CONSOLIDATED}


def _has_uuid(entry: object) -> bool:
    return isinstance(entry, Mapping) and "uuid" in entry


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}…"
