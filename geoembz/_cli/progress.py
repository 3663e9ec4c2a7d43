"""How far a command is: a bar on a terminal, lines in a log.

What the library begins it says through `logging`, at level INFO: a phase, such as sampling. The
rate starts anew then, so that a fit is no part of it.
"""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from geoembz._text import printable
from geoembz.errors import redact

if TYPE_CHECKING:
    from logging import LogRecord

type Progress = Callable[[int, int], None]

LINE_SECONDS = 60.0
"""Pause between two lines in a log, and before the first: short work says nothing."""


MOST_PHASE = 40
"""Characters of a bar's text."""

OWN = "geoembz.cli"
"""Logs what the terminal shows anyway: how far the work is, warnings and errors."""

CLUSTER = "geoembz.cluster"
"""Logs where to watch a cluster, which is no phase."""


class Rate:
    """How fast the work goes since its phase began.

    Parameters
    ----------
    clock
        Seconds since whenever.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.restart()

    def restart(self) -> None:
        """Begin a phase."""
        self._started, self._done = self._clock(), 0

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
        if done < self._done:  # the next grid of several, or the next level
            self.restart()
        self._done = done
        seconds = self._clock() - self._started
        return done / seconds if seconds > 0 else 0.0


class LogLines:
    """Says how far the work is, how fast it goes and when it will end, once a minute.

    Parameters
    ----------
    what
        What is counted.
    write
        Takes a line.
    clock
        Seconds since whenever.
    """

    def __init__(
        self,
        what: str,
        write: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._what, self._clock = what, clock
        self._write = write or _write_line
        self._said = clock()
        self._rate = Rate(clock)

    def phase(self, _text: str) -> None:
        """Begin a phase."""
        self._rate.restart()

    def __call__(self, done: int, total: int) -> None:
        """Take the numbers of finished and of all; write a line if it is time."""
        now = self._clock()
        rate = self._rate(done)
        if now - self._said < LINE_SECONDS:
            return
        self._said = now
        self._write(self.line(done, total, rate))

    def line(self, done: int, total: int, rate: float) -> str:
        """Return the line.

        Examples
        --------
        >>> LogLines("shards").line(1_200, 100_000, rate=20)
        'shards 1,200 of 100,000 (1.2%), 20/s, 1:22:20 left'
        """
        text = f"{self._what} {done:,} of {total:,} ({done / max(total, 1):.1%})"
        return f"{text}, {rate:.3g}/s, {_duration((total - done) / rate)} left" if rate else text


class Bar:
    """A bar on a terminal: phase, how many of how many, rate, time gone and time left.

    Parameters
    ----------
    what
        What is counted.
    bar
        Draws it.
    """

    def __init__(self, what: str, bar: Any) -> None:
        self._what, self._bar, self._rate = what, bar, Rate()
        self._task = bar.add_task(what, total=None, rate="", left="")

    def phase(self, text: str) -> None:
        """Begin a phase, which is shown."""
        self._rate.restart()
        self._bar.update(self._task, description=text, completed=0, total=None, rate="", left="")

    def __call__(self, done: int, total: int) -> None:
        """Take the numbers of finished and of all."""
        rate = self._rate(done)
        left = f"{_duration((total - done) / rate)} left" if rate else ""
        told = {"rate": f"{rate:.3g}/s", "left": left, "description": self._what}
        self._bar.update(self._task, completed=done, total=total, **told)


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
def told(listeners: Sequence[LogLines | Bar]) -> Iterator[Progress]:
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


def _write_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
