"""How far a command is, in a log: a line once a minute."""

import sys
import time
from collections.abc import Callable

from geoembz._util.progress import Rate, duration

LINE_SECONDS = 60.0
"""Pause between two lines in a log, and before the first: short work says nothing."""


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
        return f"{text}, {rate:.3g}/s, {duration((total - done) / rate)} left" if rate else text


def _write_line(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
