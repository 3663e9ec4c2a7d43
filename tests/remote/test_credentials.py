"""Credentials that change while Python runs, as where a wrong key is mended in a notebook."""

import fsspec
import pytest

from geoembz._objects.stores import s3_is_anonymous, s3_options
from tests.remote.conftest import forget_clients


def test_clients_follow_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """One client serves as long as credentials are the same, and none after they changed."""
    forget_clients()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "one")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    former = fsspec.filesystem("s3", **s3_options())
    assert fsspec.filesystem("s3", **s3_options()) is former
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "right")
    assert fsspec.filesystem("s3", **s3_options()) is not former
    assert not s3_is_anonymous()
    monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
    assert s3_options()["anon"]
    forget_clients()
