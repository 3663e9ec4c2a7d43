"""Names that could leave their prefix or carry a secret are refused before anything happens."""

from pathlib import Path

import pytest

from geoembz._objects.names import check_endpoint, check_key, parse_store_url
from geoembz.errors import InvalidConfigError


@pytest.mark.parametrize(
    "url",
    ["s3://bucket/../other/a.zarr", "s3://bucket/a/./b.zarr", "s3://bucket//a.zarr", "s3://bucket",
     "s3://bucket/", "s3://bucket/a\nb.zarr", "s3://bucket/a?b.zarr", "s3://bucket/a\\b.zarr", "s3://",
     "s3://bucket/ ", "", "s3://bucket/\u202ea.zarr", "s3://bucket/" + "a" * 1100],
)  # fmt: skip
def test_urls_that_are_refused(url: str) -> None:
    """Dots, empty parts, odd characters, whole buckets."""
    with pytest.raises(InvalidConfigError, match=r"expected|shorten"):
        parse_store_url(url)


def test_secrets_in_urls_are_refused_and_not_repeated() -> None:
    """Credentials belong in the environment; the message does not show them."""
    for check, url in ((parse_store_url, "s3://AKID:hunter2@bucket/a.zarr"),
                       (check_endpoint, "https://AKID:hunter2@host")):  # fmt: skip
        with pytest.raises(InvalidConfigError, match="credentials") as caught:
            check(url)
        assert "hunter2" not in str(caught.value)
        assert "AKID" not in str(caught.value)


@pytest.mark.parametrize("endpoint", ["localhost:9000", "ftp://host", "http://"])
def test_endpoints_are_http(endpoint: str) -> None:
    """An endpoint is an http or https URL."""
    with pytest.raises(InvalidConfigError, match="http"):
        check_endpoint(endpoint)


@pytest.mark.parametrize(
    "key", ["../a", "a/../b", "/a", "a//b", "a/", ".", "", "a\x00b", "a/..", "a|b"]
)
def test_keys_that_are_refused(key: str) -> None:
    """A key stays under its store."""
    with pytest.raises(InvalidConfigError, match="refused"):
        check_key(key)


def test_good_names_pass() -> None:
    """Plain URLs, paths and keys are returned as they are."""
    url = parse_store_url("s3://bucket/some/prefix/out.zarr/")
    assert (url.bucket, url.prefix, url.name) == ("bucket", "some/prefix/out.zarr", "out.zarr")
    assert str(url.parent) == "s3://bucket/some/prefix"
    assert parse_store_url("/tmp/a b/out.zarr").root == "/tmp/a b/out.zarr"  # noqa: S108
    assert check_key("embedding/c/0/1/2") == "embedding/c/0/1/2"
    assert check_endpoint("http://127.0.0.1:9000") == "http://127.0.0.1:9000"
    assert check_endpoint(None) is None


@pytest.mark.parametrize(
    "url", ["public/land.zarr", "file://public/land.zarr", "./public/land.zarr/"]
)
def test_relative_paths_name_no_host(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The URL of a relative path is that of the absolute one: "public" is a folder."""
    monkeypatch.chdir(tmp_path)
    assert str(parse_store_url(url)) == f"file://{tmp_path}/public/land.zarr"
