"""Choose the object tree for a URL: S3 and HTTP by their own means, the rest by fsspec."""

from geoembz.publish.fsspec_tree import FsspecTree
from geoembz.publish.http_tree import HttpTree
from geoembz.publish.retry import RetryPolicy
from geoembz.publish.s3_tree import S3Tree, s3_filesystem
from geoembz.publish.tree import ObjectTree
from geoembz.store.names import check_endpoint, parse_store_url
from geoembz.store.remote import ranged_http


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
