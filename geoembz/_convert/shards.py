"""Write all shards of one grid at one date, and add up what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.runner import Progress
from geoembz._convert.sampling import PixelRoles
from geoembz._convert.site import Build
from geoembz._convert.task import ShardResult, ShardTask
from geoembz._convert.workers import Workers
from geoembz._geo.grid import pick
from geoembz.encoding._fidelity import FidelitySums
from geoembz.sources import Source, check_unchanged, occupies, with_checksum
from geoembz.store import StoreWriter
from geoembz.store.digests import StoredObject, lost_objects


@dataclass(frozen=True)
class Written:
    """What was written, as the store's attributes say it.

    Parameters
    ----------
    sources
        Provenance of the inputs.
    pixels
        ``{total, valid, rejected?, partial?}``.
    fidelity
        Measured on held-out pixels.
    """

    sources: tuple[Mapping[str, Any], ...]
    pixels: Mapping[str, Any]
    fidelity: Mapping[str, Any]

    def at(self, date: str) -> dict[str, Any]:
        """Return the entry of a date."""
        return {
            "time": date,
            "sources": list(self.sources),
            "pixels": dict(self.pixels),
            "fidelity": dict(self.fidelity),
        }


def write_shards(
    source: Source,
    writer: StoreWriter,
    build: Build,
    centre: NDArray[np.float64],
    seed: int,
    workers: Workers,
    progress: Progress | None,
) -> list[ShardResult]:
    """Write the shards that the journal lacks; return the results of all, in order.

    Parameters
    ----------
    source, writer
        Where pixels come from and where codes go.
    build
        Its journal says what is finished, and is told what is; its fence, whose it is.
    centre
        Mean vector of the sample, float64 ``(dimension,)``.
    seed
        Seed of the choice of held-out pixels.
    workers
        Run the tasks.
    progress
        Called with the numbers of finished and of missing shards.
    """
    shards = pick(writer.plan.chunks.shards(), partial(occupies, source))
    done = _finished(build, writer)
    missing = pick(shards, lambda shard: (shard.row, shard.col) not in done) if done else shards
    roles = PixelRoles(seed, source.grid.shape)
    task = ShardTask(source, writer, build.journal, build.fence, roles, centre, workers.may_repeat)
    fresh = workers.run(task, missing, progress=progress)
    build.tree.remove_partials()  # a killed worker may have left some
    if not done:
        return fresh
    new = iter(fresh)
    known = (done.get((shard.row, shard.col)) for shard in shards)
    return [next(new) if result is None else result for result in known]


def _finished(build: Build, writer: StoreWriter) -> dict[tuple[int, int], ShardResult]:
    """Return what the journal says is done, but shards that were lost or cut since: do them again.

    A journal may outlive what it records: power fails, a disk is cleaned.
    """
    recorded = build.journal.finished().items()
    done = {key: ShardResult.from_json(document) for key, document in recorded}
    lost = set(lost_objects(build.tree, stored_objects(list(done.values())), writer.date))
    return {key: result for key, result in done.items() if lost.isdisjoint(result.stored)}


def stored_objects(results: Sequence[ShardResult]) -> dict[str, StoredObject]:
    """Return the objects of all shards, by key."""
    return {key: entry for result in results for key, entry in result.stored.items()}


def summarise(source: Source, results: Sequence[ShardResult], *, checksum: bool = False) -> Written:
    """Add up the shards of a source; with `checksum`, read its files once more for their hashes.

    Raises
    ------
    SourceChangedError
        If an input is another than when it was opened.
    """
    inputs = tuple(map(with_checksum, source.info)) if checksum else source.info
    check_unchanged(source.info)  # after all that is read of them
    pixels, fidelity = total(results)
    return Written(
        sources=tuple(info.provenance() for info in inputs),
        pixels={"total": source.grid.window.size, **pixels},
        fidelity=fidelity.summary(),
    )


def total(results: Sequence[ShardResult]) -> tuple[dict[str, int], FidelitySums]:
    """Return ``{valid, rejected?, partial?}`` pixels and the fidelity of all shards, in order."""
    pixels = {"valid": sum(result.valid_pixels for result in results)}
    others = {
        "rejected": sum(result.rejected_pixels for result in results),
        "partial": sum(result.partial_pixels for result in results),
    }
    fidelity = reduce(FidelitySums.merge, (result.fidelity for result in results), FidelitySums())
    return pixels | {name: count for name, count in others.items() if count}, fidelity
