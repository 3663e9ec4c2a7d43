"""Put the page that shows a store beside it, and tell whether browsers can read it there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from typing import Self
from urllib.error import HTTPError
from urllib.parse import quote
from urllib.request import Request, urlopen

from geoembz._objects.names import StoreUrl
from geoembz._publish.manifest import digest
from geoembz._publish.tree import PublishedTree
from geoembz._view.bundle import INDEX

_SECONDS = 20
_ANYWHERE = "https://viewer.invalid"
"""An origin that nobody has: what is granted to it is granted to all."""
_NEEDED = ("ETag", "Content-Range")
_PARTIAL_CONTENT = 206


def page_name(store: str) -> str:
    """Return the name of the folder of a store's page, which lies beside it.

    Examples
    --------
    >>> page_name("out.zarr")
    'out.zarr.view'
    """
    return f"{store}.view"


def write_page(tree: PublishedTree, files: Mapping[str, bytes]) -> str:
    """Write the files of a page beside a store, the first one last; return where it is.

    Parameters
    ----------
    tree
        The objects of the store.
    files
        By name.
    """
    folder = page_name(tree.place.name)
    for name in sorted(files, key=lambda name: (name == INDEX, name)):
        tree.beside().send(f"{folder}/{name}", files[name], digest(files[name]))
    return f"{tree.place.parent}/{folder}/{INDEX}"


def public_address(url: StoreUrl, endpoint: str | None) -> str | None:
    """Return the web address of what lies under a URL; None where that is not known.

    Examples
    --------
    >>> from geoembz._objects.names import parse_store_url
    >>> public_address(parse_store_url("s3://bucket/a b/c.zarr"), "http://127.0.0.1:9000")
    'http://127.0.0.1:9000/bucket/a%20b/c.zarr'
    """
    if url.protocol != "s3":
        return None
    if endpoint:
        return f"{endpoint.rstrip('/')}/{url.bucket}/{quote(url.prefix)}"
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    host = f"s3.{region}.amazonaws.com" if region else "s3.amazonaws.com"
    return f"https://{url.bucket}.{host}/{quote(url.prefix)}"


@dataclass(frozen=True)
class Reach:
    """What a browser can do with a published store.

    Parameters
    ----------
    status
        Of a request for one byte of the root's document; None where there was no answer.
    has_ranges
        Whether one byte came, and not all of them.
    is_shared
        Whether pages of other origins may read it.
    hidden
        Headers that those pages cannot see, and need.
    """

    status: int | None
    has_ranges: bool = False
    is_shared: bool = False
    hidden: tuple[str, ...] = _NEEDED

    @classmethod
    def of(cls, address: str) -> Self:
        """Ask for one byte as a page of another origin does."""
        headers = {"Range": "bytes=0-0", "Origin": _ANYWHERE}
        try:
            asked = Request(f"{address}/zarr.json", headers=headers)  # noqa: S310 - of http(s)
            with urlopen(asked, timeout=_SECONDS) as got:  # noqa: S310
                return cls._from(got)
        except HTTPError as error:
            with error:
                return cls(error.code)
        except (OSError, HTTPException):
            return cls(None)

    @classmethod
    def _from(cls, got: HTTPResponse) -> Self:
        seen = {
            name.strip().lower()
            for name in got.headers.get("Access-Control-Expose-Headers", "").split(",")
        }
        return cls(
            got.status,
            has_ranges=got.status == _PARTIAL_CONTENT,
            is_shared=got.headers.get("Access-Control-Allow-Origin") in {"*", _ANYWHERE},
            hidden=()
            if "*" in seen
            else tuple(name for name in _NEEDED if name.lower() not in seen),
        )

    def in_words(self, address: str) -> tuple[str, ...]:
        """Return what is to be done, one line each; none where all is well."""
        if self.status is None:
            return (f"{address} does not answer this machine: look at the page where it is public",)
        if self.status >= 400:
            said = (
                f"{address} answers {self.status} to requests without credentials: let everybody "
                "read the bucket (s3:GetObject and s3:ListBucket), or look with geoembz view"
            )
            return (said,)
        lines = []
        if not self.has_ranges:
            lines.append(
                f"{address} sends whole objects where a range is asked for, which the page cannot "
                "use: serve it with ranges, as object stores, nginx and Caddy do"
            )
        if not self.is_shared or self.hidden:
            what = (
                "no CORS headers" if not self.is_shared else f"{' and '.join(self.hidden)} hidden"
            )
            lines.append(
                f"pages elsewhere cannot read {address} ({what}; the one beside it can): allow GET "
                f"and HEAD from every origin, and expose {', '.join(_NEEDED)} (docs: publish, CORS)"
            )
        return tuple(lines)
