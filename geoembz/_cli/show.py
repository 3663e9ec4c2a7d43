"""Print what a command returned: as a table or as JSON, without secrets, safe for a terminal."""

import json
from typing import Any

import typer

from geoembz._text import printable
from geoembz.errors import redact


def show(result: Any, *, as_json: bool, quiet: bool = False) -> None:
    """Print what a command returned; nothing where the user wants only errors."""
    if as_json:
        say_json(result.to_json())
    elif not quiet:
        say(result.to_table())


def say(text: str, *, err: bool = False) -> None:
    """Print lines: every text that a command prints goes through here."""
    typer.echo("\n".join(map(printable, redact(text).split("\n"))), err=err)


def say_json(document: Any) -> None:
    """Print JSON, whose control characters are escaped."""
    typer.echo(json.dumps(_redacted(document), indent=2, allow_nan=False))


def _redacted(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(str(key)): _redacted(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(member) for member in value]
    return value
