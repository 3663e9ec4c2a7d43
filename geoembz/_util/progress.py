"""How far the work is: counted where it is done, told to whoever listens, shown as a bar.

Loops over blocks lie deep below the functions that users call, so a listener is not handed down to
them but set for the length of a block, as `decimal` has its context. What is begun the library says
through `logging`, at level INFO: a phase, such as sampling. The rate starts anew then, so that a
fit is no part of it.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Protocol

from geoembz._text import printable
from geoembz.errors import redact

if TYPE_CHECKING:
    from logging import LogRecord

type Progress = Callable[[int, int], None]
"""Called with the number of finished tasks and the number of all."""

MOST_PHASE = 40
"""Characters of a bar's text."""

OWN = "geoembz.cli"
"""Logs what the terminal shows anyway: how far the work is, warnings and errors."""

CLUSTER = "geoembz.cluster"
"""Logs where to watch a cluster, which is no phase."""

_listener: ContextVar[Progress | None] = ContextVar("listener", default=None)


def listener() -> Progress | None:
    """Return who is to be told how far the work is; ask in the thread that was called."""
    return _listener.get()


@contextmanager
def listened(progress: Progress | None) -> Iterator[None]:
    """Let somebody be told, or nobody, for the length of a block."""
    token = _listener.set(progress)
    try:
        yield
    finally:
        _listener.reset(token)


def counted[T](items: Iterable[T], total: int) -> Generator[T]:
    """Yield items, and tell the listener when each is done.

    Parameters
    ----------
    items
        What is worked on, one after the other, maybe by several threads.
    total
        How many there are.

    Examples
    --------
    >>> with listened(lambda done, total: print(done, "of", total)):
    ...     for word in counted(["a", "b"], 2):
    ...         print(word)
    a
    1 of 2
    b
    2 of 2
    """
    return _counted(items, total, listener())  # here, since others may ask for the first item


def _counted[T](items: Iterable[T], total: int, tell: Progress | None) -> Generator[T]:
    for done, item in enumerate(items, 1):
        yield item
        if tell is not None:
            tell(done, total)


@contextmanager
def show_progress() -> Iterator[None]:
    """Show how far the calls of a block are: what is done, how fast, and the time that is left.

    In a terminal or a notebook. Functions that have a `progress` tell that one of what it is for.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> with geoembz.show_progress():
    ...     summary = geoembz.convert(files.embedding, tmp_path / "shown.zarr", pca=16)
    """
    with bar("") as shown, told([shown]) as tell, listened(tell):
        yield


class Parts:
    """Counts the tasks of parts, one after the other, among those of all.

    A part may have several phases, each counted from its start; what comes after the first is added
    when it begins.

    Parameters
    ----------
    progress
        Is told of all; None for nobody.
    sizes
        How many tasks each part is expected to have.

    Examples
    --------
    >>> parts = Parts(lambda done, total: print(done, "of", total), {"utm32n": 2, "utm33n": 3})
    >>> parts.of("utm32n")(2, 2)
    2 of 5
    >>> parts.of("utm33n")(1, 3)
    3 of 5
    """

    def __init__(self, progress: Progress | None, sizes: Mapping[str, int]) -> None:
        self._progress, self._ahead = progress, dict(sizes)
        self._before = self._done = self._total = 0

    def of(self, name: str) -> Progress | None:
        """Return what counts the tasks of a part that begins now."""
        self._end_phase()
        self._ahead.pop(name, None)
        return None if self._progress is None else self._tell

    def _tell(self, done: int, total: int) -> None:
        if done < self._done:
            self._end_phase()
        self._done, self._total = done, total
        if self._progress is not None:
            self._progress(self._before + done, self._before + total + sum(self._ahead.values()))

    def _end_phase(self) -> None:
        self._before += self._total
        self._done = self._total = 0


class Listener(Protocol):
    """Is told of phases, and of how far they are."""

    def phase(self, text: str) -> None:
        """Begin a phase."""

    def __call__(self, done: int, total: int) -> None:
        """Take the numbers of finished and of all."""


class Rate:
    """How fast the work goes since its phase began.

    Parameters
    ----------
    clock
        Seconds since whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._done = clock, 0
        self.restart()

    def restart(self) -> None:
        """Begin a phase: what is counted on was done before it."""
        self._started, self._before, self._is_new = self._clock(), self._done, True

    def __call__(self, done: int) -> float:
        """Return how many were finished in each second.

        Examples
        --------
        >>> times = iter([0.0, 30.0, 32.0])
        >>> rate = Rate(lambda: next(times))
        >>> rate.restart()  # after 30 s of fitting
        >>> rate(8)
        4.0
        """
        now = self._clock()
        if done < self._done + self._is_new:  # counted from the start again
            self._started = self._started if self._is_new else now
            self._before = 0
        self._done, self._is_new = done, False
        seconds = now - self._started
        return (done - self._before) / seconds if seconds > 0 else 0.0


class Bar:
    """A bar on a terminal: phase, how many of how many, rate, time gone and time left.

    Parameters
    ----------
    what
        Stands before it, until a phase is begun.
    bar
        Draws it.
    """

    def __init__(self, what: str, bar: Any) -> None:
        self._bar, self._rate = bar, Rate()
        self._task = bar.add_task(what, total=None, rate="", left="")

    def phase(self, text: str) -> None:
        """Begin a phase, which is shown."""
        self._rate.restart()
        self._bar.update(self._task, description=text, completed=0, total=None, rate="", left="")

    def __call__(self, done: int, total: int) -> None:
        """Take the numbers of finished and of all."""
        rate = self._rate(done)
        left = f"{duration((total - done) / rate)} left" if rate else ""
        shown = {"rate": f"{rate:.3g}/s", "left": left}
        self._bar.update(self._task, completed=done, total=total, **shown)


@contextmanager
def bar(what: str) -> Iterator[Bar]:
    """Draw a bar for the length of a block."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
    )

    said = TextColumn("{task.description}", markup=False)
    rate, left = TextColumn("{task.fields[rate]}"), TextColumn("{task.fields[left]}")
    columns = (said, BarColumn(), MofNCompleteColumn(), rate, TimeElapsedColumn(), left)
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, redirect_stdout=False) as drawn:
        yield Bar(what, drawn)


@contextmanager
def told(listeners: Sequence[Listener]) -> Iterator[Progress]:
    """Yield a function that tells listeners of counts; meanwhile they hear of phases."""
    import logging

    def tell(done: int, total: int) -> None:
        for each in listeners:
            each(done, total)

    class Phases(logging.Handler):
        """Tells the listeners."""

        def emit(self, record: "LogRecord") -> None:
            """Take what the library says."""
            if record.name in {OWN, CLUSTER}:
                return
            for each in listeners:
                each.phase(printable(redact(record.getMessage()), MOST_PHASE))

    with heard(Phases(logging.INFO)):
        yield tell


@contextmanager
def heard(handler: Any) -> Iterator[None]:
    """Let a handler of `logging` hear what the library says, for the length of a block."""
    import logging

    logger = logging.getLogger("geoembz")
    former = logger.level
    logger.addHandler(handler)
    logger.setLevel(min(former or handler.level, handler.level))
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(former)
        handler.close()


def duration(seconds: float) -> str:
    """Return a time as hours, minutes and seconds."""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
