"""Parts of objects in a bucket, as a page in a browser asks for them."""

from geoembz._objects.tree import ObjectTree
from tests.publish.conftest import Server

CONTENT = bytes(range(200))


def test_first_bytes_last_bytes_and_those_between(bucket: Server) -> None:
    """As of a local file; what is absent is None, and has no size."""
    bucket.put("a.zarr/embedding/c/0", CONTENT)
    tree = ObjectTree(f"s3://{bucket.bucket}/a.zarr")
    key = "embedding/c/0"
    assert tree.read_part(key, 3, 8) == CONTENT[3:8]
    assert tree.read_part(key, 150) == CONTENT[150:]
    assert tree.read_part(key, -20) == CONTENT[-20:]
    assert tree.read_part(key, 190, 500) == CONTENT[190:]
    assert tree.size(key) == len(CONTENT)
    assert tree.read_part("embedding/c/1", 0, 4) is None
    assert tree.size("embedding/c/1") is None
