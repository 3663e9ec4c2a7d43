"""Conversions straight into a bucket: the same objects, the same resume, errors without secrets."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz.errors import GeoembzError, InvalidConfigError, StoreError
from geoembz.store.summary import describe
from tests.conversion.test_interruption import Killed
from tests.publish.conftest import SECRET, Server
from tests.remote.conftest import download
from tests.trees import objects

OPTIONS: dict[str, Any] = {"pca": 5, "chunk": 8, "shard": 16}


@pytest.mark.parametrize("kind", ["int8", "int4"])
def test_a_store_in_a_bucket_has_the_objects_of_a_local_one(
    kind: str, raster_with_holes: Path, bucket: Server, tmp_path: Path
) -> None:
    """Bit for bit, the journal gone; and it opens, describes and reads like the local one."""
    url = f"s3://{bucket.bucket}/some/out.zarr"
    geoembz.convert(raster_with_holes, tmp_path / "local", quantizer=kind, **OPTIONS)
    geoembz.convert(raster_with_holes, url, quantizer=kind, **OPTIONS)
    copy = download(bucket, "some/out.zarr", tmp_path / "copy")
    assert objects(copy) == objects(tmp_path / "local")
    local, remote = geoembz.open(tmp_path / "local"), geoembz.open(url)
    np.testing.assert_array_equal(remote.embedding.values, local.embedding.values)
    assert describe(url).bytes_stored == describe(str(tmp_path / "local")).bytes_stored


def test_an_interrupted_conversion_into_a_bucket_resumes(
    raster_with_holes: Path, bucket: Server, tmp_path: Path
) -> None:
    """Until the end there is no store; then it is that of an uninterrupted conversion."""
    url = f"s3://{bucket.bucket}/out.zarr"

    def progress(done: int, _total: int) -> None:
        if done >= 4:
            raise Killed

    with pytest.raises(Killed):
        geoembz.convert(raster_with_holes, url, workers=1, progress=progress, **OPTIONS)
    with pytest.raises(StoreError, match="unfinished"):
        geoembz.open(url)
    with pytest.raises(InvalidConfigError, match="repeat the former"):
        geoembz.convert(raster_with_holes, url, **{**OPTIONS, "pca": 4})
    geoembz.convert(raster_with_holes, url, **OPTIONS)
    geoembz.convert(raster_with_holes, tmp_path / "local", **OPTIONS)
    assert objects(download(bucket, "out.zarr", tmp_path / "copy")) == objects(tmp_path / "local")
    with pytest.raises(InvalidConfigError, match="holds a store already"):
        geoembz.convert(raster_with_holes, url, **OPTIONS)


@pytest.mark.parametrize("command", ["convert", "info"])
@pytest.mark.parametrize("wrong", ["bucket", "endpoint", "credentials"])
def test_a_server_s_refusal_is_one_message_without_credentials(
    command: str,
    wrong: str,
    raster: Path,
    bucket: Server,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The command line says what the server said and what to do, in one line."""
    url = f"s3://{bucket.bucket}/out.zarr"
    secret = SECRET
    if wrong == "bucket":
        url, expected = "s3://geoembz-absent-bucket/out.zarr", "bucket does not exist"
    elif wrong == "endpoint":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9")
        expected = "expected http://"
    elif bucket.kind == "moto":
        pytest.skip("moto takes any credentials")
    else:
        secret, expected = "not-the-secret-key-0123", "secret key is wrong"
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    words = ["convert", str(raster), url] if command == "convert" else ["info", url]
    with pytest.raises(SystemExit) as caught:
        main(words)
    assert caught.value.code in (1, 2)
    said = capsys.readouterr().err
    assert expected in said
    assert "Traceback" not in said
    assert len(said.splitlines()) == 1
    assert secret not in said


@pytest.mark.parametrize(
    "url", ["s3://bucket/a/../b", "s3://bucket", "s3://AKIAABC:hunter2222@bucket/x", "s3://b/a//b"]
)
def test_odd_urls_are_refused_before_any_request(url: str, raster: Path) -> None:
    """Nothing leaves its prefix; credentials in a URL are not repeated."""
    with pytest.raises(GeoembzError) as caught:
        geoembz.convert(raster, url)
    assert "hunter2222" not in str(caught.value)


def test_no_credentials_in_the_store(raster: Path, bucket: Server, tmp_path: Path) -> None:
    """What is written says nothing about who wrote it."""
    geoembz.convert(raster, f"s3://{bucket.bucket}/out.zarr", pca=4)
    folder = download(bucket, "out.zarr", tmp_path / "copy")
    assert not [name for name, data in objects(folder).items() if SECRET.encode() in data]
    shutil.rmtree(folder)
