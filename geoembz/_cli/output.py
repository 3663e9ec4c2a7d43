"""What commands print: results, progress and notes, without secrets and safe for a terminal."""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from geoembz._text import printable
from geoembz.errors import InvalidConfigError, redact

if TYPE_CHECKING:
    from geoembz import Explanation
    from geoembz._util.progress import Progress
    from geoembz._util.results import Result


@dataclass(frozen=True)
class Output:
    """Where a command prints; the same for every command.

    Parameters
    ----------
    as_json
        Print the result as JSON, and nothing else on standard output.
    quiet
        Print errors only.
    json_file
        Write the JSON here, and print the table.
    verbose
        Say what the command does: 1 what it begins, 2 every finished task.
    log_file
        Append that to this file, too, with how far the work is and with errors.
    explanation
        Counts what the command reads, and is printed after its result.
    """

    as_json: bool = False
    quiet: bool = False
    json_file: str | None = None
    verbose: int = 0
    log_file: str | None = None
    explanation: "Explanation | None" = None

    def explaining(self) -> AbstractContextManager[object]:
        """Count what is read in a block, where that is asked for."""
        return self.explanation or nullcontext()

    def show(self, result: "Result", notes: Sequence[str] = ()) -> None:
        """Print a result, then what else there is to tell."""
        about = self.explanation
        if self.as_json:
            say_json(result.to_json() | ({} if about is None else {"explain": about.to_json()}))
            return
        lines = [*notes]
        if self.json_file is not None:
            write_json(result.to_json(), Path(self.json_file))
            lines.insert(0, f"numbers: {self.json_file}")
        if not self.quiet:
            say("\n".join([result.to_table(), *(["", *lines] if lines else [])]))
            if about is not None:
                say(f"\n{about.to_table()}", err=True)

    def tell(self, text: str) -> None:
        """Print a line beside the result."""
        if not (self.quiet or self.as_json):
            say(text)

    def run(
        self, what: str, call: Callable[..., "Result"], *arguments: Any, dry: bool, **options: Any
    ) -> None:
        """Call what writes, and show what it did; or, where that is all, what it would do.

        Parameters
        ----------
        what
            Is counted.
        call
            Function of the library that takes `progress`.
        dry
            Do nothing.
        *arguments, **options
            Of the function.
        """
        if dry:
            from geoembz import dry_run

            self.show(dry_run(call, *arguments, **options))
            return
        with self.progress(what) as progress:
            result = call(*arguments, **options, progress=progress)
        self.show(result)

    @contextmanager
    def logged(self) -> Iterator[None]:
        """Log what is done meanwhile, where that is asked for."""
        from geoembz._cli.logs import logged

        is_silent = self.quiet or (self.as_json and not self.verbose)
        with logged(verbose=self.verbose, quiet=is_silent, log_file=self.log_file):
            yield

    @contextmanager
    def progress(self, what: str) -> Iterator["Progress | None"]:
        """Yield a function of finished and total counts that tells the user how far the work is."""
        from geoembz._cli.progress import LogLines
        from geoembz._util.progress import bar, listened, told

        listeners: list[Any] = []
        if self.log_file is not None:
            listeners.append(LogLines(what, _log))
        with ExitStack() as stack:
            if not (self.quiet or self.as_json):
                shown = stack.enter_context(bar(what)) if sys.stderr.isatty() else LogLines(what)
                listeners.append(shown)
            tell = stack.enter_context(told(listeners)) if listeners else None
            stack.enter_context(listened(tell))
            yield tell


def say(text: str, *, err: bool = False) -> None:
    """Print lines: every text that a command prints goes through here."""
    typer.echo("\n".join(map(printable, redact(text).split("\n"))), err=err)


def say_json(document: Any) -> None:
    """Print JSON, whose control characters are escaped."""
    typer.echo(json.dumps(_redact(document), indent=2, allow_nan=False))


def write_json(document: Any, path: Path) -> None:
    """Write JSON to a file.

    Raises
    ------
    InvalidConfigError
        If it cannot be written.
    """
    text = json.dumps(document, indent=2)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n", encoding="utf-8")
    except OSError as error:
        raise InvalidConfigError(
            f"--json {path}: cannot be written ({error.strerror}); expected a path of a file, or - "
            "to print"
        ) from error


def _redact(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): _redact(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_redact(member) for member in value]
    return value


def _log(line: str) -> None:
    import logging

    from geoembz._util.progress import OWN

    logging.getLogger(OWN).info(line)
