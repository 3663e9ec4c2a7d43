"""In which order a store's objects go, and what to do with what is there already.

Knows only keys, listings and digests.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from geoembz._objects.names import check_key
from geoembz._publish.digest import Digest, is_metadata
from geoembz._publish.tree import Listed
from geoembz.errors import DestinationExistsError, StoreError
from geoembz.store.traces import Trace, find_traces, is_trace

ROOT = "zarr.json"


def phases(keys: Iterable[str]) -> list[list[str]]:
    """Return keys in groups, each to be complete before the next is begun.

    Data first, then metadata from the deepest node up, the root's last: a node becomes visible
    only when all that it refers to is there.

    Examples
    --------
    >>> phases(["zarr.json", "a/zarr.json", "a/c/0", "zarr.json"])
    [['a/c/0'], ['a/zarr.json'], ['zarr.json']]
    """
    by_phase: dict[int, list[str]] = {}
    for key in sorted(set(keys)):
        order = -key.count("/") if is_metadata(key) else -(10**6)
        by_phase.setdefault(order, []).append(key)
    return [by_phase[order] for order in sorted(by_phase)]


def check_source(
    keys: Iterable[str], url: str, read: Callable[[str], bytes | None]
) -> tuple[str, ...]:
    """Return the keys of a complete store; refuse any other, and names that could leave a prefix.

    What a command left below ``.geoembz/`` that was killed when all was done is no part of it.

    Raises
    ------
    StoreError
        If there is no root metadata, or a command writes there, or was killed before its end.
    """
    found = [check_key(key) for key in keys]
    for folder, trace in find_traces(found, read).items():  # of the root, or of a store below it
        if trace is not Trace.DEBRIS:
            key = next(key for key in found if key.startswith(f"{folder}/"))
            raise StoreError(
                f"publish: {url} is not complete, or being written to (it has {key}); run the "
                "command that wrote it again, to its end"
            )
    if ROOT not in found:
        raise StoreError(f"publish: {url} has no {ROOT}; expected a Zarr v3 store; check the path")
    return tuple(key for key in found if not is_trace(key))


@dataclass(frozen=True, slots=True)
class Leftovers:
    """What must go before the new root is written.

    Parameters
    ----------
    extra
        Keys at the destination that the source does not have.
    hidden
        Documents that must go first, in this order, so that nobody reads a mixture: the root's, and
        those just below it, which may be roots of grids.
    """

    extra: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def leftovers(
    source: Iterable[str], root: Digest, there: Mapping[str, Listed], url: str, *, overwrite: bool
) -> Leftovers:
    """Return what must be deleted at a destination, or refuse to delete it.

    Raises
    ------
    DestinationExistsError
        If another store is there, or parts of one, and nothing says that it may go.
    """
    extra = tuple(sorted(set(there) - set(source)))
    old = there.get(ROOT)
    differs = old is not None and (old.size != root.size or old.md5 not in (None, root.md5))
    if (extra or differs) and not overwrite:
        what = "another store" if differs else f"objects that are not of this store ({extra[0]} …)"
        raise DestinationExistsError(
            f"publish: {url} holds {what}; choose another prefix, or say --overwrite to replace it"
        )
    if old is None or not (differs or extra):
        return Leftovers(extra)
    below = (key for key in sorted(there) if key.count("/") == 1 and key.endswith(f"/{ROOT}"))
    return Leftovers(extra, (ROOT, *below))
