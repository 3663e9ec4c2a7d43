"""An S3 server for each test: moto's always, Ceph's gateway where `-m server` asks for it."""

import itertools
import json
import os
import re
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from geoembz._objects.stores import s3_is_anonymous
from geoembz._publish.stac import describe
from geoembz._publish.tree import open_tree
from tests.map.conftest import make_store  # noqa: F401 - the same fixture

SCRIPT = Path(__file__).parents[1] / "integration" / "s3-server.sh"
NAMES = {"moto": "moto", "gateway": "Ceph RADOS Gateway"}
S3_SERVER = "S3 server"
KEY, SECRET = "testaccesskey", "testsecretkey0123456789"
_bucket_numbers = itertools.count()
_kept: list[Any] = []


@dataclass(frozen=True)
class Server:
    """A running S3 server and a bucket of its own for the test."""

    kind: str
    endpoint: str
    bucket: str

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        _client(self.endpoint).create_bucket(Bucket=name)

    def put(self, key: str, data: bytes) -> None:
        """Store an object behind the back of whoever is tested."""
        _client(self.endpoint).put_object(Bucket=self.bucket, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        """Return an object."""
        return bytes(_client(self.endpoint).get_object(Bucket=self.bucket, Key=key)["Body"].read())

    def find(self, key: str) -> bytes | None:
        """Return an object, None where there is none."""
        client = _client(self.endpoint)
        try:
            return self.get(key)
        except client.exceptions.NoSuchKey:
            return None

    def head(self, key: str) -> dict[str, object]:
        """Return an object's headers."""
        return dict(_client(self.endpoint).head_object(Bucket=self.bucket, Key=key))

    def list_keys(self) -> list[str]:
        """Return every key in the bucket."""
        pages = _client(self.endpoint).get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return sorted(item["Key"] for page in pages for item in page.get("Contents", ()))

    def contents(self, prefix: str) -> dict[str, bytes]:
        """Return every object below a prefix, by the rest of its key."""
        keys = [key for key in self.list_keys() if key.startswith(f"{prefix}/")]
        with ThreadPoolExecutor(8) as pool:
            found = zip(keys, pool.map(self.find, keys), strict=True)
            return {
                key.removeprefix(f"{prefix}/"): value for key, value in found if value is not None
            }

    def make_public(self, *actions: str) -> None:
        """Let everyone read the bucket, or do no more than some actions."""
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": list(actions or ("s3:GetObject", "s3:ListBucket")),
            "Resource": [f"arn:aws:s3:::{self.bucket}", f"arn:aws:s3:::{self.bucket}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        _client(self.endpoint).put_bucket_policy(Bucket=self.bucket, Policy=policy)


@cache
def _client(endpoint: str) -> Any:
    import botocore.session

    return botocore.session.get_session().create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
    )


@pytest.fixture(scope="session")
def moto_endpoint() -> Iterator[str]:
    """Run moto's server on loopback."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="session")
def gateway_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return where the gateway keeps its data. S3_SERVER_DIR names that of a running one."""
    given = os.environ.get("S3_SERVER_DIR")
    directory = given or str(tmp_path_factory.mktemp("s3-server"))
    yield directory
    if not given:
        wipe_gateway(directory)


def wipe_gateway(directory: str) -> None:
    """End the gateway in a directory and delete its data."""
    subprocess.run(["bash", str(SCRIPT), "wipe", directory], capture_output=True, check=False)


@pytest.fixture(scope="session")
def gateway_endpoint(gateway_directory: str) -> str | None:
    """Run Ceph's gateway; None where it cannot be installed, or S3_SERVER says moto."""
    if os.environ.get("S3_SERVER") == "moto":
        return None
    return start_gateway(gateway_directory)


def start_gateway(directory: str) -> str | None:
    """Start the gateway that keeps its data in a directory, or resume it; return its endpoint."""
    port = [] if (Path(directory) / "complete").exists() else ["0"]
    started = subprocess.run(
        ["bash", str(SCRIPT), "start", directory, *port],
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"AWS_ENDPOINT_URL=([^\s;]+)", started.stdout)
    return found[1] if started.returncode == 0 and found else None


@pytest.fixture(params=["moto", pytest.param("gateway", marks=pytest.mark.server)])
def server(request: pytest.FixtureRequest) -> Server:
    """Return a server with an empty bucket, credentials in the environment; say which it is."""
    made: Server = request.getfixturevalue(request.param)
    return made


@pytest.fixture
def moto(
    request: pytest.FixtureRequest, moto_endpoint: str, monkeypatch: pytest.MonkeyPatch
) -> Server:
    """Return moto's server."""
    return _start("moto", moto_endpoint, request, monkeypatch)


@pytest.fixture
def gateway(
    request: pytest.FixtureRequest,
    moto_endpoint: str,
    gateway_endpoint: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> Server:
    """Return Ceph's gateway, or moto's server where it cannot be installed."""
    kind = "gateway" if gateway_endpoint else "moto"
    return _start(kind, gateway_endpoint or moto_endpoint, request, monkeypatch)


def _start(
    kind: str, endpoint: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Server:
    use_server(monkeypatch)
    request.node.user_properties.append((S3_SERVER, NAMES[kind]))
    made = Server(kind, endpoint, f"geoembz-{os.getpid()}-{next(_bucket_numbers)}")
    made.make_bucket(made.bucket)
    return made


def use_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the servers' credentials into the environment, and nothing else of AWS."""
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    forget_clients()


def forget_clients() -> None:
    """Make the next client read the environment anew.

    Zarr's clients belong to its event loop and nobody closes them, so they are kept until the end.
    """
    import s3fs

    s3_is_anonymous.cache_clear()
    _kept.extend(s3fs.S3FileSystem._cache.values())
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Return a small sharded store, with one object above a mebibyte."""
    import numpy as np
    import zarr

    path = tmp_path / "out.zarr"
    root = zarr.open_group(path, mode="w")
    root.attrs.update(
        {
            "geoemb:type": "pixel",
            "geoemb:dimensions": 16,
            "geoemb:model": "urn:geoembz:model:unknown",
            "geoemb:source_data": ["https://example.org/tile.tif"],
            "geoemb:data_type": "int8",
            "geoemb:gsd": 10.0,
            "geoemb:quantization": {
                "method": "geoembz:pca16-int8",
                "original_dtype": "float32",
                "quantized_dtype": "int8",
                "link": "https://example.org/spec",
            },
            "proj:code": "EPSG:32633",
            "spatial:transform": [10, 0, 500000, 0, -10, 5000000],
            "spatial:shape": [600, 300],
            "spatial:bbox": [500000, 4994000, 503000, 5000000],
        }
    )
    codes = root.create_array(
        "embedding",
        shape=(16, 600, 300),
        dtype="int8",
        fill_value=-128,
        chunks=(16, 75, 75),
        shards=(16, 300, 300),
        dimension_names=["component", "y", "x"],
        attributes={"nodata": -128},
    )
    rng = np.random.default_rng(0)
    codes[...] = rng.integers(-127, 128, codes.shape).astype(np.int8)
    encoding = root.create_group("encoding")
    encoding.create_array("mean", data=rng.normal(size=64).astype("float32"))
    return path


def write_stac(url: str, **options: Any) -> tuple[str, str]:
    """Write an item and a collection beside a store; return their URLs."""
    return describe(open_tree(url), **options).urls
