"""The command line: parse, one library call, print.

Nothing heavy is imported before a command runs, so that ``geoembz --help`` answers at once.
"""

import atexit
import gc
import sys
import traceback
from collections.abc import Sequence

from geoembz._cli.colours import painted
from geoembz._cli.signals import end, interruptible, interruption
from geoembz._spelling import flags
from geoembz._text import printable
from geoembz.errors import GeoembzError, os_fault, redact

_COMPLETE = "_GEOEMBZ_COMPLETE"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; exit 0 on success, 1 on bad data, 2 on bad usage.

    After Ctrl-C the exit code is 130, after SIGTERM 143, with one line that says how to go on.

    Errors are one message on standard error; ``--debug`` anywhere shows the traceback instead.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    if arguments is None:
        _collect_less()
    with flags(), interruptible():
        _main(words, debug=debug, is_program=arguments is None)


def _collect_less() -> None:
    """Look for cycles of garbage less often, and at the end not at all: the process ends with them.

    Imports make hundreds of thousands of objects that stay. Python would go through them two
    hundred times while a small raster is converted, and again before it exits: a tenth of the time.
    """
    gc.set_threshold(10_000)
    atexit.register(gc.freeze)


def _main(words: Sequence[str], *, debug: bool, is_program: bool) -> None:
    words = _with_json_target([word for word in words if word != "--debug"])
    try:
        _run(words)
    except Exception as error:  # noqa: BLE001 - every one is reported
        code = _report(error, debug=debug)
        if _wants_json(words):
            _print_error(error, code)
        sys.exit(code)
    except (KeyboardInterrupt, SystemExit) as error:  # Typer makes an exit of Ctrl-C
        if _wants_json(words):
            _print_usage_error(error.__context__)
        number = interruption(error)
        if number is None or debug:
            raise
        end(number, at_once=is_program)


def _with_json_target(words: Sequence[str]) -> list[str]:
    """Let ``--json`` stand alone where it may name a file: then it prints, as everywhere else."""
    if "--json" not in words or words[0] not in {"evaluate", "plan"}:
        return list(words)
    behind = words.index("--json") + 1
    named = [word for word in words[behind : behind + 1] if word == "-" or not word.startswith("-")]
    return [*words[:behind], *(named or ["-"]), *words[behind + len(named) :]]


def _wants_json(words: Sequence[str]) -> bool:
    """Whether standard output is to be JSON: a name behind the flag says which file is instead."""
    if "--json" not in words:
        return False
    return words[0] not in {"evaluate", "plan"} or words[words.index("--json") + 1] == "-"


def _print_error(error: Exception, code: int) -> None:
    """Print an error as JSON on standard output, for scripts."""
    said = str(error) if isinstance(error, GeoembzError) else printable(redact(str(error)))
    _print_json(type(error).__name__, said, code)


def _print_usage_error(error: BaseException | None) -> None:
    """Print Typer's errors of usage as JSON, like other errors; a mere exit prints nothing."""
    said = getattr(error, "format_message", None)  # the class is private: Typer carries its click
    if said is not None:
        code = getattr(error, "exit_code", 2)
        _print_json(type(error).__name__, printable(redact(said())), code)


def _print_json(kind: str, message: str, code: int) -> None:
    import json

    document = {"type": kind, "message": message, "exit_code": code}
    print(json.dumps({"error": document}))  # noqa: T201


def _completion() -> None:
    """Take click's spelling of the variable that asks for completion, as well as Typer's."""
    import os

    shell, _, what = os.environ.get(_COMPLETE, "").partition("_")
    if what == "source":
        os.environ[_COMPLETE] = f"source_{shell}"


def _run(words: list[str]) -> None:
    import warnings

    from geoembz._cli.app import app

    _completion()
    former = warnings.showwarning
    warnings.showwarning = _show_warning
    try:
        app(words, prog_name="geoembz")
    finally:
        warnings.showwarning = former


def _show_warning(message: Warning | str, *_: object, **__: object) -> None:
    """Print a warning as one message, as errors are."""
    from geoembz._cli.logs import log_warning

    text = printable(redact(str(message)))
    log_warning(text)
    print(f"geoembz: {painted('warning', 'yellow', sys.stderr)}: {text}", file=sys.stderr)  # noqa: T201


def _report(error: Exception, *, debug: bool) -> int:
    """Print an error as one message, or its traceback, and return the exit code that it means."""
    code = error.exit_code if isinstance(error, GeoembzError) else 1
    if debug:  # with the source lines and messages of libraries, which know of no secret
        lines = "".join(traceback.format_exception(error)).splitlines()
        print("\n".join(printable(redact(line)) for line in lines), file=sys.stderr)  # noqa: T201
        return code
    if isinstance(error, GeoembzError):
        message = str(error)  # printable already, each detail on its line
    elif isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename is not None else ""
        said = f"{place}{os_fault(error)}" if error.errno is not None else str(error)
        message = printable(redact(said))
    else:
        message = printable(redact(f"{type(error).__name__}: {error}"))
        message += "; this is a bug: run again with --debug, report it"
    kind = painted("error", "red", sys.stderr)
    print(f"geoembz: {kind}: {message}", file=sys.stderr)  # noqa: T201
    return code
