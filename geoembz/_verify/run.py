"""Verify a store of any kind: open it, read its parts, compare it with another copy."""

from collections.abc import Iterator
from pathlib import Path

import zarr
from zarr.core.metadata import ArrayV3Metadata

from geoembz._objects.names import check_key
from geoembz._objects.tree import ObjectTree
from geoembz._publish import Problem, read_digests, verify_against, verify_objects
from geoembz._util.threads import check_workers, worker_count
from geoembz._verify.digests import check_small_objects
from geoembz._verify.documents import check_documents
from geoembz._verify.listing import (
    Part,
    Verification,
    below,
    missing_objects,
    part_traces,
    present_keys,
    unexpected_objects,
)
from geoembz._verify.raster import check_raster
from geoembz._verify.table import check_table
from geoembz._work.cluster import open_workers
from geoembz._work.executors import Workers, check_scheduler
from geoembz._work.places import store_for
from geoembz.errors import GeoembzError, InvalidConfigError, SchedulerError, redact
from geoembz.store import StoreReader, TableReader
from geoembz.store.conventions import GRIDS
from geoembz.store.documents import EMBEDDING
from geoembz.store.open import is_table_store, open_group
from geoembz.store.table_writer import TABLE


def verify(
    store: str | Path,
    *,
    against: str | Path | None = None,
    manifest: bool = False,
    seams: bool = False,
    workers: int | None = None,
    scheduler: str | None = None,
) -> Verification:
    """Read every object of a store and check what it means.

    Parameters
    ----------
    store
        Path or URL of a store of pixels, with or without a time axis, of a root of several grids,
        or of a table.
    against
        Another copy, compared object by object.
    manifest
        Compare every object with the manifest that `publish` wrote beside the store.
    seams
        Measure the steps where tiles and shards meet, too; see `check_seams`.
    workers
        Shards read at once; None for one per core.
    scheduler
        Where shards are read instead; see `geoembz.convert`. Documents and small arrays, another
        copy and seams are read here.

    Returns
    -------
    verification
        Every problem found, none repeated.

    Raises
    ------
    InvalidConfigError
        If both comparisons are asked for, or the number of workers cannot be.
    StoreError
        If the other copy or the manifest cannot be read.
    SchedulerError
        If no scheduler answers, or its workers are lost.

    References
    ----------
    spec/format.md.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "verify.zarr", pca=16)
    >>> verify(tmp_path / "verify.zarr").problems
    ()
    """
    if against is not None and manifest:
        raise InvalidConfigError(f"verify: against {against} and the manifest; choose one of them")
    check_workers("verify", workers)
    check_scheduler(scheduler)
    url = str(store_for(scheduler, store))
    with open_workers(scheduler, worker_count(workers)) as pool:
        found = _check_content(url, pool)
    problems = set(found.problems)
    if against is not None or manifest:
        known = {} if problems else read_digests(url)  # what was read is what the store says
        problems |= set(
            verify_objects(url, known=known)
            if against is None
            else verify_against(url, str(against), known=known)
        )
    notes = found.notes
    if seams:
        more = _check_seams(url, workers, is_whole=not problems)
        problems |= more.problems
        notes += more.notes
    return Verification(redact(str(store)), found.shards, tuple(sorted(problems)), notes)


def _check_seams(url: str, workers: int | None, *, is_whole: bool) -> Part:
    """Return the seams of a store as problems."""
    if not is_whole:
        return Part(0, frozenset(), ("seams: not looked for in a store with problems",))
    if is_table_store(open_group(url)):
        return Part(0, frozenset(), ("seams: a table has no borders",))
    from geoembz._seams import check_seams

    report = check_seams(url, workers=workers)
    problems = {
        Problem(
            EMBEDDING if seam.grid is None else f"{seam.grid}/{EMBEDDING}",
            f"a step of {seam.effect:.2f} (p {seam.p_adjusted:.1g}) between {seam.where}",
        )
        for seam in report.seams
    }
    return Part(0, frozenset(problems), report.notes)


def _check_content(store: str, pool: Workers) -> Part:
    tree = ObjectTree(store)
    nodes, problems = check_documents(tree)
    try:
        listed = present_keys(tree)
        present, traces = part_traces(listed, tree.read)
        problems |= traces.problems
        problems |= check_small_objects(tree, present)
        group = open_group(store)
        if _has_shards(group):
            tree.check_ranges()  # said once, not for each shard
        parts = list(_parts(store, group, present, pool))
    except SchedulerError:
        raise  # says nothing of the store
    except GeoembzError as error:
        return Part(0, frozenset({*problems, Problem("zarr.json", str(error))}))
    if nodes and present is not None:
        others = frozenset({TABLE}) if is_table_store(group) else frozenset()
        named = {problem.key for problem in problems}
        found = {*unexpected_objects(present, nodes, others), *missing_objects(present, nodes)}
        problems |= {problem for problem in found if problem.key not in named}
    for part in parts:
        problems |= part.problems
    return Part(sum(part.shards for part in parts), frozenset(problems), traces.notes)


def _has_shards(group: zarr.Group) -> bool:
    """Whether parts of objects are read: shards of one chunk are read whole."""
    nodes = group.metadata.consolidated_metadata
    members = {} if nodes is None else nodes.flattened_metadata
    arrays = [member for member in members.values() if isinstance(member, ArrayV3Metadata)]
    return any(array.shards not in {None, array.chunks} for array in arrays)


def _parts(
    store: str, group: zarr.Group, present: frozenset[str] | None, pool: Workers
) -> Iterator[Part]:
    """Yield what is found in each part: every grid of a root, or the one store."""
    if is_table_store(group):
        yield check_table(TableReader.open(store, group), pool)
        return
    names = group.attrs.get(GRIDS)
    if names is None:
        yield check_raster(StoreReader.open(store, group), present, pool)
        return
    expected = group.attrs.get("geoembz:encoding_hash")
    for name in names if isinstance(names, list) else []:
        key = check_key(str(name))
        small = check_small_objects(ObjectTree(f"{store}/{key}"), below(present, key))
        yield Part(0, frozenset(small)).below(key)
        try:
            reader = StoreReader.open(f"{store}/{key}")
        except GeoembzError as error:
            yield Part(0, frozenset({Problem(f"{key}/zarr.json", str(error))}))
            continue
        yield check_raster(reader, below(present, key), pool).below(key)
        if reader.encoding.hash != expected:
            what = f"encoding {reader.encoding.hash}; the root says {expected}"
            yield Part(0, frozenset({Problem(f"{key}/encoding", what)}))
