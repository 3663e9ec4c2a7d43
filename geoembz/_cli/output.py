"""What commands print: results, progress and notes, without secrets and safe for a terminal."""

import json
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from geoembz._text import printable
from geoembz.errors import InvalidConfigError, redact

if TYPE_CHECKING:
    from geoembz._util.results import Result

type Progress = Callable[[int, int], None]

LINE_SECONDS = 60.0
"""Pause between two lines in a log, and before the first: short work says nothing."""


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
    """

    as_json: bool = False
    quiet: bool = False
    json_file: str | None = None

    def show(self, result: "Result", notes: Sequence[str] = ()) -> None:
        """Print a result, then what else there is to tell."""
        if self.as_json:
            say_json(result.to_json())
            return
        lines = [*notes]
        if self.json_file is not None:
            write_json(result.to_json(), Path(self.json_file))
            lines.insert(0, f"numbers: {self.json_file}")
        if not self.quiet:
            say("\n".join([result.to_table(), *(["", *lines] if lines else [])]))

    def tell(self, text: str) -> None:
        """Print a line beside the result."""
        if not (self.quiet or self.as_json):
            say(text)

    @contextmanager
    def progress(self, what: str) -> Iterator[Progress | None]:
        """Yield a function of finished and total counts that tells the user how far the work is."""
        if self.quiet or self.as_json:
            yield None
        elif sys.stderr.isatty():
            with _bar(what) as bar:
                yield bar
        else:
            yield LogLines(what)


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


@contextmanager
def _bar(what: str) -> Iterator[Progress]:
    """Yield a function of finished and total counts that draws a bar."""
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
