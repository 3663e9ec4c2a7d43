"""Patches for training, against a sequential scan of the same store.

(a) Every block of 512 x 512 pixels is read once and thrown away; (b) all patches of one side in
batches, in the order in which they lie, (c) shuffled by blocks, (d) drawn one by one from all over
the store, as a loader does that knows nothing of chunks; (e) as (c), by two forked processes that
get batches in turn. In one process but for (e), taking turns; seconds of the wall and of the
processor, for as many pixels as the scan has.
"""

import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.rasters import RasterSpec, generate
from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import in_turns

if TYPE_CHECKING:
    from geoembz.store import StoreReader

SIDE, SMOKE_SIDE = 2048, 256
SIZES = (64, 224)
_BLOCK, _BATCH_PIXELS = 512, 16 * 64 * 64
_LEAST = 0.7


def main() -> None:
    """Measure all sizes of patches in each space."""
    options = parse_options(__doc__, sizes=SIZES, smoke=(32,))
    spec = RasterSpec(SMOKE_SIDE if options.smoke else SIDE, "pixel")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="geoembz-bench-") as name:
        store = make(spec, Path(name) / "train.zarr")
        for space in ("original", "reduced"):
            rows += measure(store, space, options.size, options.repeat)
    publish("training", rows, options)


def make(spec: RasterSpec, store: Path) -> "StoreReader":
    """Convert the raster."""
    import geoembz

    if not spec.path.exists():
        generate(spec, spec.path)
    geoembz.convert(spec.path, store, recipe="pca64-int8")
    return geoembz.StoreReader.open(str(store))


def measure(store: "StoreReader", space: Any, sizes: list[int], repeat: int) -> Iterator[Row]:
    """Time the scan and all ways of taking patches, and compare them."""
    calls: dict[str, Callable[[], object]] = {"scan": lambda: scan(store, space)}
    shares = {"scan": 1.0}
    for size in sizes:
        for label, call, share in ways(store, space, size):
            calls[f"{size} {label}"], shares[f"{size} {label}"] = call, share
    taken = {
        clock: in_turns(calls, repeat, measured)
        for clock, measured in (("cpu", _processor_time), ("wall", time.perf_counter))
    }
    for case, share in shares.items():
        for clock, seconds in taken.items():
            yield Row(f"{space} {case}", f"{clock}_seconds", seconds[case] / share, "s")
            if case != "scan":
                ratio = seconds["scan"] / (seconds[case] / share)
                is_judged = "random" not in case
                target = Target(">=", _LEAST) if is_judged else None
                yield Row(f"{space} {case}", f"{clock} throughput / scan", ratio, "x", target)


def _processor_time() -> float:
    """Return the seconds of this process and of its children that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def scan(store: "StoreReader", space: Any) -> None:
    """Decode every block."""
    from geoembz._geo.grid import split

    for block in split(store.attributes.grid.window, (_BLOCK, _BLOCK)):
        store.read(block, space)


def ways(
    store: "StoreReader", space: Any, size: int
) -> Iterator[tuple[str, Callable[[], object], float]]:
    """Yield the ways of taking patches: what each is called, does, and covers of the store."""
    import numpy as np

    import geoembz

    patches = geoembz.patches(store, size, space=space, min_valid=0)
    share = len(patches) * size**2 / store.attributes.grid.window.size
    count = max(1, _BATCH_PIXELS // size**2)
    few = np.random.default_rng(0).permutation(len(patches))[: max(1, len(patches) // 8)].tolist()
    yield "in order", lambda: take(patches, patches.batches(count, shuffle=False)), share
    yield "shuffled", lambda: take(patches, patches.batches(count)), share
    yield "random", lambda: take(patches, few), share * len(few) / len(patches)
    yield "two workers", lambda: work(patches, count), share


def take(patches: Any, index: Any) -> None:
    """Take samples, and forget them."""
    for numbers in index:
        patches[numbers]


def work(patches: Any, count: int) -> None:
    """Take all samples in two processes, whose batches come in turn."""
    batches = list(patches.batches(count, workers=2))
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=take, args=(patches, batches[n::2])) for n in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0


if __name__ == "__main__":
    main()
