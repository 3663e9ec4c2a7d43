"""In which order a store's objects go, and what to do with what is there already.

Knows only keys, listings and digests.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from geoembz._objects.names import check_key
from geoembz._publish.digest import Digest, is_metadata
from geoembz._publish.tree import Listed
from geoembz.errors import DestinationExistsError, StoreError

ROOT = "zarr.json"
_JOURNAL = ".geoembz"


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


def check_source(keys: Iterable[str], url: str) -> None:
    """Refuse a source that is not a complete store, or whose names could leave a prefix.

    Raises
    ------
    StoreError
        If there is no root metadata, or a journal of a conversion that has not ended.
    """
    found = [check_key(key) for key in keys]
    journal = next((key for key in found if _JOURNAL in key.split("/")), None)
    if journal is not None:  # at the root, or of a store below it
        raise StoreError(
            f"publish: {url} is not complete, or being written to (it has {journal}); run the "
            "command that wrote it again, to its end"
        )
    if ROOT not in found:
        raise StoreError(f"publish: {url} has no {ROOT}; expected a Zarr v3 store; check the path")


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
