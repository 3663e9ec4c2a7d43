"""The journal of an unfinished conversion: what is planned, and which shards are done.

It lies below ``.geoembz/`` where the conversion builds; no Zarr reader looks there. It belongs to
one plan: of several conversions that start there, the first has it; the fit's files and each record
name the plan. So nothing that a conversion writes after it has lost its place can be taken for a
part of another one's.

The order of things: the fit, the plan, records, ``complete.json``; then all is removed, that one
last. Killed anywhere in between, the same command finds out how far it was.
"""

import hashlib
import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz._objects.tree import ObjectTree
from geoembz.encoding import Encoding
from geoembz.errors import GeoembzError, InvalidConfigError, StoreError
from geoembz.store.conventions import GRIDS

FOLDER = ".geoembz"
LOCK, COMPLETE = f"{FOLDER}/lock.json", f"{FOLDER}/complete.json"
_PLAN, _SHARDS = f"{FOLDER}/plan.json", f"{FOLDER}/shards"
_LEVELS, _OBJECTS = f"{FOLDER}/levels", f"{FOLDER}/objects"
PIECES = f"{FOLDER}/pieces"
"""What writers keep of shards that are not complete."""

_BOUND = "plan"
"""Member of a record that names its plan."""

_UNFITTED = frozenset({"repack"})
"""Members of the plans that fit nothing, so that the journal keeps no encoding."""

BY_WINDOW = {"written": "by window"}
"""Part of the plans of what no file is the source of."""

_GROWING = frozenset({"append", "overviews", "update"})
"""Members of the plans that add to a store: what each adds."""


