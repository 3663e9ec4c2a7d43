"""A published store is whole or invisible, identical, described, and can be verified."""

import json
import os
import shutil
import traceback
from pathlib import Path

import numpy as np
import pytest
import zarr

from geoembz._publish import (
    PublishReport,
    RetryPolicy,
    copy_store,
    read_manifest,
    verify_against,
    verify_objects,
)
from geoembz.errors import DestinationExistsError, InvalidConfigError, StoreError
from tests.publish.conftest import SECRET, Server
from tests.publish.fault_proxy import Proxy, Request, fault_proxy

IMPATIENT = RetryPolicy(attempts=4, first_pause_s=0.01, longest_pause_s=0.02)


def local_objects(store: Path) -> dict[str, bytes]:
    return {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}


def manifest(**changes: object) -> str:
    empty = {"format": "geoembz-manifest/1", "store": "a", "n_objects": 0, "total_bytes": 0}
    return json.dumps(empty | {"objects": []} | changes)


def shown(error: BaseException) -> str:
    """Return all that a traceback would print."""
    return "".join(traceback.format_exception(error))


def url_of(server: Server) -> str:
    return f"s3://{server.bucket}/data/out.zarr"


def send(
    store: Path,
    server: Server,
    *,
    endpoint: str | None = None,
    workers: int = 4,
    overwrite: bool = False,
    anon_check: bool = False,
) -> PublishReport:
    return copy_store(
        str(store),
        url_of(server),
        endpoint_url=endpoint or server.endpoint,
        workers=workers,
        overwrite=overwrite,
        anon_check=anon_check,
        policy=IMPATIENT,
    )


def test_published_is_identical(store: Path, server: Server) -> None:
    """Every object arrives bit for bit, typed, with a manifest; zarr reads it."""
    done: list[tuple[int, int]] = []
    report = copy_store(
        str(store), url_of(server), endpoint_url=server.endpoint,
        progress=lambda n, total: done.append((n, total)),
    )  # fmt: skip
    expected = local_objects(store)
    assert report.n_uploaded == report.n_objects == len(expected)
    assert report.bytes_uploaded == sum(map(len, expected.values()))
    assert done == [(n, len(expected)) for n in range(1, len(expected) + 1)]
    assert server.list_keys() == sorted(
        ["data/out.zarr.manifest.json", *(f"data/out.zarr/{key}" for key in expected)]
    )
    for key, data in expected.items():
        assert server.get(f"data/out.zarr/{key}") == data
    assert server.head("data/out.zarr/zarr.json")["ContentType"] == "application/json"
    shard = server.head("data/out.zarr/embedding/c/0/0/0")
    assert shard["ContentType"] == "application/octet-stream"
    remote = zarr.open_array(
        f"{url_of(server)}/embedding", mode="r", storage_options={"endpoint_url": server.endpoint}
    )
    np.testing.assert_array_equal(remote[:], zarr.open_array(store / "embedding", mode="r")[:])


def test_publishing_again_sends_nothing(store: Path, server: Server) -> None:
    """What is there with the same size and checksum is skipped."""
    send(store, server)
    again = send(store, server)
    assert (again.n_uploaded, again.bytes_uploaded) == (0, 0)
    assert again.n_skipped == again.n_objects


def test_metadata_comes_last(store: Path, server: Server) -> None:
    """Data, then metadata from the leaves up, the manifest, and the root's metadata at the end."""
    with fault_proxy(server.endpoint) as proxy:
        send(store, server, endpoint=proxy.url)
    puts = [r.path.split("/", 3)[3] for r in proxy.requests if is_put(r)]
    kinds = [kind(key) for key in puts]
    n_data = kinds.count("data")
    assert kinds == ["data"] * n_data + [3] + [2, 2] + ["manifest", "root"]


