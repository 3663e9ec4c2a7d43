"""Choose the object tree for a URL: S3 and HTTP by their own means, the rest by fsspec."""

from geoembz._objects.names import check_endpoint, parse_store_url
from geoembz._objects.stores import ranged_http
from geoembz._publish.fsspec_tree import FsspecTree
from geoembz._publish.http_tree import HttpTree
from geoembz._publish.retry import RetryPolicy
from geoembz._publish.s3_tree import S3Tree, s3_filesystem
from geoembz._publish.tree import ObjectTree


def open_tree(
    url: str,
    *,
    endpoint_url: str | None = None,
    anonymous: bool = False,
    policy: RetryPolicy | None = None,
) -> ObjectTree:
    """Return the tree under a URL or a local path.

    Parameters
    ----------
    url
        Of a store, checked by `parse_store_url`.
    endpoint_url
        Of an S3 server other than Amazon's; AWS_ENDPOINT_URL counts too.
    anonymous
        Send no credentials (S3 only).
    policy
        Retries.

    Raises
    ------
    InvalidConfigError
        If the URL or endpoint is refused.
    """
    store, policy = parse_store_url(url), policy or RetryPolicy()
    endpoint = check_endpoint(endpoint_url)
    if store.protocol == "s3":
        return S3Tree(store, s3_filesystem(endpoint, anonymous=anonymous), policy)
    if store.protocol in ("http", "https"):
        return HttpTree(store, ranged_http(), policy)
    import fsspec

    return FsspecTree(store, fsspec.filesystem(store.protocol), policy)