@dataclass(frozen=True)
class Journal:
    """The journal in a place where a store is built.

    Parameters
    ----------
    tree
        That place.
    digest
        Of the plan whose records are written and read; None for whoever only looks: at all.
    records
        Folder of the records: of the shards at full resolution, or of a level.
    """

    tree: ObjectTree
    digest: str | None = None
    records: str = _SHARDS

    @classmethod
    def of(cls, tree: ObjectTree, plan: Mapping[str, Any]) -> Self:
        """Return the journal of one plan."""
        return cls(tree, _digest(plan))

    def of_level(self, factor: int, date: int) -> "Journal":
        """Return the journal of the shards of a level at one date."""
        return replace(self, records=f"{_LEVELS}/{date}/{factor}")

    def exists(self) -> bool:
        """Whether a conversion into this place was started and not finished."""
        return self.tree.read(_PLAN) is not None

    def has_traces(self) -> bool:
        """Whether anything of a journal is there, a plan or not."""
        return bool(self.tree.keys(FOLDER))

    def is_complete(self) -> bool:
        """Whether a store was built here to its end, and only the journal is left to remove."""
        return self.tree.read(COMPLETE) is not None

    def plan(self) -> dict[str, Any] | None:
        """Return the plan, be it completed or not; None where there is none that can be read."""
        for key in (COMPLETE, _PLAN):
            try:
                found = self.tree.read_json(key)
            except StoreError:
                return None
            if found is not None:
                return found if isinstance(found, dict) else None
        return None

    def matches(self, plan: Mapping[str, Any]) -> bool:
        """Whether the conversion that was started is this one."""
        return self.plan() == as_read(plan)

    def start(
        self, plan: Mapping[str, Any], encoding: Encoding, centre: NDArray[np.float64]
    ) -> None:
        """Record the fit's results and the plan; the plan comes last, complete or absent.

        Raises
        ------
        StoreError
            If another conversion has begun there meanwhile.
        """
        encoding_key, centre_key = _fit_keys(plan)
        self.tree.write(encoding_key, encoding.to_bytes())
        self.tree.write_json(centre_key, centre.tolist())
        self.begin(plan)

    def begin(self, plan: Mapping[str, Any]) -> None:
        """Record the plan, alone where nothing is fitted.

        Raises
        ------
        StoreError
            If another conversion has begun there meanwhile.
        """
        self.tree.create(_PLAN, json.dumps(plan, sort_keys=True).encode())
        if not self.matches(plan):
            raise StoreError(
                f"{self.tree.url}: another conversion has begun there meanwhile; this one ends here"
            )

    def resume(self, plan: Mapping[str, Any]) -> tuple[Encoding, NDArray[np.float64]]:
        """Return encoding and sample mean of the conversion that was interrupted.

        Raises
        ------
        InvalidConfigError
            If that was another conversion: other input, flags or geoembz.
        """
        self.refuse_other(plan)
        encoding_key, centre_key = _fit_keys(plan)
        content, centre = self.tree.read(encoding_key), self.tree.read_json(centre_key)
        if content is None or centre is None:
            raise StoreError(f"{self.tree.url}: the journal lacks its encoding; pass --overwrite")
        encoding = Encoding.from_bytes(content, f"{self.tree.url}/{encoding_key}")
        return encoding, np.array(centre, dtype=np.float64)

    def is_sound(self, plan: Mapping[str, Any]) -> bool:
        """Whether `resume` would work, or nothing was fitted that it needs."""
        if _UNFITTED & plan.keys():
            return self.matches(plan)
        try:
            self.resume(plan)
        except GeoembzError:
            return False
        return True

    def refuse_other(self, plan: Mapping[str, Any], url: str | None = None) -> None:
        """Refuse to go on with a conversion that is another one; `url` names its destination.

        Raises
        ------
        InvalidConfigError
            If its plan differs.
        """
        recorded, wanted = self.plan() or {}, as_read(plan)
        differing = [
            key for key in sorted({*wanted, *recorded}) if wanted.get(key) != recorded.get(key)
        ]
        if not differing:
            return
        key, place = differing[0], url or self.tree.url
        give_up = f"delete {self.tree.url}/{FOLDER}"
        for growing in _GROWING & recorded.keys() - (wanted.keys() - {"update"}):
            raise InvalidConfigError(
                f"{place}: holds {_describe(growing, recorded, place)}, or give that up: {give_up}"
            )
        is_growing = _GROWING & {*wanted, *recorded}
        anew = f"give it up: {give_up}" if is_growing else "pass --overwrite to start anew"
        raise InvalidConfigError(
            f"{place}: holds an unfinished conversion with {key} = "
            f"{recorded.get(key)!r}, but now {key} = {wanted.get(key)!r}; repeat the former "
            f"command to finish it, or {anew}"
        )

    def record(self, shard: Window, result: Mapping[str, Any]) -> None:
        """Record a shard as done, after all its arrays were written."""
        bound = {} if self.digest is None else {_BOUND: self.digest}
        self.tree.write_json(self._shard_key(shard), {**result, **bound})

    def unrecord(self, shard: Window) -> None:
        """Take a shard for not finished."""
        self.tree.delete(self._shard_key(shard))

    def forget_levels(self) -> None:
        """Remove what was recorded of levels: the full resolution may be another one now."""
        self.tree.remove(_LEVELS)

    def find(self, shard: Window) -> dict[str, Any] | None:
        """Return what was recorded of a shard; None where it is not finished."""
        found = self.tree.read_json(self._shard_key(shard))
        return None if found is None else self._own(found)

    def record_object(self, key: str, digest: str) -> None:
        """Record the digest of an object as done, after it was written."""
        self.tree.write_json(self._object_key(key), {"sha256": digest, _BOUND: self.digest})

    def find_object(self, key: str) -> str | None:
        """Return the digest that was recorded of an object; None where it is not finished."""
        found = self.tree.read_json(self._object_key(key))
        own = None if found is None else self._own(found)
        return None if own is None else str(own["sha256"])

    def _object_key(self, key: str) -> str:
        return f"{_OBJECTS}/{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"

    def has_finished(self) -> bool:
        """Whether any shard is finished, or a piece of one is there."""
        keys = [key for folder in (_SHARDS, _LEVELS) for key in self.tree.keys(folder)]
        return any(key.endswith(".json") for key in keys) or bool(self.tree.keys(PIECES))

    def finished(self) -> dict[tuple[int, int], dict[str, Any]]:
        """Return what was recorded of each finished shard, by its row and column in pixels."""
        done = {}
        for key, document in self.tree.read_json_many(self._shard_keys()):
            own = self._own(document)
            if own is not None:
                row, col = key.rpartition("/")[2].removesuffix(".json").split("_")
                done[int(row), int(col)] = own
        return done

    def _own(self, document: dict[str, Any]) -> dict[str, Any] | None:
        """Return a record without the name of its plan; None if that is another one."""
        plan = document.pop(_BOUND, None)
        return document if self.digest in {None, plan} else None

    def _shard_key(self, shard: Window) -> str:
        return f"{self.records}/{shard.row}_{shard.col}.json"

    def _shard_keys(self) -> list[str]:
        return [key for key in self.tree.keys(self.records) if key.endswith(".json")]

    def complete(self, plan: Mapping[str, Any]) -> None:
        """Say that the store is built to its end: nothing but to put it in place is left."""
        self.tree.write_json(COMPLETE, plan)

    def shorten(self) -> None:
        """Remove all of a complete journal but the word that it is complete, and the lock."""
        keys = [key for key in self.tree.keys(FOLDER) if key not in {COMPLETE, LOCK}]
        self.tree.remove_keys(keys)

    def forget(self) -> None:
        """Remove the word that a conversion is complete: the last thing that is left of it."""
        self.tree.remove(COMPLETE)
        self.tree.remove_empty(FOLDER)

    def clear(self) -> None:
        """Remove the journal, not a lock: the store is complete and in its place."""
        self.shorten()
        self.forget()


