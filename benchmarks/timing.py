"""How calls in this process are timed, and how much memory it took."""

import statistics
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path


def fastest(call: Callable[[], object], repeat: int) -> float:
    """Return the seconds of the fastest call; the first one, which touches the memory, is extra."""
    call()
    return min(seconds(call) for _ in range(repeat))


def in_turns(
    calls: Mapping[str, Callable[[], object]],
    repeat: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Return the median seconds of each call; the first round, which warms up, is extra."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(repeat + 1):
        for name, call in calls.items():
            elapsed = seconds(call, clock)
            if number:
                taken[name].append(elapsed)
    return {name: statistics.median(times) for name, times in taken.items()}


def seconds(call: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Return the seconds that one call takes by a clock."""
    started = clock()
    call()
    return clock() - started


def peak_bytes() -> int:
    """Return this process' largest resident memory so far.

    Linux' `ru_maxrss` would count the memory of whoever started this process, too.
    """
    status = Path("/proc/self/status")
    if status.exists():
        lines = status.read_text(encoding="ascii").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
