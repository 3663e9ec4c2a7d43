"""`geoembz publish`: parse, publish, describe, print."""

from typing import Annotated

import typer

from geoembz._cli.options import Json, Quiet
from geoembz._cli.progress import show_progress
from geoembz._cli.show import show


def publish(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A complete store: a path or URL.")],
    url: Annotated[
        str,
        typer.Argument(metavar="URL", help="Where to, such as s3://bucket/prefix/name.zarr."),
    ],
    endpoint_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="S3 server other than Amazon's.",
            show_default="AWS_ENDPOINT_URL",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(metavar="N", help="Objects in flight, each held in memory.")
    ] = 8,
    anon_check: Annotated[
        bool, typer.Option("--anon-check", help="Afterwards read it without credentials.")
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace another store at the destination.")
    ] = False,
    break_lock: Annotated[
        bool, typer.Option("--break-lock", help="Take the destination from another command.")
    ] = False,
    stac: Annotated[bool, typer.Option(help="Write a STAC item and collection beside it.")] = True,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="DATE",
            help="First year, day or moment (UTC) that the embeddings describe, for STAC.",
            show_default="the time axis",
        ),
    ] = None,
    end: Annotated[
        str | None, typer.Option(metavar="DATE", help="Last one, to its end; for STAC.")
    ] = None,
    license_: Annotated[
        str | None,
        typer.Option(
            "--license",
            metavar="TEXT",
            help="SPDX name or URL, for STAC.",
            show_default="the store's",
        ),
    ] = None,
    json_: Json = False,
    quiet: Quiet = False,
) -> None:
    """Copy a store to object storage: whole or invisible, verified, resumable.

    The same command after any interruption goes on where it stopped.
    """
    from geoembz import publish as publish_store

    with show_progress("objects", quiet=quiet or json_) as progress:
        report = publish_store(
            store,
            url,
            endpoint_url=endpoint_url,
            workers=workers,
            anon_check=anon_check,
            overwrite=overwrite,
            break_lock=break_lock,
            stac=stac,
            start=start,
            end=end,
            license=license_,
            progress=progress,
        )
    show(report, as_json=json_, quiet=quiet)