def _digest(plan: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()


def as_read(plan: Mapping[str, Any]) -> dict[str, Any]:
    """Return a plan as JSON gives it back: tuples become lists.

    Examples
    --------
    >>> as_read({"shape": (2, 3)})
    {'shape': [2, 3]}
    """
    document: dict[str, Any] = json.loads(json.dumps(plan))
    return document


def _fit_keys(plan: Mapping[str, Any]) -> tuple[str, str]:
    """Return where the encoding and the sample's mean of a plan are."""
    name = _digest(plan)[:16]
    return f"{FOLDER}/encoding-{name}.npz", f"{FOLDER}/centre-{name}.json"


def _describe(growing: str, plan: Mapping[str, Any], url: str) -> str:
    """Return what a killed command was adding to a store, and which command finishes it."""
    store = shlex.quote(_root_of(url))
    if growing == "append" and BY_WINDOW.items() <= plan.items():
        return (
            f"an unfinished date, {plan['append']}; repeat that call to finish it "
            f"(`geoembz.extend({_root_of(url)!r}, time={plan['append']!r})`)"
        )
    if growing == "append":
        return (
            f"an unfinished append of {plan['append']}; repeat that command to finish it "
            f"(`geoembz append {store} … --time {plan['append']}`)"
        )
    if growing == "update":
        sources = plan.get("sources") or [{}]
        first = sources[0].get("uri", "its inputs")
        return (
            f"an unfinished update from {first}{' and others' * (len(sources) > 1)}; repeat that "
            f"command to finish it (`geoembz update {store} …`)"
        )
    levels = plan["overviews"]
    return (
        f"unfinished overviews of {levels} level{'s' * (levels > 1)}; finish them with `geoembz "
        f"overviews {store} --levels {levels}`"
    )


def _root_of(url: str) -> str:
    """Return the store that a grid belongs to, where it is one of several; else itself."""
    parent, _, name = url.rstrip("/").rpartition("/")
    root = ObjectTree(parent).read_json("zarr.json") if parent else None
    attributes = root.get("attributes") if root is not None else None
    names = attributes.get(GRIDS) if isinstance(attributes, dict) else None
    return parent if isinstance(names, list) and name in names else url
