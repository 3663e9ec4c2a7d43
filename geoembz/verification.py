"""Read a whole store again and name what is wrong with it.

A damaged chunk fails its checksum (zstd's, and crc32c of a shard's index); a lost one reads as
nodata, so valid pixels are counted against what the store says about itself.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import GeoembzError, InvalidConfigError
from geoembz.grid import Window, split
from geoembz.publish import Problem, verify_against, verify_objects
from geoembz.store import ObjectTree, StoreReader
from geoembz.store.names import check_key
from geoembz.threads import worker_count

LARGEST_OBJECT_BYTES = 2**30
"""Decoded size of a shard beyond which it is refused unread: ours have at most 128 MB."""


@dataclass(frozen=True)
class Verification:
    """What was read, and what is wrong.

    Parameters
    ----------
    store
        Where it is.
    shards
        Shards of the grid, all of which were read.
    problems
        By key; empty if all is well.
    """

    store: str
    shards: int
    problems: tuple[Problem, ...]

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, by the names above."""
        return asdict(self)

    def to_table(self) -> str:
        """Return it as lines of text, one per problem."""
        if not self.problems:
            return f"{self.store}: {self.shards:,} shards read, nothing wrong"
        lines = [f"{problem.key}: {problem.what}" for problem in self.problems]
        return "\n".join([*lines, f"{self.store}: {len(lines)} problems"])


def verify(
    store: str,
    *,
    against: str | None = None,
    manifest: bool = False,
    workers: int | None = None,
) -> Verification:
    """Read every object of a store and check what it means.

    Parameters
    ----------
    store
        Path or URL.
    against
        Another copy, compared object by object.
    manifest
        Compare every object with the manifest that `publish` wrote beside the store.
    workers
        Shards read at once; None for one per core.

    Returns
    -------
    verification
        Every problem found, none repeated.

    Raises
    ------
    InvalidConfigError
        If both comparisons are asked for.
    StoreError
        If the other copy or the manifest cannot be read.

    References
    ----------
    spec/format.md.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "verify.zarr", pca=16)
    >>> verify(str(tmp_path / "verify.zarr")).problems
    ()
    """
    if against is not None and manifest:
        raise InvalidConfigError(f"verify: against {against} and the manifest; choose one of them")
    shards, problems = _check_content(store, worker_count(workers))
    if against is not None:
        problems |= set(verify_against(store, against))
    elif manifest:
        problems |= set(verify_objects(store))
    return Verification(store, shards, tuple(sorted(problems)))


def _check_content(store: str, workers: int) -> tuple[int, set[Problem]]:
    try:
        reader = StoreReader.open(store)
    except GeoembzError as error:
        return 0, {Problem("zarr.json", str(error)), *_check_documents(store)}
    problems = {*_check_documents(store), *_check_axes(reader)}
    present = frozenset(ObjectTree(store).sizes())
    oversized = list(_check_sizes(reader))
    windows = [] if oversized else list(split(Window(0, 0, *reader.shape), reader.stored_chunk))
    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(lambda window: _check_shard(reader, window, present), windows))
    found = {problem for _, problem in results if problem is not None}
    counted = sum(count for count, _ in results)
    declared = reader.attributes.pixels.get("valid", counted)
    if windows and not found and counted != declared:
        found.add(
            Problem(
                "embedding",
                f"{counted:,} valid pixels; the store was written with {declared:,}: "
                "shards are missing or another store's",
            )
        )
    return len(windows), problems | found | set(oversized)


def _check_sizes(reader: StoreReader) -> Iterator[Problem]:
    rows, cols = reader.stored_chunk
    size = rows * cols * reader.encoding.bytes_per_vector
    if size > LARGEST_OBJECT_BYTES:
        yield Problem("embedding/zarr.json", f"shards of {size:,} bytes; none was read")


def _check_shard(
    reader: StoreReader, window: Window, present: frozenset[str]
) -> tuple[int, Problem | None]:
    """Return how many pixels of a shard are valid, and what is wrong with it."""
    rows, cols = reader.stored_chunk
    place = f"{window.row // rows}/{window.col // cols}"
    key = f"embedding/c/0/{place}"
    try:
        codes = reader.read_codes(window)
        key = f"valid/c/{place}"
        mask = reader.read_mask(window)
    except (GeoembzError, OSError) as error:
        return 0, Problem(key, str(error))
    valid, mixed = _validity(reader, codes, mask)
    key = f"embedding/c/0/{place}"
    if mixed:
        return valid, Problem(key, f"{mixed:,} pixels are nodata in part")
    if valid and key not in present:
        return valid, Problem(key, f"missing, and {valid:,} pixels are valid there")
    return valid, None


def _validity(
    reader: StoreReader, codes: NDArray[Any], mask: NDArray[np.bool_] | None
) -> tuple[int, int]:
    """Return how many pixels are valid, and how many are so in some components only."""
    if mask is not None:
        return int(mask.sum()), 0
    nodata = reader.encoding.nodata
    if nodata is None:
        return codes[0].size, 0
    missing = np.isnan(codes) if nodata != nodata else codes == nodata
    some, every = missing.any(axis=0), missing.all(axis=0)
    return int((~some).sum()), int((some & ~every).sum())


def _check_documents(store: str) -> Iterator[Problem]:
    """Compare each node's own metadata with the consolidated copy, which readers use."""
    try:
        tree = ObjectTree(store)
        root = tree.read_json("zarr.json")
        if not isinstance(root, dict):
            return  # opening says what is wrong
        consolidated = (root.get("consolidated_metadata") or {}).get("metadata", {})
        if not consolidated:
            yield Problem("zarr.json", "no consolidated metadata; over plain HTTP it looks empty")
        for path, document in sorted(consolidated.items()):
            own = tree.read_json(check_key(f"{path}/zarr.json"))
            if own is None:
                yield Problem(f"{path}/zarr.json", "missing")
            elif _bare(own) != _bare(document):
                yield Problem(f"{path}/zarr.json", "differs from the root's consolidated copy")
    except (GeoembzError, AttributeError, OSError) as error:
        yield Problem("zarr.json", f"its metadata cannot be checked ({error})")


def _bare(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != "consolidated_metadata"}


def _check_axes(reader: StoreReader) -> Iterator[Problem]:
    """Compare the coordinates with the grid in the attributes."""
    grid = reader.attributes.grid
    for name, expected in (("x", grid.x), ("y", grid.y)):
        try:
            array: Any = reader.group[name]
            same = array.shape == expected.shape and np.array_equal(array[...], expected)
        except (KeyError, ValueError, RuntimeError, OSError) as error:
            yield Problem(name, f"cannot be read ({error})")
            continue
        if not same:
            yield Problem(name, "is not what spatial:transform says")
