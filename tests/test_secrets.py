"""Credentials appear in no message, output, store, manifest or STAC document."""

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

import geoembz
from benchmarks.serving import RangeHandler
from geoembz._cli import main
from geoembz._publish import copy_store
from geoembz.errors import GeoembzError, StoreError, redact
from tests import products
from tests.publish.conftest import write_stac

SECRETS = ("hunter2222", "AKIAABCDEFGHIJKLMNOP", "s1gnature", "t0ken-of-a-session", "us3r-name")


@pytest.fixture(autouse=True)
def secrets_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put secrets where users have them."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", SECRETS[1])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRETS[0])
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRETS[3])


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    """Serve a folder with a raster and its store; return its address, user and password in it."""
    values = np.asarray(products.unit_vectors(16, 16, 8, seed=1))
    raster = products.write_raster(tmp_path / "site" / "a.tif", values)
    geoembz.convert(raster, tmp_path / "site" / "a.zarr", pca=4)
    handler = partial(RangeHandler, directory=str(tmp_path / "site"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield f"http://us3r-name:hunter2222@127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def hides(text: str) -> bool:
    """Whether a text shows none of the secrets."""
    return not any(secret in text for secret in SECRETS)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIAABCDEFGHIJKLMNOP:hunter2222@bucket/x",
        "https://us3r-name@host/x",
        "https://h/x?X-Amz-Credential=us3r-name%2F2026&X-Amz-Signature=s1gnature&a=1",
        "https://h/x?X-Amz-Security-Token=t0ken-of-a-session",
        "https://h/x?sv=1&sig=s1gnature",
        "https://h/x?X-Goog-Signature=s1gnature&b",
        "https://h/x?AWSAccessKeyId=us3r-name&Signature=s1gnature&Expires=1",
        "{'Authorization': 'Credential=us3r-name/2026, Signature=s1gnature'}",
        "https://h/x?apikey=s1gnature&n=1",
        "https://h/x?n=1&code=hunter2222;key=s1gnature",
        "https://h/x?hunter2222: not found",
        "https://h/x?us3r-name#hunter2222",
        "https://h/x#access_token=s1gnature&state=us3r-name",
        "/vsicurl?pc_url_signing=hunter2222&url=https://h/x",
        "GET h/x.zarr/zarr.json?any=hunter2222 failed",
        'NETCDF:"https://us3r-name:s1gnature@h/x.nc?t=hunter2222":v',
        "http://us3r-name:p@s1gnature@h/x",
        "http://us3r-name:#s1gnature@h/x",
        "url=URL('https://h/x?t=hunter2222')",
        "{'Authorization': 'Bearer s1gnature'}",
    ],
)
def test_what_looks_like_a_secret_is_taken_out(text: str) -> None:
    """In every error, whoever raises it."""
    assert hides(redact(text))
    assert hides(str(StoreError(f"{text}: went wrong")))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://bucket/a@b/c.zarr?x=1", "s3://bucket/a@b/c.zarr?x=***"),
        ("(https://h/x?a=1&b): no; go on", "(https://h/x?a=***&***): no; go on"),
        ("s3://bucket/tile?.tif", "s3://bucket/tile?.tif"),
        ("what? a=b, issue #12=4; C:/a#b", "what? a=b, issue #12=4; C:/a#b"),
        ('{"uri":"https://h/x?a=1","n":2}', '{"uri":"https://h/x?a=***","n":2}'),
    ],
)
def test_what_is_no_secret_stays(text: str, shown: str) -> None:
    """Places, patterns and the sentence around an address can be read."""
    assert redact(text) == shown


def test_secrets_of_the_environment_are_known_by_their_names(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a variable called a token, key or password holds."""
    for name in ("GS_SECRET_ACCESS_KEY", "MY_API_KEY", "GDAL_HTTP_USERPWD", "HUB_TOKEN"):
        monkeypatch.setenv(name, f"{name.lower()}-value")
        assert redact(f"it says {name.lower()}-value") == "it says ***"


@pytest.mark.parametrize("name", ["missing.parquet", "missing.zarr", "missing.tif"])
def test_tracebacks_show_none(
    name: str, site: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`--debug` prints what libraries said, without the credentials in it."""
    url = f"{site}/{name}?apikey=s1gnature&n=t0ken-of-a-session"
    with pytest.raises(SystemExit):
        main(["convert", url, str(tmp_path / "out.zarr"), "--debug"])
    said = capsys.readouterr().err
    assert "Traceback" in said
    assert hides(said)


@pytest.mark.parametrize(
    "words",
    [
        ["info", "{site}/a.zarr"],
        ["info", "{site}/missing.zarr"],
        ["verify", "{site}/a.zarr"],
        ["verify", "{site}/missing.zarr", "--json"],
        ["verify", "{site}/a.zarr", "--manifest"],
        ["convert", "{site}/missing.zarr", "out.zarr"],
        ["convert", "s3://us3r-name:hunter2222@bucket/a.tif", "out.zarr"],
        ["publish", "{site}/a.zarr", "s3://us3r-name:hunter2222@bucket/a.zarr"],
        ["cost", "{site}/missing.zarr"],
        ["cost", "{site}/missing.zarr?apikey=s1gnature"],
        ["info", "{site}/a.zarr?code=s1gnature"],
        ["convert", "{site}/missing.tif?anything=s1gnature", "out.zarr"],
        ["convert", "{site}/a.zarr?key=s1gnature", "out.zarr", "--json"],
        ["verify", "s3://us3r-name:hunter2222@bucket/a.zarr"],
    ],
)
def test_commands_show_none(
    words: list[str],
    site: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Neither in what they print nor in what they complain of."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit):
        main([word.format(site=site) for word in words])
    said = capsys.readouterr()
    assert said.out + said.err
    assert hides(said.out + said.err)
    assert "Traceback" not in said.err


def test_stores_manifests_and_catalogues_hold_none(site: str, tmp_path: Path) -> None:
    """What was read from an address with a password says where from, without it."""
    geoembz.convert(f"{site}/a.zarr", tmp_path / "b.zarr", pca=4)
    published = tmp_path / "public" / "b.zarr"
    copy_store(str(tmp_path / "b.zarr"), str(published))
    write_stac(str(published))
    written = [path for path in (tmp_path / "public").rglob("*") if path.is_file()]
    assert len(written) > 10
    for path in written:
        assert hides(path.read_bytes().decode("latin-1")), path
    sources = json.loads((published / "zarr.json").read_text())["attributes"]["geoembz:sources"]
    assert sources[0]["uri"].startswith("http://127.0.0.1:")


def test_errors_keep_their_type_and_code() -> None:
    """Taking secrets out changes nothing else."""
    error = StoreError("a: b", 3)
    assert error.args == ("a: b", 3)
    assert isinstance(error, GeoembzError)
