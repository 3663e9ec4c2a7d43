"""The command line: parse, one library call, print.

Nothing heavy is imported before a command runs, so that ``geoembz --help`` answers at once.
"""

import sys
from collections.abc import Sequence

from geoembz.errors import GeoembzError, redact


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on bad data, 2 on bad usage, 130 on interruption.

    Errors are one message on standard error; ``--debug`` anywhere shows the traceback instead.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    try:
        _run([word for word in words if word != "--debug"])
    except Exception as error:
        if debug:
            raise
        sys.exit(_report(error))
    except KeyboardInterrupt:
        if debug:
            raise
        print("geoembz: interrupted; repeat the command to go on", file=sys.stderr)  # noqa: T201
        sys.exit(130)


def _run(words: list[str]) -> None:
    import warnings

    from geoembz.cli.app import app

    former = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        app(words, prog_name="geoembz")
    finally:
        warnings.showwarning = former


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one message, as errors are."""
    print(f"geoembz: warning: {redact(str(message))}", file=sys.stderr)  # noqa: T201


def _report(error: Exception) -> int:
    """Print an error as one message and return the exit code that it means."""
    if isinstance(error, GeoembzError):
        message, code = str(error), error.exit_code
    elif isinstance(error, OSError):
        message, code = str(error), 1
    else:
        message = (
            f"{type(error).__name__}: {error}; this is a bug: run again with --debug, report it"
        )
        code = 1
    print(f"geoembz: error: {redact(message)}", file=sys.stderr)  # noqa: T201
    return code
