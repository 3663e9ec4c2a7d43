"""Count what reading takes: requests, bytes and seconds, by the stage that they belong to.

Whatever reads says two things here, and nothing else: which stage it is in (`stage`), and that some
bytes came (`count`). What crosses a network is counted where its client sends it, so that no
request is missed, be it zarr-python's, pyarrow's or ours. While nobody listens, both do nothing.
"""

import threading
import time
from collections.abc import Iterator, Sized
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from geoembz._util.results import Result

type Stage = Literal[
    "open", "cache", "index", "chunks", "digests", "decompress", "decode", "compute", "other"
]

_MEANINGS: dict[Stage, str] = {
    "open": "metadata and the encoding",
    "cache": "what was read before, of this disk; not counted in all",
    "index": "where chunks lie in their shards",
    "chunks": "compressed codes, masks and layers",
    "digests": "which objects there should be, and whole objects that are verified",
    "decompress": "zstd to codes",
    "decode": "codes to vectors",
    "compute": "scores, or the values of a map",
    "other": "all else",
}
"""In the order in which they are printed."""

_listening: tuple["Explanation", ...] = ()
_lock = threading.Lock()
_stage: ContextVar[Stage] = ContextVar("geoembz_stage", default="other")
_NO_STAGE = nullcontext()


@dataclass(frozen=True, slots=True)
class StageCost:
    """What one stage took.

    Parameters
    ----------
    requests
        Requests to servers, and reads of local files.
    bytes
        That came, without headers.
    seconds
        In which at least one thread or request was in this stage. Stages overlap: all of them may
        add up to more than the whole.
    """

    requests: int = 0
    bytes: int = 0
    seconds: float = 0.0


class _Tally:
    """Sums of one stage, and since when somebody has been in it."""

    def __init__(self) -> None:
        self.requests = self.size = self.inside = 0
        self.seconds = self.since = 0.0

    def cost(self, now: float) -> StageCost:
        under_way = now - self.since if self.inside else 0.0
        return StageCost(self.requests, self.size, self.seconds + under_way)


class Explanation(Result):
    """What reading took while this was entered, in all threads of this process.

    Attributes
    ----------
    requests, bytes
        Of all stages.
    seconds
        Since it was entered, until it was left.
    stages
        What each stage took, by its name; those alone that took anything.

    See Also
    --------
    explain : Returns one.
    """

    def __init__(self) -> None:
        self._tallies: dict[Stage, _Tally] = {name: _Tally() for name in _MEANINGS}
        self._lock = threading.Lock()
        self._began = self._ended = 0.0

    def __enter__(self) -> Self:
        """Begin to count."""
        global _listening  # noqa: PLW0603 - threads have no other way to know
        self._began, self._ended = time.perf_counter(), 0.0
        with _lock:
            _listening = (*_listening, self)
        return self

    def __exit__(self, *_: object) -> None:
        """End to count."""
        global _listening  # noqa: PLW0603
        with _lock:
            _listening = tuple(each for each in _listening if each is not self)
        self._ended = time.perf_counter()

    @property
    def requests(self) -> int:
        """Requests to servers, and reads of local files; the cache's are not among them."""
        return sum(cost.requests for name, cost in self.stages.items() if name != "cache")

    @property
    def bytes(self) -> int:
        """Bytes that came, without headers; the cache's are not among them."""
        return sum(cost.bytes for name, cost in self.stages.items() if name != "cache")

    @property
    def seconds(self) -> float:
        """Seconds since this was entered, until it was left."""
        return (self._ended or time.perf_counter()) - self._began

    @property
    def stages(self) -> dict[str, StageCost]:
        """What each stage took that took anything."""
        now = self._ended or time.perf_counter()
        with self._lock:
            costs = {name: tally.cost(now) for name, tally in self._tallies.items()}
        return {name: cost for name, cost in costs.items() if cost != StageCost()}

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        stages = {name: asdict(cost) for name, cost in self.stages.items()}
        whole = {"requests": self.requests, "bytes": self.bytes, "seconds": self.seconds}
        return {**whole, "stages": stages}

    def _rows(self) -> Iterator[tuple[str, ...]]:
        yield "stage", "requests", "bytes", "seconds", ""
        for name, cost in self.stages.items():
            yield _row(name, cost, _MEANINGS[name])  # type: ignore[index]
        whole = StageCost(self.requests, self.bytes, self.seconds)
        yield _row("all", whole, "seconds by the clock, in which stages overlap")

    def __repr__(self) -> str:
        """Show the table."""
        return self.to_table()

    def _add(self, stage: Stage, requests: int, size: int) -> None:
        with self._lock:
            tally = self._tallies[stage]
            tally.requests += requests
            tally.size += size

    @contextmanager
    def _timing(self, stage: Stage) -> Iterator[None]:
        tally = self._tallies[stage]
        with self._lock:
            tally.inside += 1
            if tally.inside == 1:
                tally.since = time.perf_counter()
        try:
            yield
        finally:
            with self._lock:
                tally.inside -= 1
                if not tally.inside:
                    tally.seconds += time.perf_counter() - tally.since


def _row(name: str, cost: StageCost, meaning: str) -> tuple[str, ...]:
    return name, f"{cost.requests:,}", f"{cost.bytes:,}", f"{cost.seconds:.3f}", meaning


def explain() -> Explanation:
    """Count requests, bytes and seconds of what is read in a ``with`` block, stage by stage.

    All threads of this process are counted, and what dask reads in them; other processes, GDAL and
    Icechunk, which have clients of their own, are not.

    Returns
    -------
    explanation
        To be entered; it prints as a table.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "explained.zarr", pca=16)
    >>> with geoembz.explain() as report:
    ...     vectors = geoembz.open(tmp_path / "explained.zarr").embedding.values
    >>> report.stages["chunks"].requests, report.bytes > 10_000
    (1, True)
    """
    return Explanation()


def count(size: int, requests: int = 1) -> None:
    """Take note that some bytes came with a request, or with none of its own."""
    for each in _listening:
        each._add(_stage.get(), requests, size)  # noqa: SLF001 - of this module


def counted[Content: Sized | None](content: Content) -> Content:
    """Return what one read of a local file found, after taking note of it."""
    count(0 if content is None else len(content))
    return content


def stage(name: Stage) -> AbstractContextManager[None]:
    """Say what is done in a block, in this thread and in the requests that it makes."""
    return _enter(name, _listening) if _listening else _NO_STAGE


@contextmanager
def _enter(name: Stage, listening: tuple[Explanation, ...]) -> Iterator[None]:
    token = _stage.set(name)
    try:
        with ExitStack() as timed:
            for each in listening:
                timed.enter_context(each._timing(name))  # noqa: SLF001 - of this module
            yield
    finally:
        _stage.reset(token)
