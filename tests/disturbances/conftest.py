"""S3 servers for the experiments."""

from tests.publish.conftest import gateway, gateway_directory, gateway_endpoint, moto_endpoint

__all__ = ["gateway", "gateway_directory", "gateway_endpoint", "moto_endpoint"]
