"""`geoembz publish`: parse, publish, describe, print."""

from typing import TYPE_CHECKING, Annotated

import typer

from geoembz._cli.show import say

if TYPE_CHECKING:
    from geoembz._publish import PublishReport


def publish(
    store: Annotated[str, typer.Argument(help="A complete store: a path or URL.")],
    url: Annotated[str, typer.Argument(help="Where to, e.g. s3://bucket/prefix/name.zarr.")],
    *,
    endpoint_url: Annotated[
        str | None, typer.Option(help="S3 server other than Amazon's [default: AWS_ENDPOINT_URL].")
    ] = None,
    workers: Annotated[int, typer.Option(help="Objects in flight, each held in memory.")] = 8,
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
    licence: Annotated[
        str | None,
        typer.Option("--license", help="SPDX name or URL, for STAC.", show_default="the store's"),
    ] = None,
) -> None:
    """Copy a store to object storage: whole or invisible, verified, resumable.

    The same command after any interruption goes on where it stopped.
    """
    from geoembz._publish import publish as publish_store
    from geoembz._publish.stac import check_place, check_pystac, describe_published
    from geoembz._publish.stac_time import checked_interval

    interval = checked_interval(start, end)
    if stac:
        check_pystac()
        check_place(store, endpoint_url=endpoint_url)
    report = publish_store(
        store,
        url,
        endpoint_url=endpoint_url,
        workers=workers,
        anon_check=anon_check,
        overwrite=overwrite,
        break_lock=break_lock,
        progress=_progress,
    )
    say(_summary(report))
    if stac:
        described = describe_published(
            url, interval=interval, licence=licence, endpoint_url=endpoint_url
        )
        for written in described.urls:
            say(f"wrote {written}")
        say(f"time {described.time}")
        if described.time.is_of_publication:
            say("publish again with --start and --end to say what time the embeddings describe")


def _progress(done: int, total: int) -> None:
    if done == total or done % max(1, total // 100) == 0:
        typer.echo(f"{done:,} of {total:,} objects", err=True)


def _summary(report: "PublishReport") -> str:
    return (
        f"{report.url}: {report.n_objects:,} objects, {report.n_uploaded:,} sent "
        f"({report.bytes_uploaded:,} bytes), {report.n_skipped:,} there already; all verified\n"
        f"manifest {report.manifest_url}"
    )
