"""How commands show their help: options by purpose, examples, colours where a terminal takes them.

Typer's own grouped help draws boxes with rich, whose import takes longer than ``--help`` may.
"""

import re
from collections.abc import Sequence
from typing import Any

from typer.core import TyperCommand, TyperGroup

from geoembz._cli.colours import painted

OPTIONS = "Options"
RECIPE = "Recipe"
INPUT = "Input"
STORAGE = "Storage"
PART = "Part of the store"
VECTORS = "Vectors"
DESCRIPTION = "Description"
RUNNING = "Running"
OUTPUT = "Output"
"""Headings of options that several commands have."""

MOST_COLUMNS = 100
"""Wider than that, lines are hard to follow."""

ARGUMENTS = "Arguments"

_FIRST = (ARGUMENTS, OPTIONS)
_LAST = (DESCRIPTION, RUNNING, OUTPUT)
_EXAMPLES = re.compile(r"\n+Examples\n-+\n")

type Row = tuple[str, str]


class Command(TyperCommand):
    """A command whose help has its options by purpose, and examples."""

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - Typer's
        """Return the first line, which fits."""
        return summary(self)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's
        """Return what stands behind the command's name."""
        return [_name(each) for each in self.params if _is_argument(each)] + ["[OPTIONS]"]

    def format_help_text(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's
        """Write what the command does."""
        formatter.write_paragraph()
        with formatter.indentation():
            formatter.write_text(description(self))

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments, then options under the headings of what they are for."""
        for title, rows in sections(self, ctx).items():
            _write_section(formatter, title, rows)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002 - Typer's
        """Write the examples last, where they are seen first."""
        if not examples(self):
            return
        with formatter.section(painted("Examples", "bold")):
            for line in examples(self):
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")


class Group(TyperGroup):
    """Commands, under the headings of what they are for."""

    def get_short_help_str(self, limit: int = 45) -> str:  # noqa: ARG002 - Typer's
        """Return the first line, which fits."""
        return summary(self)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write commands by purpose, then options."""
        commands = [command for command in self.commands.values() if not command.hidden]
        width = max(len(str(command.name)) for command in commands)
        by_title: dict[str, list[Row]] = {}
        for command in commands:
            row = (f"{command.name:<{width}}", summary(command))
            by_title.setdefault(_title(command, "Commands"), []).append(row)
        for title, rows in by_title.items():
            _write_section(formatter, title, rows)
        options = [row for rows in sections(self, ctx).values() for row in rows]
        _write_section(formatter, OPTIONS, options)


def summary(command: Any) -> str:
    """Return what a command does, in one line."""
    return " ".join(description(command).partition("\n\n")[0].split())


def description(command: Any) -> str:
    """Return a command's help without its examples."""
    return _EXAMPLES.split(command.help or "")[0].strip()


def examples(command: Any) -> list[str]:
    """Return the command lines that a command's help shows."""
    _, *shown = _EXAMPLES.split(command.help or "")
    return [line.strip() for text in shown for line in text.splitlines() if line.strip()]


def sections(command: Any, ctx: Any) -> dict[str, list[Row]]:
    """Return arguments and options by heading, each with what it is for."""
    found: dict[str, list[Row]] = {}
    for parameter in command.get_params(ctx):
        row = _row(parameter, ctx)
        if row is not None:
            found.setdefault(_title(parameter, OPTIONS), []).append(row)
    others = [title for title in found if title not in {*_FIRST, *_LAST}]
    return {title: found[title] for title in (*_FIRST, *others, *_LAST) if title in found}


def _row(parameter: Any, ctx: Any) -> Row | None:
    """Return how an option or argument is written, in one style, and what it is for."""
    record = parameter.get_help_record(ctx)
    if record is None:
        return None
    written, text = record
    if _is_argument(parameter):
        written = _name(parameter)
        text = re.sub(r" *\[required\]", "", text or "")
    elif parameter.metavar is None:  # the words to choose from
        written = re.sub(r"[<>\[\]]", "", written)
    return written.strip(), re.sub(r" *\[default: \(?(.*?)\)?\]$", r" [default: \1]", text or "")


def _title(parameter: Any, otherwise: str) -> str:
    if _is_argument(parameter):
        return ARGUMENTS
    if "--help" in getattr(parameter, "opts", ()):
        return OUTPUT
    return getattr(parameter, "rich_help_panel", None) or otherwise


def _is_argument(parameter: Any) -> bool:
    return getattr(parameter, "param_type_name", None) == "argument"


def _name(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _write_section(formatter: Any, title: str, rows: Sequence[Row]) -> None:
    with formatter.section(painted(title, "bold")):
        formatter.write_dl([(painted(name, "cyan"), text) for name, text in rows])
