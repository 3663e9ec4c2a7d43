"""Ctrl-C and its kin: stop, let go of what is held, say one line, end."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

_NAMES = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
if hasattr(signal, "SIGHUP"):
    _NAMES[signal.SIGHUP] = "hung up"


class Interruption(KeyboardInterrupt):
    """A signal that ends this process; a `KeyboardInterrupt`, so that libraries treat it so."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does, unless somebody handles them already."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only there Python has handlers
        return
    ours = [
        number
        for number in _NAMES
        if number != signal.SIGINT and signal.getsignal(number) == signal.SIG_DFL
    ]
    for number in ours:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def _interrupt(number: int, _frame: Any) -> NoReturn:
    raise Interruption(number)


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
    print(  # noqa: T201
        f"geoembz: {_NAMES[signal.Signals(number)]}; "
        "run the same command again to go on where it stopped",
        file=sys.stderr,
    )
    if at_once:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(128 + number)
    sys.exit(128 + number)
