"""Print a result as a table or as JSON."""

import json
from typing import Any

import typer


def show(result: Any, *, as_json: bool, quiet: bool = False) -> None:
    """Print what a command returned; nothing where the user wants only errors."""
    if as_json:
        typer.echo(json.dumps(result.to_json(), indent=2))
    elif not quiet:
        typer.echo(result.to_table())
