"""What stands below ``.geoembz/`` of a store: a command at work, or what one that was killed left.

Knows keys, the lock and where builds are; reads nothing but the lock.
"""

import re
from collections.abc import Callable, Iterable
from enum import StrEnum

from geoembz._objects.files import PARTIAL
from geoembz.store.digests import ROOT
from geoembz.store.journal import COMPLETE, FOLDER, LOCK
from geoembz.store.lock import is_stale, parse_owner

GONE = ".gone"
"""Ends the name of a build that is being deleted."""

TOKEN = re.compile("[0-9a-f]{32}")
"""Name of a build: the token of a lock, or the start of a plan's digest."""


class Trace(StrEnum):
    """What a folder ``.geoembz`` means for the store that it lies in."""

    HELD = "another command writes there"
    PLACING = "a command that was killed while it put something in its place; run it again"
    UNFINISHED = "a command that has not ended; run it again, to its end"
    DEBRIS = "what a command left that was killed when all was done; the next one removes it"


def is_trace(key: str) -> bool:
    """Whether a key lies below ``.geoembz/``: it is no part of a store.

    Examples
    --------
    >>> is_trace("utm31n/.geoembz/lock.json"), is_trace("embedding/c/0/0/0")
    (True, False)
    """
    return FOLDER in key.split("/")


def find_traces(keys: Iterable[str], read: Callable[[str], bytes | None]) -> dict[str, Trace]:
    """Return what each folder ``.geoembz`` of a store means, by its key.

    Parameters
    ----------
    keys
        Of all objects.
    read
        Returns an object's content; None where there is none.

    Examples
    --------
    >>> find_traces(["zarr.json", ".geoembz/complete.json"], lambda key: None)[".geoembz"].name
    'DEBRIS'
    """
    folders: dict[str, set[str]] = {}
    for key in keys:
        if is_trace(key):
            above, _, name = f"/{key}".partition(f"/{FOLDER}/")
            folders.setdefault(f"{above}/{FOLDER}".lstrip("/"), set()).add(f"{FOLDER}/{name}")
    return {folder: _trace(folder, names, read) for folder, names in sorted(folders.items())}


def _trace(folder: str, names: set[str], read: Callable[[str], bytes | None]) -> Trace:
    if LOCK in names:
        content = read(f"{folder.removesuffix(FOLDER)}{LOCK}")
        owner = parse_owner(content)
        if content is not None and not (owner and is_stale(owner)):
            return Trace.HELD
    builds = {name.split("/")[1] for name in names if TOKEN.fullmatch(name.split("/")[1])}
    for build in builds:
        is_complete = not names.isdisjoint({COMPLETE, f"{FOLDER}/{build}/{COMPLETE}"})
        if is_complete and f"{FOLDER}/{build}/{ROOT}" in names:
            return Trace.PLACING
    if COMPLETE in names or all(_is_doomed(name) for name in names):
        return Trace.DEBRIS
    return Trace.UNFINISHED


def _is_doomed(name: str) -> bool:
    """Whether nothing hangs on an object: a lock, a draft, or a build that is being deleted."""
    return name == LOCK or name.endswith(PARTIAL) or name.split("/")[1].endswith(GONE)
