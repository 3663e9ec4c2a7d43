"""The commands. Each one parses, makes one library call and prints."""

from pathlib import Path
from typing import Annotated

import typer

from geoembz._cli.append import append
from geoembz._cli.commands import Commands
from geoembz._cli.convert import convert
from geoembz._cli.cost import cost
from geoembz._cli.evaluate import evaluate
from geoembz._cli.export import export
from geoembz._cli.plan import plan
from geoembz._cli.preview import preview
from geoembz._cli.publish import publish
from geoembz._cli.sample import sample
from geoembz._cli.search import search
from geoembz._cli.show import say, show
from geoembz._cli.verify import verify
from geoembz._text import printable

app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Compress Earth embeddings into cloud-native Zarr stores that any Zarr reader opens.",
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


app.command()(convert)

basis_app = typer.Typer(no_args_is_help=True, help="Save the encoding of a store for reuse.")
app.add_typer(basis_app, name="basis")


@basis_app.command()
def save(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Path or URL of a store.")],
    file: Annotated[str, typer.Argument(metavar="FILE", help="New file, such as basis.npz.")],
) -> None:
    """Write the encoding of a store to a file that `convert --basis` reads."""
    from geoembz import save_basis

    encoding = save_basis(store, file)
    say(f"{file}: {printable(encoding.recipe)}, {encoding.hash}")


@app.command()
def info(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Path or URL of a store.")],
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print what a store holds, where it lies, what it costs and what it lost."""
    from geoembz import info as describe

    show(describe(store), as_json=json_)


@app.command()
def demo(
    directory: Annotated[
        Path, typer.Argument(metavar="[DIR]", help="Where to write.", show_default=True)
    ] = Path("geoembz-demo"),
    size: Annotated[int, typer.Option(metavar="N", help="Side of the scene, in pixels.")] = 512,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the scene.")] = 0,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Make a synthetic scene, convert it, open it lazily, and show what that cost and lost."""
    from geoembz._demo import run_demo

    show(run_demo(directory, size=size, seed=seed, say=None if json_ else say), as_json=json_)


app.command()(append)
app.command()(cost)
app.command()(evaluate)
app.command()(plan)
app.command()(publish)
app.command()(verify)
app.command()(sample)
app.command()(search)
app.command()(preview)
app.command()(export)
