"""The S3 servers of `tests.publish`, and the scene of `tests.conversion`."""

from tests.conversion.conftest import holes, raster_with_holes, scene
from tests.publish.conftest import (
    gateway_directory,
    gateway_endpoint,
    moto_endpoint,
    server,
    store,
)
from tests.remote.conftest import bucket

__all__ = [
    "bucket",
    "gateway_directory",
    "gateway_endpoint",
    "holes",
    "moto_endpoint",
    "raster_with_holes",
    "scene",
    "server",
    "store",
]