@pytest.mark.parametrize("after", [0, 1, 2, 4, 6, 7])
def test_interrupted_anywhere_is_invisible_and_resumes(
    store: Path, server: Server, after: int
) -> None:
    """If the server dies after n objects there is no root to read; the same call finishes."""
    puts = 0

    def die(request: Request) -> str | None:
        nonlocal puts
        puts += is_put(request)
        return "drop" if puts > after and is_put(request) else None

    with fault_proxy(server.endpoint) as proxy:
        proxy.fault = die
        with pytest.raises(StoreError, match="same command again"):
            send(store, server, endpoint=proxy.url, workers=1)
    assert "data/out.zarr/zarr.json" not in server.list_keys()
    report = send(store, server)
    assert report.n_skipped == min(after, report.n_objects - 1)
    assert verify_against(url_of(server), str(store), endpoint_url=server.endpoint) == []
    assert verify_objects(url_of(server), endpoint_url=server.endpoint) == []


@pytest.mark.parametrize("fault", ["SlowDown", "InternalError", "BadDigest", "drop"])
def test_storms_are_ridden_out(store: Path, server: Server, fault: str) -> None:
    """The first two requests for each object fail; all arrive all the same."""
    seen: dict[tuple[str, str], int] = {}

    def storm(request: Request) -> str | None:
        key = request.method, request.path
        seen[key] = seen.get(key, 0) + 1
        return fault if seen[key] <= 2 else None

    with fault_proxy(server.endpoint) as proxy:
        proxy.fault = storm
        report = send(store, server, endpoint=proxy.url)
    assert report.n_uploaded == len(local_objects(store))
    assert verify_objects(url_of(server), endpoint_url=server.endpoint) == []


def test_a_server_that_never_recovers(store: Path, server: Server) -> None:
    """The attempts are bounded and the error names the code, not the credentials."""
    with fault_proxy(server.endpoint) as proxy:
        proxy.fault = lambda _: "SlowDown"
        with pytest.raises(StoreError, match=r"after 4 attempts .*SlowDown") as caught:
            send(store, server, endpoint=proxy.url)
        assert len(proxy.requests) == 4
    assert SECRET not in shown(caught.value)


def test_no_server(store: Path, server: Server) -> None:
    """Nobody listens: a clear error after bounded attempts."""
    with pytest.raises(StoreError, match="same command again"):
        send(store, server, endpoint="http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("AccessDenied", "s3:PutObject"),
        ("RequestTimeTooSkewed", "clock"),
        ("ExpiredToken", "log in"),
    ],
)
def test_refusals_say_what_to_do(store: Path, server: Server, code: str, advice: str) -> None:
    """No permission, a wrong clock, an old token: one attempt, and the remedy."""
    with fault_proxy(server.endpoint) as proxy:
        proxy.fault = lambda request: code if request.method == "PUT" else None
        with pytest.raises(StoreError, match=advice):
            send(store, server, endpoint=proxy.url, workers=1)
        assert sum(request.method == "PUT" for request in proxy.requests) == 1


def test_missing_bucket(store: Path, server: Server) -> None:
    """A bucket that is not there is named."""
    with pytest.raises(StoreError, match=r"nosuchbucket-geoembz.*does not exist"):
        copy_store(str(store), "s3://nosuchbucket-geoembz/a.zarr", endpoint_url=server.endpoint)


