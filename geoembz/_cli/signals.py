"""Ctrl-C and its kin: stop, let go of what is held, say one line, end."""

import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if hasattr(signal, "SIGHUP"):
    _NAMES[signal.SIGHUP] = "hung up"


_SAME_SECONDS = 0.2
"""A signal that comes so soon after the first is the same one: `timeout` sends it twice."""


class Interruption(KeyboardInterrupt):
    """A signal that ends this process; a `KeyboardInterrupt`, so that libraries treat it so."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Let the first signal interrupt, and a second one end this process at once.

    SIGTERM and SIGHUP do what Ctrl-C does. Signals that somebody handles already stay his.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only there Python has handlers
        return
    ours = [
        number
        for number in _NAMES
        if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    ]
    handler = _Handler()
    former = {number: signal.signal(number, handler) for number in ours}
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


class _Handler:
    """Raises at the first signal; at the next one ends the process, whatever it waits for."""

    def __init__(self) -> None:
        self._first_at: float | None = None

    def __call__(self, number: int, _frame: Any) -> None:
        now = time.monotonic()
        if self._first_at is None:
            self._first_at = now
            raise Interruption(number)
        if now - self._first_at >= _SAME_SECONDS:
            os.write(2, f"{_advice(number)}\n".encode())  # no stream: it may be in use just now
            os._exit(128 + number)


def interruption(error: BaseException | None) -> int | None:
    """Return the signal behind an exception, such as the exit that Typer makes of it; else None."""
    seen = 0
    while error is not None and seen < 100:
        if isinstance(error, Interruption):
            return error.number
        if isinstance(error, KeyboardInterrupt):
            return signal.SIGINT
        error, seen = error.__cause__ or error.__context__, seen + 1
    return None


def end(number: int, *, at_once: bool) -> NoReturn:
    """Say that a command was interrupted and what to do, and exit as shells expect.

    Parameters
    ----------
    number
        Of the signal.
    at_once
        Wait for no thread: one that waits for a server would keep the process alive.
    """
    print(_advice(number), file=sys.stderr)  # noqa: T201
    if at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + number)
    sys.exit(128 + number)


def _advice(number: int) -> str:
    said = _NAMES[signal.Signals(number)]
    return f"geoembz: {said}; run the same command again to go on where it stopped"
