"""The commands. Each one parses, makes one call of the library and prints."""

from typing import Annotated, Any

import typer

from geoembz._cli import check, convert, evaluate, maps, reading, stores
from geoembz._cli.help import MOST_COLUMNS, Command, Group

MEANT = {"open": "info", "show": "info", "ls": "info", "stat": "info", "compress": "convert"}
"""Commands that people try, and what they are called here."""

_NUMBERS = {"integer": "a whole number", "number": "a number"}


class Commands(Group):
    """The commands, with advice for what is typed wrong."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command; name the one that was meant."""
        if args and args[0] in MEANT and args[0] not in self.commands:
            ctx.fail(f"No such command {args[0]!r}. Did you mean {MEANT[args[0]]!r}?")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; say what came where a number was expected, and which store lacks."""
        words = [*getattr(ctx, "_protected_args", ()), *ctx.args]
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            _explain(error, words)
            raise


def _explain(error: Any, words: list[str]) -> None:
    """Change an error's parameter or message to what the user can act on."""
    parameter = error.param
    if parameter is None:
        return
    is_missing = type(error).__name__ == "MissingParameter"
    if is_missing and parameter.name == "source" and parameter.nargs == -1 and len(words) > 1:
        # One word alone is taken for the store: what is missing is the store.
        error.param = next(other for other in error.ctx.command.params if other.name == "store")
    kind = next((kind for kind in _NUMBERS if f"valid {kind}" in str(error.message)), None)
    value = _value(words, parameter.opts)
    if kind is not None and value is not None:
        error.message = f"{value!r}; expected {_NUMBERS[kind]}"
    else:
        error.message = str(error.message).removeprefix("Value error, ")


def _value(words: list[str], flags: list[str]) -> str | None:
    """Return what stands behind a flag."""
    for word, following in zip(words, [*words[1:], None], strict=True):
        flag, equals, value = word.partition("=")
        if flag in flags:
            return value if equals else following
    return None


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": MOST_COLUMNS,
    },
    help="Compress Earth embeddings into cloud-native Zarr stores that any Zarr reader opens.\n\n"
    "`geoembz COMMAND --help` shows examples.",
)


def _version(wanted: bool) -> None:
    if wanted:
        from geoembz import __version__

        typer.echo(f"geoembz {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks of errors.")] = False,
) -> None:
    """Take the options that stand before any command."""
    del version, debug  # --version has its callback; --debug is taken by geoembz._cli.main


def _group(text: str, *commands: Any) -> typer.Typer:
    """Return a command of commands."""
    group = typer.Typer(cls=Group, rich_markup_mode=None, no_args_is_help=True, help=text)
    for command in commands:
        group.command(cls=Command)(command)
    return group


GROUPS = {
    "basis": _group("Save the encoding of a store for reuse."),
    "map": _group(
        "Map a whole store: likeness, change, classes, values.",
        maps.similar,
        maps.change,
        maps.classify,
        maps.regress,
        maps.cluster,
    ),
    "check": _group("Check what no single pixel tells: seams between tiles.", check.seams),
}
GROUPS["basis"].command("save", cls=Command)(stores.save_basis)

PURPOSES: dict[str, tuple[Any, ...]] = {
    "Make a store": (
        convert.convert,
        convert.demo,
        convert.append,
        convert.update,
        convert.overviews,
        convert.repack,
        "basis",
    ),
    "Look at it": (stores.info, stores.view, reading.preview),
    "Use it": (reading.sample, reading.search, reading.index, reading.export, "map"),
    "Choose and judge": (evaluate.plan, evaluate.evaluate, stores.cost),
    "Check and publish": (stores.verify, "check", stores.publish),
}
"""Commands by what they are for; a name is that of a group."""

for purpose, members in PURPOSES.items():
    for member in members:
        if isinstance(member, str):
            app.add_typer(GROUPS[member], name=member, rich_help_panel=purpose)
        else:
            app.command(cls=Command, rich_help_panel=purpose)(member)