def test_no_credentials(store: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials the error names the variables to set."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(StoreError, match="no credentials; set AWS_ACCESS_KEY_ID"):
        send(store, server)


def test_wrong_credentials(store: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that checks them refuses, and neither key is repeated."""
    if server.kind == "moto":
        pytest.skip("moto checks no credentials")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong-secret-key")
    with pytest.raises(StoreError, match="AWS_SECRET_ACCESS_KEY") as caught:
        send(store, server)
    assert "wrong-secret-key" not in shown(caught.value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "unknown-access-key")
    with pytest.raises(StoreError, match="AWS_ACCESS_KEY_ID") as caught:
        send(store, server)
    assert "unknown-access-key" not in shown(caught.value)


def test_anonymous_check(store: Path, server: Server) -> None:
    """`--anon-check` fails on a private bucket and passes on a public one."""
    if server.kind == "moto":
        pytest.skip("moto lets everyone read")
    with pytest.raises(StoreError, match="not public"):
        send(store, server, anon_check=True)
    server.make_public("s3:GetObject")
    with pytest.raises(StoreError, match="s3:ListBucket"):
        send(store, server, anon_check=True)
    server.make_public()
    assert send(store, server, anon_check=True).n_uploaded == 0


def test_another_store_is_not_replaced(store: Path, server: Server) -> None:
    """A different store at the destination stays, unless --overwrite; then none of it is left."""
    send(store, server)
    zarr.open_group(store).attrs["title"] = "another"
    (store / "embedding/c/0/1/0").unlink()
    before = {key: server.get(key) for key in server.list_keys()}
    with pytest.raises(DestinationExistsError, match=r"another store.*overwrite=True"):
        send(store, server)
    assert {key: server.get(key) for key in server.list_keys()} == before
    with fault_proxy(server.endpoint) as proxy:
        send(store, server, endpoint=proxy.url, overwrite=True)
    changes = [r for r in proxy.requests if r.method in ("PUT", "DELETE") and not of_lock(r)]
    assert changes[0].method == "DELETE"
    assert changes[0].path.endswith("out.zarr/zarr.json")
    assert "data/out.zarr/embedding/c/0/1/0" not in server.list_keys()
    assert verify_against(url_of(server), str(store), endpoint_url=server.endpoint) == []


def test_leftovers_of_another_publish_are_not_mixed_in(store: Path, server: Server) -> None:
    """A shard that this store leaves empty must not come from what lay there before."""
    server.put("data/out.zarr/embedding/c/0/7/7", b"stale")
    with pytest.raises(DestinationExistsError, match="not of this store"):
        send(store, server)
    send(store, server, overwrite=True)
    assert "data/out.zarr/embedding/c/0/7/7" not in server.list_keys()


def test_neighbours_are_left_alone(store: Path, server: Server) -> None:
    """A store whose name begins alike is another store."""
    server.put("data/out.zarr2/zarr.json", b"{}")
    server.put("data/out.zar", b"x")
    send(store, server, overwrite=True)
    assert {"data/out.zarr2/zarr.json", "data/out.zar"} <= set(server.list_keys())


def test_damage_is_found_and_repaired(store: Path, server: Server) -> None:
    """Verification names each damaged, missing and foreign object; publishing again repairs."""
    send(store, server)
    good = server.get("data/out.zarr/embedding/c/0/0/0")
    server.put("data/out.zarr/embedding/c/0/0/0", good[:-1] + bytes([good[-1] ^ 1]))
    server.put("data/out.zarr/embedding/c/0/1/0", b"cut")
    problems = verify_objects(url_of(server), endpoint_url=server.endpoint)
    assert [problem.key for problem in problems] == ["embedding/c/0/0/0", "embedding/c/0/1/0"]
    assert "sha256" in problems[0].what
    assert "3 bytes" in problems[1].what
    assert send(store, server).n_uploaded == 2
    server.put("data/out.zarr/extra", b"?")
    shutil.copytree(store, store.with_name("copy.zarr"))
    (store.with_name("copy.zarr") / "encoding/mean/c/0").unlink()
    found = verify_against(
        url_of(server), str(store.with_name("copy.zarr")), endpoint_url=server.endpoint
    )
    assert [(p.key, p.what) for p in found] == [
        ("encoding/mean/c/0", "unexpected"),
        ("extra", "unexpected"),
    ]


def test_manifest_holds_what_is_there_and_no_secrets(store: Path, server: Server) -> None:
    """Keys, sizes, sha256; neither endpoint nor bucket nor credentials."""
    send(store, server)
    text = server.get("data/out.zarr.manifest.json").decode()
    document = json.loads(text)
    assert {item["key"] for item in document["objects"]} == set(local_objects(store))
    for secret in (SECRET, os.environ["AWS_ACCESS_KEY_ID"], server.bucket, server.endpoint):
        assert secret not in text
    manifest = read_manifest(url_of(server), endpoint_url=server.endpoint)
    assert manifest.total_bytes == sum(map(len, local_objects(store).values()))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a manifest"),
        ("[]", "not a manifest"),
        ("[" * 100_000, "not a manifest"),
        (manifest(format="x"), "format"),
        (manifest(n_objects=1), "add up"),
        (manifest(objects=[{"key": "../../etc", "size": 0, "sha256": ""}]), "refused"),
        (manifest(objects=[{"key": "a", "size": -1, "sha256": "0" * 64}]), "add up"),
    ],
)
def test_hostile_manifests(store: Path, text: str, reason: str, tmp_path: Path) -> None:
    """A manifest that is cut, foreign, or points elsewhere is refused."""
    target = tmp_path / "there" / "out.zarr"
    copy_store(str(store), str(target))
    target.with_name("out.zarr.manifest.json").write_text(text)
    with pytest.raises((StoreError, InvalidConfigError), match=reason):
        verify_objects(str(target))


def test_a_reader_meanwhile_sees_nothing_or_all(store: Path, server: Server) -> None:
    """At every request of a publish, over another store too, what opens is one whole store."""
    another = Path(shutil.copytree(store, store.with_name("another.zarr")))
    zarr.open_group(another).attrs["title"] = "another"
    array = zarr.open_array(another / "embedding", mode="r+")
    array[...] = -np.asarray(array[...])
    contents = [local_objects(path) for path in (store, another)]
    seen: list[int] = []

    def look(request: Request) -> None:
        there = {
            key.removeprefix("data/out.zarr/"): server.get(key)
            for key in server.list_keys()
            if key.startswith("data/out.zarr/") and not key.endswith("lock.json")
        }
        if "zarr.json" not in there:
            seen.append(-1)
            return
        seen.append(contents.index(there))

    with fault_proxy(server.endpoint) as proxy:
        proxy.fault = look
        send(store, server, endpoint=proxy.url, workers=1)
        send(another, server, endpoint=proxy.url, workers=1, overwrite=True)
        send(another, server, endpoint=proxy.url, workers=1)
    changes = [kind for kind, before in zip(seen, [None, *seen], strict=False) if kind != before]
    assert changes == [-1, 0, -1, 1]


@pytest.mark.slow
def test_many_objects_need_few_listings(tmp_path: Path, server: Server) -> None:
    """Objects beyond one page of a listing are found; resuming costs no request per object."""
    path = tmp_path / "many.zarr"
    (path / "c").mkdir(parents=True)
    (path / "zarr.json").write_text("{}")
    for i in range(1100):
        (path / "c" / str(i)).write_bytes(b"%d" % i)
    url = f"s3://{server.bucket}/many.zarr"
    copy_store(str(path), url, endpoint_url=server.endpoint, workers=16)
    with fault_proxy(server.endpoint) as proxy:
        report = copy_store(str(path), url, endpoint_url=proxy.url, workers=16)
    assert report.n_skipped == 1101
    # two listings of two pages; the lock made, read back, asked before the one object that is
    # written (the manifest) and before it is let go
    assert count(proxy) == {"GET": 7, "PUT": 2, "DELETE": 1}


def of_lock(request: Request) -> bool:
    return request.path.endswith("/.geoembz/lock.json")


def is_put(request: Request) -> bool:
    """Whether an object of the store, or its manifest, is written."""
    return request.method == "PUT" and not of_lock(request)


def kind(key: str) -> str | int:
    if key == "out.zarr/zarr.json":
        return "root"
    if key.endswith("manifest.json"):
        return "manifest"
    return key.count("/") if key.endswith("zarr.json") else "data"


def count(proxy: Proxy) -> dict[str, int]:
    methods = [request.method for request in proxy.requests]
    return {method: methods.count(method) for method in set(methods)}
