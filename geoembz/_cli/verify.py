"""`geoembz verify`: parse, verify, print, exit 1 where something is wrong."""

from typing import Annotated

import typer

from geoembz._cli.show import show


def verify(
    store: Annotated[str, typer.Argument(metavar="STORE", help="Path or URL of a store.")],
    *,
    against: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Compare with another copy.")
    ] = None,
    manifest: Annotated[
        bool, typer.Option("--manifest", help="Compare with the manifest beside the store.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", help="Shards at once.", show_default="one per core")
    ] = None,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Read a whole store again and name what is wrong; exit 1 if anything is."""
    from geoembz._verify import verify as verify_store

    found = verify_store(store, against=against, manifest=manifest, workers=workers)
    show(found, as_json=json_)
    if found.problems:
        raise typer.Exit(1)
