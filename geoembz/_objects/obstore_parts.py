"""Parts of objects in S3 through obstore, whose requests cost a fifth of the processor of s3fs'.

Off unless `SETTING` says so. It fetches and knows what is absent or unchanged; all else, what is
refused or busy and whatever went wrong, is left to s3fs, which tries again and says what it is. So
errors are the same with it and without it.
"""

import logging
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from geoembz._objects.explain import count
from geoembz._util.optional import import_extra
from geoembz.errors import InvalidConfigError

SETTING = "GEOEMBZ_S3"
CLIENTS = ("s3fs", "obstore")

_KEPT = timedelta(minutes=20)
"""After so long credentials are asked for again: those of roles expire."""

_first_process: list[int] = []
"""That has used obstore: its threads do not go along into a fork."""

_log = logging.getLogger("geoembz.obstore")


def is_chosen() -> bool:
    """Whether parts of objects in S3 are to come through obstore.

    Raises
    ------
    InvalidConfigError
        If the setting names no client.
    """
    chosen = os.environ.get(SETTING) or CLIENTS[0]
    if chosen not in CLIENTS:
        raise InvalidConfigError(f"{SETTING}={chosen}: expected {' or '.join(CLIENTS)}")
    return chosen == "obstore"


async def fetch(
    filesystem: Any, path: str, start: int | None, end: int | None, unless: str | None
) -> tuple[bytes | None, str | None] | None:
    """Return the bytes of a part and the object's ETag; None where s3fs is to be asked.

    Parameters
    ----------
    filesystem
        Of s3fs, whose server and credentials are used.
    path, start, end
        As of `read_part`.
    unless
        An ETag: no bytes are returned if the object still has it.

    Raises
    ------
    FileNotFoundError
        If there is no such object.
    MissingPackageError
        If obstore is not installed.
    """
    if (_first_process or [os.getpid()])[0] != os.getpid():
        return None
    obstore = import_extra("obstore", "obstore", f"{SETTING}=obstore: needs obstore")
    _first_process[:] = [os.getpid()]
    bucket, key, _ = filesystem.split_path(path)
    options: dict[str, Any] = {} if unless is None else {"if_none_match": unless}
    if start is not None:
        options["range"] = {"suffix": -start} if start < 0 else (start, end)
    try:
        client = _client(bucket, filesystem.endpoint_url, bool(filesystem.anon), _credentials())
        answer = await obstore.get_async(client, key, options=options)
        content = bytes(await answer.bytes_async())
    except Exception as error:  # noqa: BLE001 - whatever it is, s3fs says it better
        count(0)
        return _judge(error, path, unless)
    count(len(content))
    return content, answer.meta["e_tag"]


def _judge(error: Exception, path: str, unless: str | None) -> tuple[None, str | None] | None:
    if type(error).__name__ == "NotModifiedError":
        return None, unless
    if "NoSuchKey" in str(error):
        raise FileNotFoundError(path) from None
    _log.info("%s: obstore failed (%s), so s3fs is asked", path, type(error).__name__)
    return None


@lru_cache(maxsize=16)
def _client(
    bucket: str, endpoint: str | None, is_anonymous: bool, credentials: Callable[[], Any]
) -> Any:
    """Return the client of a bucket; it is another where the environment names other keys."""
    from obstore.store import S3Store

    config: Any = {"region": _region()}
    if endpoint:
        config |= {"endpoint": endpoint, "virtual_hosted_style_request": False}
    if is_anonymous:
        config["skip_signature"] = True
    return S3Store(
        bucket,
        config=config,
        client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "60s"},
        retry_config={"max_retries": 0},
        credential_provider=None if is_anonymous else credentials,
    )


def _region() -> str:
    from botocore.session import get_session

    return get_session().get_config_variable("region") or "us-east-1"


def _credentials() -> Callable[[], Any]:
    """Return what gives the credentials that botocore finds now; the same for the same setting."""
    from geoembz._objects.stores import credential_settings

    return _provider(credential_settings())


@lru_cache(maxsize=1)
def _provider(_settings: tuple[str | None, ...]) -> Callable[[], Any]:
    from botocore.session import get_session

    session = get_session()

    def give() -> dict[str, Any]:
        found = session.get_credentials().get_frozen_credentials()
        return {
            "access_key_id": found.access_key,
            "secret_access_key": found.secret_key,
            "token": found.token,
            "expires_at": datetime.now(UTC) + _KEPT if found.token else None,
        }

    return give
