"""The S3 servers of `tests.publish`, with the server of the test in the environment."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conversion.conftest import holes, raster, raster_with_holes, scene
from tests.publish.conftest import (
    Server,
    forget_clients,
    gateway,
    gateway_directory,
    gateway_endpoint,
    moto,
    moto_endpoint,
    server,
)

__all__ = [
    "forget_clients",
    "gateway",
    "gateway_directory",
    "gateway_endpoint",
    "holes",
    "moto",
    "moto_endpoint",
    "raster",
    "raster_with_holes",
    "scene",
    "server",
]


@pytest.fixture
def bucket(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Return the server after naming it in AWS_ENDPOINT_URL, as a user does."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    forget_clients()
    yield server
    forget_clients()


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let clients of S3 pause a twentieth of what they do, and s3fs ask twice instead of 5 times.

    A conversion that meets a dead server asks for one thing after another, each with pauses.
    """

    async def nap(_: object, seconds: float) -> None:
        await asyncio.sleep(seconds / 20)

    monkeypatch.setattr("aiobotocore.endpoint.AioEndpoint._sleep", nap)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 2)


def download(server: Server, prefix: str, folder: Path) -> Path:
    """Copy every object below a prefix to a folder."""
    for key, content in server.contents(prefix).items():
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
