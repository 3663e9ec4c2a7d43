"""Progress: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

type Progress = Callable[[int, int], None]

LINE_SECONDS = 60.0
"""Pause between two lines in a log, and before the first: short work says nothing."""


@contextmanager
def show_progress(what: str, *, quiet: bool) -> Iterator[Progress | None]:
    """Yield a function of finished and total counts that tells the user, as fits standard error."""
    if not quiet and not sys.stderr.isatty():
        yield LogLines(what)
        return
    with progress_bar(what, enabled=not quiet) as bar:
        yield bar


@contextmanager
def progress_bar(what: str, *, enabled: bool) -> Iterator[Progress | None]:
    """Yield a function of finished and total counts that draws a bar; None where disabled."""
    if not enabled:
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    rate = TextColumn("{task.fields[rate]}")
    columns = (what, BarColumn(), MofNCompleteColumn(), rate, TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, rate="")
        started = time.monotonic()

        def show(done: int, total: int) -> None:
            rate = f"{done / max(time.monotonic() - started, 1e-9):.3g}/s"
            bar.update(task, completed=done, total=total, rate=rate)

        yield show


class LogLines:
    """Writes how far the work is, how fast it goes and when it will end, once a minute.

    Parameters
    ----------
    what
        What is counted.
    clock
        Seconds since whenever.
    """

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._started = self._said = clock()

    def __call__(self, done: int, total: int) -> None:
        """Take the numbers of finished and of all; write a line if it is time."""
        now = self._clock()
        if now - self._said < LINE_SECONDS:
            return
        self._said = now
        print(self.line(done, total, now - self._started), file=sys.stderr, flush=True)  # noqa: T201

    def line(self, done: int, total: int, seconds: float) -> str:
        """Return the line.

        Examples
        --------
        >>> LogLines("shards").line(1_200, 100_000, seconds=60)
        'shards 1,200 of 100,000 (1.2%), 20/s, 1:22:20 left'
        """
        rate = done / seconds if seconds else 0.0
        text = f"{self._what} {done:,} of {total:,} ({done / max(total, 1):.1%})"
        return f"{text}, {rate:.3g}/s, {_duration((total - done) / rate)} left" if rate else text


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}"
