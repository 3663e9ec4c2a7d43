"""What a server refuses for good is one line for people, for `convert` and for `publish` alike.

The codes are injected by a proxy, so that they come whatever the server checks.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

import geoembz
from geoembz._cli import main
from geoembz._objects import faults
from tests.publish.conftest import KEY, SECRET, Server
from tests.publish.fault_proxy import Proxy, Request, fault_proxy
from tests.remote.conftest import forget_clients

pytestmark = pytest.mark.parametrize("server", ["moto"], indirect=True)

TOKEN = "a-session-token-that-nobody-sees"  # noqa: S105

REFUSALS = {
    "InvalidAccessKeyId": "check AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "check AWS_SECRET_ACCESS_KEY",
    "ExpiredToken": "log in again",
    "InvalidToken": "check AWS_SESSION_TOKEN",
    "AccessDenied": "s3:PutObject",
    "RequestTimeTooSkewed": "this machine's clock is wrong",
}
ODD_NAMES = {
    "s3://bucket/a/../b.zarr": "..",
    "s3://bucket/../b.zarr": "..",
    "s3://bucket/./b.zarr": "expected",
    "s3://bucket/a//b.zarr": "expected",
    "s3://bucket/a\nb.zarr": "expected",
    "s3://bucket/a\x00b.zarr": "expected",
    "s3://bucket/\u202eb.zarr": "expected",
    "s3://bucket/a?versionId=b": "expected",
    "s3://bucket": "expected",
    f"s3://{KEY}:{SECRET}@bucket/b.zarr": "credentials",
}


@pytest.fixture
def proxy(bucket: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Proxy]:
    """Put a proxy before the server, for a user who has a session token."""
    with fault_proxy(bucket.endpoint) as made:
        monkeypatch.setenv("AWS_ENDPOINT_URL", made.url)
        monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
        monkeypatch.setattr(faults, "ATTEMPTS", 2)
        forget_clients()
        yield made
        forget_clients()


@pytest.fixture
def local_store(raster: Path, tmp_path: Path) -> Path:
    """Convert to a store on disk, to be published."""
    geoembz.convert(raster, tmp_path / "local.zarr", pca=4)
    return tmp_path / "local.zarr"


def refused(words: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail; return the one line it said, which shows no credentials."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code in (1, 2)
    printed = capsys.readouterr()
    said = printed.err.rstrip("\n")
    assert len(said.splitlines()) == 1, said
    assert "Traceback" not in said
    for secret in (KEY, SECRET, TOKEN):
        assert secret not in printed.out + printed.err
    return said


def words(command: str, url: str, raster: Path, local_store: Path) -> list[str]:
    """Return the command that writes a store to a URL."""
    return [command, str(raster if command == "convert" else local_store), url]


@pytest.mark.parametrize("method", ["every request", "PUT"])
@pytest.mark.parametrize("code", REFUSALS)
@pytest.mark.parametrize("command", ["convert", "publish"])
def test_a_refusal_is_one_line(
    command: str,
    code: str,
    method: str,
    raster: Path,
    local_store: Path,
    bucket: Server,
    proxy: Proxy,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The line says the remedy and where; nothing is tried again, and no store appears."""
    refusals: list[Request] = []

    def fault(request: Request) -> str | None:
        if method in ("every request", request.method):
            refusals.append(request)
            return code
        return None

    proxy.fault = fault
    said = refused(
        words(command, f"s3://{bucket.bucket}/out.zarr", raster, local_store), capsys
    )  # fmt: skip
    assert REFUSALS[code] in said
    assert f"s3://{bucket.bucket}" in said
    asked = [(request.method, request.path) for request in refusals]
    assert len(asked) == len(set(asked)) > 0
    assert not [key for key in bucket.list_keys() if key.endswith("out.zarr/zarr.json")]


@pytest.mark.parametrize("command", ["convert", "publish"])
def test_a_missing_bucket_is_one_line(
    command: str, raster: Path, local_store: Path, proxy: Proxy, capsys: pytest.CaptureFixture[str]
) -> None:
    """The server itself says that there is no such bucket; the line names it."""
    url = "s3://geoembz-absent-bucket/out.zarr"
    said = refused(words(command, url, raster, local_store), capsys)
    assert "geoembz-absent-bucket" in said
    assert "bucket does not exist" in said


@pytest.mark.parametrize("url", ODD_NAMES)
@pytest.mark.parametrize("command", ["convert", "publish"])
def test_odd_names_are_one_line_and_no_request(
    command: str,
    url: str,
    raster: Path,
    local_store: Path,
    proxy: Proxy,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A name that could leave its prefix, or carries a secret, is refused before any request."""
    said = refused(words(command, url, raster, local_store), capsys)
    assert ODD_NAMES[url] in said
    assert not proxy.requests
