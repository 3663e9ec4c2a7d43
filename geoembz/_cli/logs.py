"""What the library says of its work: to standard error with ``-v``, to a file with ``--log-file``.

It says it through `logging`, under names that begin with ``geoembz.``: INFO is what it begins,
DEBUG each finished task. Python programs hear the same by ``logging.basicConfig(level="INFO")``.
"""

import shlex
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from geoembz._text import printable
from geoembz._util.progress import CLUSTER, OWN, heard
from geoembz.errors import GeoembzError, InvalidConfigError, redact

if TYPE_CHECKING:
    import logging


@contextmanager
def logged(*, verbose: int, quiet: bool, log_file: str | None) -> Iterator[None]:
    """Say what the library does, for the length of a command.

    Parameters
    ----------
    verbose
        How often ``-v`` was given: 1 for what begins, 2 for every task.
    quiet
        Say nothing on standard error.
    log_file
        Also append it here; with errors and warnings, and at least what begins.

    Raises
    ------
    InvalidConfigError
        If the file cannot be written.
    """
    with ExitStack() as stack:
        if not quiet:
            stack.enter_context(heard(_to_terminal(verbose)))
        if log_file is None:
            yield
            return
        stack.enter_context(heard(_to_file(log_file, verbose)))
        with _recorded():
            yield


@contextmanager
def _recorded() -> Iterator[None]:
    """Log how a command began and ended."""
    import logging

    log = logging.getLogger(OWN)
    log.info("begun: geoembz %s", shlex.join(sys.argv[1:]))
    try:
        yield
    except (GeoembzError, OSError) as error:
        log.error("%s: %s", type(error).__name__, error)  # noqa: TRY400 - `--debug` shows traces
        raise
    except BaseException as error:  # Ctrl-C, an exit code, or a bug
        log.info("ended: %r", error)
        raise
    log.info("finished")


def log_warning(message: str) -> None:
    """Log a warning that was shown."""
    import logging

    logging.getLogger(OWN).warning(message)


def _to_terminal(verbose: int) -> "logging.Handler":
    import logging

    class Terminal(logging.Handler):
        """Prints to standard error as it is now, so that a bar stays below."""

        def emit(self, record: logging.LogRecord) -> None:
            """Print a record."""
            if record.name == OWN or (not verbose and record.name != CLUSTER):
                return
            print(self.format(record), file=sys.stderr, flush=True)  # noqa: T201

    handler = Terminal(logging.DEBUG if verbose > 1 else logging.INFO)
    handler.setFormatter(_lines("%(name)s: %(message)s" if not verbose else None))
    return handler


def _to_file(path: str, verbose: int) -> "logging.Handler":
    import logging

    try:
        handler = logging.FileHandler(path, encoding="utf-8")
    except OSError as error:
        raise InvalidConfigError(
            f"--log-file {path}: cannot be written ({error.strerror}); expected a path of a file"
        ) from error
    handler.setLevel(logging.DEBUG if verbose > 1 else logging.INFO)
    handler.setFormatter(_lines())
    return handler


def _lines(form: str | None = None) -> "logging.Formatter":
    import logging

    class Lines(logging.Formatter):
        """One line for each record, without secrets."""

        def format(self, record: logging.LogRecord) -> str:
            """Return the line."""
            return printable(redact(super().format(record)))

    form = form or "%(asctime)s %(levelname)s %(name)s: %(message)s"
    return Lines(form, datefmt="%Y-%m-%dT%H:%M:%S%z")
