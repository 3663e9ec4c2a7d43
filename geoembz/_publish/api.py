"""Publish a store: copy it, then describe it as a STAC item and collection."""

import os
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from pathlib import Path

from geoembz._objects.faults import RetryPolicy
from geoembz._objects.names import check_endpoint, is_icechunk, parse_store_url
from geoembz._objects.tree import ObjectTree
from geoembz._publish.icechunk import commit_store
from geoembz._publish.page import Reach, public_address
from geoembz._publish.run import PublishReport, copy_store
from geoembz._publish.stac import check_place, check_pystac, describe
from geoembz._publish.stac_extent import checked_interval
from geoembz._publish.thumbnail import make_thumbnail
from geoembz._util.dry_run import is_dry
from geoembz._util.progress import Progress
from geoembz._view import built_page
from geoembz.errors import InvalidConfigError, redact
from geoembz.store.digests import ROOT
from geoembz.store.maps import map_object

_WORKERS = 8
"""Objects in flight: more than cores, since each waits for the network."""


def publish(
    store: str | Path,
    url: str | Path,
    *,
    endpoint_url: str | None = None,
    workers: int | None = None,
    anon_check: bool = False,
    overwrite: bool = False,
    break_lock: bool = False,
    stac: bool = True,
    viewer: bool = False,
    start: datetime | str | None = None,
    end: datetime | str | None = None,
    license: str | None = None,  # noqa: A002 - the field's word
    message: str | None = None,
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
        Where to: a fsspec URL such as ``s3://bucket/prefix/name.zarr``, or a local path; or a
        branch of an Icechunk repository, ``icechunk+s3://bucket/prefix@main``: then the store, or
        what is new of it, is committed as one snapshot, with nothing beside it.
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
    viewer
        Write the page of `geoembz.view` beside it, and look whether browsers can read the store.
    start, end
        First and last year, month, day or moment (UTC) that the embeddings describe, for STAC; a
        period is taken whole. None: the time of the item that is there, else of the time axis,
        else that of publication.
    license
        SPDX name or URL, for STAC. None: the store's, or that of the collection that is there.
    message
        Of the commit to an Icechunk repository; None says what was published.
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
        If a name, a time or an option is refused; nothing was read or written.
    MissingPackageError
        If `stac` is asked for without pystac, or `viewer` without a page that is built or npm.
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
    >>> report = publish(tmp_path / "mine.zarr", tmp_path / "theirs.zarr", stac=False)
    >>> report.n_uploaded == report.n_objects
    True
    """
    interval = checked_interval(start, end)
    path, url = str(store), str(url)
    workers = _WORKERS if workers is None else workers
    if is_icechunk(url):
        beside: dict[str, object] = {
            "anon_check": anon_check,
            "viewer": viewer,
            "break_lock": break_lock,
        }
        beside |= {"start": start, "end": end, "license": license}
        _refuse_beside(url, beside)
        if is_dry():
            raise InvalidConfigError(
                f"publish: no dry run to {url}: what differs is known once a session is open; "
                "publish without one, which commits only what is new"
            )
        return commit_store(
            path,
            url,
            message=message,
            endpoint_url=endpoint_url,
            workers=workers,
            overwrite=overwrite,
            progress=progress,
        )
    if message is not None:
        raise InvalidConfigError(
            f"publish: message {message!r}, but {url} is no Icechunk repository; leave it out, or "
            "name a branch, icechunk+…@main"
        )
    if stac:
        check_pystac()
        check_place(path, endpoint_url=endpoint_url)
    place = parse_store_url(url)
    endpoint = check_endpoint(endpoint_url or os.environ.get("AWS_ENDPOINT_URL") or None)
    address = public_address(place, endpoint)
    report = copy_store(
        path,
        url,
        endpoint_url=endpoint_url,
        workers=workers,
        anon_check=anon_check,
        overwrite=overwrite,
        break_lock=break_lock,
        policy=policy,
        progress=progress,
        describe=partial(
            describe,
            interval=interval,
            licence=license,
            address=address if endpoint else None,  # a region that is not said is not guessed
            thumbnail=None if is_dry() else make_thumbnail(path),
        )
        if stac
        else None,
        page=_build_page(path, url, f"../{place.name}") if viewer and not is_dry() else None,
    )
    if address is None or not viewer:
        return report
    return replace(report, notes=Reach.of(address).in_words(address))


def _refuse_beside(url: str, options: Mapping[str, object]) -> None:
    """Refuse options of what a repository does not have: files beside it, and a lock."""
    for name, value in options.items():
        if value:
            raise InvalidConfigError(
                f"publish: {name} with {url}: a repository has no item, page or lock of ours, and "
                "its readers need icechunk; leave the option out"
            )


def _build_page(source: str, url: str, address: str) -> dict[str, bytes]:
    """Return the page of what is published: a store, or a map that `geoembz map` made."""
    root = ObjectTree(source).read_json(ROOT) or {}
    if map_object(root.get("attributes") or {}) is None:
        return built_page(address, redact(url))
    return built_page(None, redact(url), maps={address: redact(url)})
