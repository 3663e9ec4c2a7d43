"""The S3 servers of `tests.publish`."""

from tests.publish.conftest import (
    gateway_directory,
    gateway_endpoint,
    moto_endpoint,
    server,
    store,
)

__all__ = ["gateway_directory", "gateway_endpoint", "moto_endpoint", "server", "store"]
