"""The journal of an unfinished conversion: what is planned, and which shards are done.

It lives below ``.geoembz/`` in the destination, where no Zarr reader looks, until the root
``zarr.json`` is written; then it is removed. A destination with a journal can be resumed by the
same conversion and by no other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, StoreError
from geoembz.grid import Window
from geoembz.store.objects import ObjectTree

FOLDER = ".geoembz"
_PLAN, _SHARDS = f"{FOLDER}/plan.json", f"{FOLDER}/shards"
_ENCODING, _CENTRE = f"{FOLDER}/encoding.npz", f"{FOLDER}/centre.json"


@dataclass(frozen=True)
class Journal:
    """The journal in a destination.

    Parameters
    ----------
    tree
        The destination.
    """

    tree: ObjectTree

    def exists(self) -> bool:
        """Whether a conversion into this destination was started and not finished."""
        return self.tree.read(_PLAN) is not None

    def has_traces(self) -> bool:
        """Whether anything of a journal is there, a plan or not."""
        return bool(self.tree.keys(FOLDER))

    def matches(self, plan: Mapping[str, Any]) -> bool:
        """Whether the conversion that was started is this one."""
        try:
            return bool(self.tree.read_json(_PLAN) == plan)
        except StoreError:
            return False

    def start(
        self, plan: Mapping[str, Any], encoding: Encoding, centre: NDArray[np.float64]
    ) -> None:
        """Record the fit's results and the plan; the plan comes last, complete or absent."""
        self.tree.write(_ENCODING, encoding.to_bytes())
        self.tree.write_json(_CENTRE, centre.tolist())
        self.tree.write_json(_PLAN, plan)

    def resume(self, plan: Mapping[str, Any]) -> tuple[Encoding, NDArray[np.float64]]:
        """Return encoding and sample mean of the conversion that was interrupted.

        Raises
        ------
        InvalidConfigError
            If that was another conversion: other input, flags or geoembz.
        """
        recorded = self.tree.read_json(_PLAN)
        differing = [
            key for key in sorted({*plan, *recorded}) if plan.get(key) != recorded.get(key)
        ]
        if differing:
            key = differing[0]
            raise InvalidConfigError(
                f"{self.tree.url}: holds an unfinished conversion with {key} = "
                f"{recorded.get(key)!r}, but now {key} = {plan.get(key)!r}; repeat the former "
                "command to finish it, or pass --overwrite to start anew"
            )
        content, centre = self.tree.read(_ENCODING), self.tree.read_json(_CENTRE)
        if content is None or centre is None:
            raise StoreError(f"{self.tree.url}: the journal lacks its encoding; pass --overwrite")
        encoding = Encoding.from_bytes(content, f"{self.tree.url}/{_ENCODING}")
        return encoding, np.array(centre, dtype=np.float64)

    def record(self, shard: Window, result: Mapping[str, Any]) -> None:
        """Record a shard as done, after all its arrays were written."""
        self.tree.write_json(_shard_key(shard), result)

    def find(self, shard: Window) -> dict[str, Any] | None:
        """Return what was recorded of a shard; None where it is not finished."""
        found: dict[str, Any] | None = self.tree.read_json(_shard_key(shard))
        return found

    def has_finished(self) -> bool:
        """Whether any shard is finished."""
        return bool(self._shard_keys())

    def finished(self) -> dict[tuple[int, int], dict[str, Any]]:
        """Return what was recorded of each finished shard, by its row and column in pixels."""
        done = {}
        for key, document in self.tree.read_json_many(self._shard_keys()):
            row, col = key.rpartition("/")[2].removesuffix(".json").split("_")
            done[int(row), int(col)] = document
        return done

    def _shard_keys(self) -> list[str]:
        return [key for key in self.tree.keys(_SHARDS) if key.endswith(".json")]

    def clear(self) -> None:
        """Remove the journal: the store is complete."""
        self.tree.remove(FOLDER)


def _shard_key(shard: Window) -> str:
    return f"{_SHARDS}/{shard.row}_{shard.col}.json"
