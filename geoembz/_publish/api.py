"""Publish a store: copy it, then describe it as a STAC item and collection."""

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

from geoembz._objects.faults import RetryPolicy
from geoembz._publish.run import Progress, copy_store
from geoembz._publish.stac import check_place, check_pystac, describe
from geoembz._publish.stac_extent import checked_interval
from geoembz._spelling import spelled
from geoembz._util.results import Result

_WORKERS = 8
"""Objects in flight: more than cores, since each waits for the network."""


@dataclass(frozen=True)
class PublishReport(Result):
    """What `publish` did.

    Parameters
    ----------
    url, manifest_url
        Where the store and its manifest are.
    n_objects, n_uploaded, n_skipped
        Objects of the store; those sent; those that were there already, identical.
    bytes_uploaded
        Size of those sent.
    stac_urls
        Where the STAC item and collection are; empty where none were asked for.
    time
        The item's time and where it comes from, in words; None without an item.
    is_time_of_publication
        Whether the item's time says nothing about the embeddings.
    """

    url: str
    manifest_url: str
    n_objects: int
    n_uploaded: int
    n_skipped: int
    bytes_uploaded: int
    stac_urls: tuple[str, ...] = ()
    time: str | None = None
    is_time_of_publication: bool = False

    def to_table(self) -> str:
        """Return the report as lines of text."""
        lines = [
            (
                f"{self.url}: {self.n_objects:,} objects, {self.n_uploaded:,} sent "
                f"({self.bytes_uploaded:,} bytes), {self.n_skipped:,} there already; all verified"
            ),
            f"manifest {self.manifest_url}",
            *(f"wrote {written}" for written in self.stac_urls),
            *([] if self.time is None else [f"time {self.time}"]),
        ]
        if self.is_time_of_publication:
            advice = "publish again with --start and --end to say what time the embeddings describe"
            lines.append(spelled(advice))
        return "\n".join(lines)


def publish(
    store: str | Path,
    url: str,
    *,
    endpoint_url: str | None = None,
    workers: int | None = None,
    anon_check: bool = False,
    overwrite: bool = False,
    break_lock: bool = False,
    stac: bool = True,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    policy: RetryPolicy | None = None,
    progress: Progress | None = None,
) -> PublishReport:
    """Copy a store to where others read it: whole or invisible, verified, resumable, described.

    Objects that are there with the same size and checksum are not sent again, so the same call
    after any interruption goes on where it stopped. The manifest is written beside the store just
    before the root metadata; the STAC item and collection after it, while nobody else may write.

    Parameters
    ----------
    store
        A complete store: a local path or an fsspec URL.
    url
        Where to, such as ``s3://bucket/prefix/name.zarr``.
    endpoint_url
        Of an S3 server other than Amazon's; None for ``AWS_ENDPOINT_URL``.
    workers
        Objects in flight; each is held in memory. None for 8.
    anon_check
        Afterwards read the root and one object without credentials (S3).
    overwrite
        Replace another store at the destination. Its root goes first, so that readers find no
        store rather than a mixture.
    break_lock
        Take the destination from a command that holds it.
    stac
        Write a STAC item and collection beside it (needs pystac).
    start, end
        First and last year, month, day or moment (UTC) that the embeddings describe, for STAC; a
        period is taken whole. None: the time of the item that is there, else of the time axis,
        else that of publication.
    license
        SPDX name or URL, for STAC. None: the store's, or that of the collection that is there.
    policy
        Retries of each request.
    progress
        Called with the numbers of finished and of all objects.

    Returns
    -------
    report
        What was sent, and what lies beside it.

    Raises
    ------
    InvalidConfigError
        If a name or a time is refused; nothing was read or written.
    MissingPackageError
        If `stac` is asked for without pystac.
    DestinationExistsError
        If something else is at the destination, or another command writes there.
    StoreError
        If the source is no complete store, has no place on Earth, or changes meanwhile; if the
        server refuses, stays away, or stored something else; if `anon_check` fails.

    References
    ----------
    STAC 1.1; embeddings extension v0.0.1, projection v2.0.0, raster v2.0.0.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "mine.zarr", pca=16)
    >>> report = publish(tmp_path / "mine.zarr", str(tmp_path / "theirs.zarr"), stac=False)
    >>> report.n_uploaded == report.n_objects
    True
    """
    interval = checked_interval(start, end)
    path = str(store)
    if stac:
        check_pystac()
        check_place(path, endpoint_url=endpoint_url)
    copied = copy_store(
        path,
        url,
        endpoint_url=endpoint_url,
        workers=_WORKERS if workers is None else workers,
        anon_check=anon_check,
        overwrite=overwrite,
        break_lock=break_lock,
        policy=policy,
        progress=progress,
        describe=partial(describe, interval=interval, licence=license) if stac else None,
    )
    described = copied.described
    return PublishReport(
        url=copied.url,
        manifest_url=copied.manifest_url,
        n_objects=copied.n_objects,
        n_uploaded=copied.n_uploaded,
        n_skipped=copied.n_skipped,
        bytes_uploaded=copied.bytes_uploaded,
        stac_urls=() if described is None else described.urls,
        time=None if described is None else str(described.time),
        is_time_of_publication=described is not None and described.time.is_of_publication,
    )
