"""What went wrong with a server, what is to be done, and trying again where it may pass.

Knows the error codes of S3 and the exceptions of botocore.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from types import MappingProxyType

from geoembz.errors import GeoembzError, InvalidConfigError, StoreError

ATTEMPTS = 8
"""How often a request is sent before its error is reported."""

_PASSING_CODES = frozenset(
    {
        "SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "BadDigest",
        "IncompleteBody", "OperationAborted", "XAmzContentSHA256Mismatch",
        "TooManyRequests", "429", "500", "502", "503", "504",
    }
)  # fmt: skip
_PASSING_TYPES = frozenset(
    {
        "EndpointConnectionError", "ConnectionClosedError", "ConnectTimeoutError",
        "ReadTimeoutError", "ConnectionError", "HTTPClientError", "ResponseParserError",
        "IncompleteRead", "ClientPayloadError", "FSTimeoutError", "TimeoutError",
        "ConnectionResetError", "ConnectionRefusedError", "ServerDisconnectedError",
        "ResponseStreamingError", "IncompleteReadError", "ContentLengthError",
    }
)  # fmt: skip
_NO_PERMISSION = (
    "no permission; the user needs s3:ListBucket, s3:GetObject and s3:PutObject (without "
    "credentials requests are anonymous: set AWS_ACCESS_KEY_ID or AWS_PROFILE)"
)
_ADVICE = MappingProxyType(
    {
        "NoSuchBucket": "the bucket does not exist; create it, or correct the URL or endpoint",
        "InvalidBucketName": "the bucket's name is not allowed; correct the URL",
        "AccessDenied": _NO_PERMISSION,
        "AllAccessDisabled": "no permission; ask the bucket's owner",
        "403": _NO_PERMISSION,
        "InvalidAccessKeyId": "the server does not know the access key; check AWS_ACCESS_KEY_ID",
        "SignatureDoesNotMatch": "the secret key is wrong; check AWS_SECRET_ACCESS_KEY",
        "InvalidToken": "the session token is wrong; check AWS_SESSION_TOKEN",
        "ExpiredToken": "the session token has expired; log in again",
        "RequestTimeTooSkewed": "this machine's clock is wrong; set it (timedatectl set-ntp true)",
        "NoCredentialsError": "no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
        "or AWS_PROFILE, or AWS_NO_SIGN_REQUEST=YES for what is public",
        "PartialCredentialsError": "half of the credentials; set both AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY",
        "ProfileNotFound": "the profile in AWS_PROFILE does not exist",
        "QuotaExceeded": "the bucket is full; raise its quota",
        "EntityTooLarge": "the object is too large for the server; use smaller shards",
        "PermanentRedirect": "the bucket is in another region; set AWS_REGION",
        "AuthorizationHeaderMalformed": "the region is wrong; set AWS_REGION",
    }
)  # fmt: skip


def fault_code(error: BaseException) -> str:
    """Return the S3 error code behind an exception, or the exception's type."""
    for candidate in (error, error.__cause__, error.__context__):
        response = getattr(candidate, "response", None)
        if isinstance(response, dict) and (code := response.get("Error", {}).get("Code")):
            return str(code)
    return type(error).__name__


def will_pass(error: BaseException) -> bool:
    """Whether trying again may help: an overloaded or absent server, a broken connection."""
    web_status = str(getattr(error, "status", ""))  # of aiohttp
    if fault_code(error) in _PASSING_CODES or web_status in _PASSING_CODES:
        return True
    return any(kind.__name__ in _PASSING_TYPES for kind in type(error).__mro__)


def as_store_error(error: BaseException, what: str, attempts: int = 1) -> StoreError:
    """Return an error for people: what was tried, what came, what to do; no credentials.

    Parameters
    ----------
    error
        What the server or the library said.
    what
        What was tried, e.g. ``PUT s3://bucket/key``.
    attempts
        How often.
    """
    code = fault_code(error)
    if will_pass(error):
        advice = "run the same command again to go on where it stopped"
    else:
        advice = _ADVICE.get(code, "see the server's message")
    said = "" if code in _ADVICE else f": {error}"
    tried = f" after {attempts} attempts" if attempts > 1 else ""
    return StoreError(f"{what} failed{tried} ({code}{said}); {advice}")


def is_absence(error: BaseException) -> bool:
    """Whether an error says that there is no such object; an absent bucket is another matter."""
    missing = isinstance(error, FileNotFoundError | NotADirectoryError | IsADirectoryError)
    return missing and fault_code(error) != "NoSuchBucket"


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently to try.

    Parameters
    ----------
    attempts
        At least 1.
    first_pause_s, longest_pause_s
        The pause doubles after each failure, in seconds.
    """

    attempts: int = field(default_factory=lambda: ATTEMPTS)
    first_pause_s: float = 0.25
    longest_pause_s: float = 20.0

    def __post_init__(self) -> None:
        """Refuse no attempt at all."""
        if self.attempts < 1:
            raise InvalidConfigError(f"{self.attempts} attempts; expected at least 1")

    def pause_s(self, failures: int, name: str) -> float:
        """Return the pause after so many failures: 50 to 100 % of the doubled one.

        The share follows from `name`, so that parallel workers do not come back all at once.
        """
        spread = 0.5 + zlib.crc32(f"{name} {failures}".encode()) / 2**33
        doubled = self.first_pause_s * float(2 ** (failures - 1))
        return spread * min(self.longest_pause_s, doubled)


def with_retries[T](
    action: Callable[[], T],
    what: str,
    policy: RetryPolicy,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """Return what an action returns, trying again while its errors may pass.

    Parameters
    ----------
    action
        What to do; it must be safe to do twice.
    what
        Its name in messages.
    policy
        How often, how patiently.
    sleep
        Waits so many seconds.

    Raises
    ------
    StoreError
        If an error will not pass, or did not pass in time. It names no credentials and carries no
        cause that could.
    FileNotFoundError, NotADirectoryError, IsADirectoryError
        If there is no such object.
    """
    for attempt in range(1, policy.attempts + 1):
        try:
            return action()
        except Exception as error:
            if isinstance(error, GeoembzError) or is_absence(error):
                raise
            if attempt == policy.attempts or not will_pass(error):
                raise as_store_error(error, what, attempt) from None
        sleep(policy.pause_s(attempt, what))
    raise AssertionError("unreachable")
