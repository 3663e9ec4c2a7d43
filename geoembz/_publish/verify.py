"""Read every object of a published store again and name what is wrong.

Knows object trees and manifests. What a store means (conventions, shapes) is checked elsewhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from geoembz._objects.faults import RetryPolicy
from geoembz._objects.names import check_key
from geoembz._objects.tree import Listed
from geoembz._publish.manifest import Entry, Manifest, digest, manifest_name, parse_manifest
from geoembz._publish.tree import PublishedTree, open_tree
from geoembz._util.threads import for_each
from geoembz.errors import GeoembzError
from geoembz.store.contents import is_trace, recorded_digests
from geoembz.store.digests import ROOT


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One object, and what is wrong with it."""

    key: str
    what: str


def read_manifest(
    url: str, *, endpoint_url: str | None = None, policy: RetryPolicy | None = None
) -> Manifest:
    """Return the manifest beside a store.

    Raises
    ------
    StoreError
        If there is none, or it is damaged.
    """
    tree = open_tree(url, endpoint_url=endpoint_url, policy=policy)
    name = manifest_name(tree.place.name)
    return parse_manifest(tree.beside().get(name), f"{tree.place}{manifest_name('')}")


def verify_objects(
    url: str,
    *,
    manifest: Manifest | None = None,
    endpoint_url: str | None = None,
    workers: int = 8,
    policy: RetryPolicy | None = None,
    known: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Compare every object of a store with a manifest, content included.

    Parameters
    ----------
    url
        The store.
    manifest
        What should be there; the one beside the store if left out.
    endpoint_url, workers, policy
        As for `publish`.
    known
        SHA-256 of objects that have just been read, hexadecimal, or the start of it, by key: they
        are not read again.

    Returns
    -------
    problems
        Objects missing, unexpected, of another size or content, or unreadable, by key; empty if
        all is well.

    Raises
    ------
    StoreError
        If the store cannot be listed or its manifest cannot be read.
    """
    tree = open_tree(url, endpoint_url=endpoint_url, policy=policy)
    manifest = manifest or read_manifest(url, endpoint_url=endpoint_url, policy=policy)
    there = _listing(tree, manifest)
    problems = [Problem(key, "missing") for key in manifest.entries.keys() - there.keys()]
    problems += [Problem(key, "unexpected") for key in there.keys() - manifest.entries.keys()]
    readable = []
    for key in manifest.entries.keys() & there.keys():
        size, expected = there[key].size, manifest.entries[key].size
        if size == expected:
            readable.append(key)
        else:
            problems.append(Problem(key, f"has {size:,} bytes; expected {expected:,}"))

    def check(key: str) -> Problem | None:
        expected, found = manifest.entries[key].sha256, (known or {}).get(key)
        if found is not None and expected.startswith(found):
            return None
        return _check_content(tree, key, expected)

    found = for_each(sorted(readable), check, workers)
    return sorted([*problems, *(problem for problem in found if problem is not None)])


def _listing(tree: PublishedTree, manifest: Manifest) -> Mapping[str, Listed]:
    """Return what is there; where the server cannot list, what should be, to be read."""
    if tree.is_web:
        return {key: Listed(entry.size) for key, entry in manifest.entries.items()}
    return {key: listed for key, listed in tree.list().items() if not is_trace(key)}


def read_digests(url: str) -> dict[str, str]:
    """Return what a store says of its objects, as `verify_objects` takes it to be known.

    It is, if the store has just been read and found to be what it says. Of stores of format 0.1,
    which say nothing, empty.
    """
    tree = open_tree(url)
    return recorded_digests(tree.get(ROOT), tree.get) or {}


def verify_against(
    url: str,
    other: str,
    *,
    endpoint_url: str | None = None,
    workers: int = 8,
    known: Mapping[str, str] | None = None,
) -> list[Problem]:
    """Compare every object of a store with another copy of it, e.g. the local original.

    Parameters
    ----------
    url, other
        The store, and its copy, which is read whole.
    endpoint_url, workers, known
        As for `verify_objects`.
    """
    tree = open_tree(other, endpoint_url=endpoint_url)
    keys = sorted(check_key(key) for key in tree.list() if not is_trace(key))

    def entry(key: str) -> Entry:
        value = digest(tree.get(key))
        return Entry(value.size, value.sha256)

    entries = dict(zip(keys, for_each(keys, entry, workers), strict=True))
    manifest = Manifest(tree.place.name, entries)
    return verify_objects(
        url, manifest=manifest, endpoint_url=endpoint_url, workers=workers, known=known
    )


def _check_content(tree: PublishedTree, key: str, expected: str) -> Problem | None:
    try:
        found = digest(tree.get(key))
    except GeoembzError as error:
        return Problem(key, f"cannot be read: {error}")
    if found.sha256 != expected:
        return Problem(key, f"has sha256 {found.sha256[:12]}…; expected {expected[:12]}…")
    return None
