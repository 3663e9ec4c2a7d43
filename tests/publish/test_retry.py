"""What passes is tried again, ever more slowly; what does not is said at once, without secrets."""

import signal
import threading
import time
from pathlib import Path

import pytest

from geoembz._objects.faults import RetryPolicy, with_retries
from geoembz._objects.stores import Access
from geoembz._objects.tree import ObjectTree
from geoembz._util.threads import for_each
from geoembz.errors import InvalidConfigError, StoreError, redact
from geoembz.store.lock import DestinationLock


class CodedError(Exception):
    """An error as botocore raises it."""

    def __init__(self, code: str, message: str = "") -> None:
        super().__init__(message)
        self.response = {"Error": {"Code": code}}


def test_passing_errors_are_ridden_out() -> None:
    """Five refusals, then success: five pauses, each between half and all of the doubled one."""
    pauses: list[float] = []
    errors = [CodedError("SlowDown"), TimeoutError(), ConnectionResetError(), CodedError("503")]
    failures = iter([*errors, CodedError("BadDigest")])

    def action() -> str:
        for failure in failures:
            raise failure
        return "done"

    assert with_retries(action, "PUT x", RetryPolicy(), pauses.append) == "done"
    for pause, doubled in zip(pauses, (0.25, 0.5, 1, 2, 4), strict=True):
        assert doubled / 2 <= pause <= doubled


def test_a_server_that_never_recovers_ends_in_an_error() -> None:
    """After the last attempt the error says how often, and that the command resumes."""

    def action() -> None:
        raise CodedError("SlowDown", "busy")

    with pytest.raises(StoreError, match=r"PUT x failed after 3 attempts .*same command again"):
        with_retries(action, "PUT x", RetryPolicy(3), lambda _: None)


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        ("NoSuchBucket", "does not exist"),
        ("AccessDenied", "s3:PutObject"),
        ("InvalidAccessKeyId", "AWS_ACCESS_KEY_ID"),
        ("SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("RequestTimeTooSkewed", "clock"),
        ("ExpiredToken", "log in again"),
        ("Strange", "server's message"),
    ],
)
def test_lasting_errors_are_not_tried_again(code: str, advice: str) -> None:
    """One attempt, and what to do."""
    attempts = []

    def action() -> None:
        attempts.append(1)
        raise CodedError(code, "told")

    with pytest.raises(StoreError, match=advice) as caught:
        with_retries(action, "PUT x", RetryPolicy(), lambda _: None)
    assert len(attempts) == 1
    assert caught.value.__cause__ is None


def test_programming_errors_are_named() -> None:
    """Even an unforeseen exception ends in a message with its type."""

    def action() -> None:
        raise KeyError("field")

    with pytest.raises(StoreError, match="KeyError"):
        with_retries(action, "GET x", RetryPolicy(), lambda _: None)


def test_secrets_are_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Known secrets, access keys and signatures do not appear in messages."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2hunter2")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "tok/en+")
    text = "AKIAABCDEFGHIJKLMNOP hunter2hunter2 tok/en+ http://u:p@h?X-Amz-Signature=abcd&Credential=me"
    clean = redact(text)
    for secret in ("AKIA", "hunter2", "tok/en", "u:p", "abcd", "me"):
        assert secret not in clean

    def action() -> None:
        raise OSError(text)

    with pytest.raises(StoreError) as caught:
        with_retries(action, "PUT x", RetryPolicy(), lambda _: None)
    assert "hunter2" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("failures", [2, 3])
def test_object_trees_try_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    """Whatever reads a store tries as often as the policy says; what is not there, once."""
    tree = ObjectTree(f"memory://{tmp_path.name}", access=Access(policy=RetryPolicy(3, 0.0)))
    tree.write("a", b"content")
    get, asked = tree.filesystem.cat_file, list[str]()

    def fail(path: str, **options: object) -> bytes:
        asked.append(path)
        if path.endswith("/a") and len(asked) <= failures:
            raise ConnectionResetError
        return bytes(get(path, **options))

    monkeypatch.setattr(tree.filesystem, "cat_file", fail)
    if failures < 3:
        assert tree.read("a") == b"content"
    else:
        with pytest.raises(StoreError, match=r"GET memory.*/a failed after 3 attempts"):
            tree.read("a")
    assert len(asked) == 3
    assert tree.read("b") is None
    assert len(asked) == 4


def test_no_attempts() -> None:
    """A policy tries at least once."""
    with pytest.raises(InvalidConfigError, match="at least 1"):
        RetryPolicy(0)


def test_ctrl_c_waits_for_no_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither for objects on their way, nor for the lock to be removed."""
    monkeypatch.setattr("geoembz._util.threads.RUNNING_SECONDS", 0.1)
    monkeypatch.setattr("geoembz.store.lock.PARTING_SECONDS", 0.1)
    is_silent, answered = threading.Event(), threading.Event()

    class Server(ObjectTree):
        def read(self, key: str, most: int | None = None) -> bytes | None:
            if is_silent.is_set():
                answered.wait(30)
            return super().read(key, most)

    def send(number: int) -> None:
        is_silent.set()
        if number:
            answered.wait(30)
        else:  # only one: what the others sent later would meet another test
            signal.raise_signal(signal.SIGINT)

    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt), DestinationLock(Server(str(tmp_path))):
            for_each(range(4), send, workers=4)
        assert time.monotonic() - began < 5
    finally:
        answered.set()
