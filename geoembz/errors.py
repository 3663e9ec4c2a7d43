"""The errors geoembz raises, and the exit code each one means on the command line.

Every message says where, what came, what was expected and what to do. None shows a secret.
"""

import os
import re
from typing import ClassVar

_SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_ACCESS_KEY_ID",
    "AZURE_STORAGE_KEY", "AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_CONNECTION_STRING",
)  # fmt: skip
_SHORTEST_SECRET = 4
_SECRET_PATTERNS = (
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"(?<=://)[^/@\s]+(?=@)"),
    re.compile(r"(?i)(?<=Signature=)[^&\s'\"]+"),
    re.compile(r"(?i)(?<=Credential=)[^&,\s'\"]+"),
    re.compile(r"(?i)(?<=AccessKeyId=)[^&,\s'\"]+"),
    re.compile(r"(?i)(?<=[?&]sig=)[^&\s'\"]+"),
    re.compile(r"(?i)(?<=token=)[^&,\s'\"]+"),
)


def redact(text: str) -> str:
    """Return a text without credentials: those in the environment, and what looks like one.

    Examples
    --------
    >>> redact("https://user:pass@host/x?X-Amz-Signature=abc&y=1")
    'https://***@host/x?X-Amz-Signature=***&y=1'
    """
    for variable in _SECRET_VARIABLES:
        if len(value := os.environ.get(variable, "")) >= _SHORTEST_SECRET:
            text = text.replace(value, "***")
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub("***", text)
    return text


class GeoembzError(Exception):
    """Base of every error that geoembz raises on purpose; its message shows no credentials."""

    exit_code: ClassVar[int] = 1

    def __init__(self, *arguments: object) -> None:
        super().__init__(*(redact(a) if isinstance(a, str) else a for a in arguments))


class InvalidConfigError(GeoembzError, ValueError):
    """A parameter, flag or recipe that cannot work; nothing was read or written."""

    exit_code: ClassVar[int] = 2


class DestinationExistsError(InvalidConfigError):
    """The destination holds something already, and nothing says that it may go."""


class SourceError(GeoembzError):
    """An input that cannot be found, read or understood."""


class NoValidPixelsError(SourceError):
    """An input in which not one pixel (or too few) can be used."""


class EncodingError(GeoembzError):
    """A fitted encoding that cannot be used here: damaged, hostile or of another dimension."""


class StoreError(GeoembzError):
    """A store that cannot be read or written."""


class SchedulerError(GeoembzError):
    """A cluster that cannot be reached, or that lost what it was to do."""


class StoreVersionError(StoreError):
    """A store written in a format version that this geoembz does not know."""


class BasisWarning(UserWarning):
    """Data lie outside the basis that they are encoded with: more is lost than it promises."""


class MissingPackageError(GeoembzError, ImportError):
    """An optional package is needed and absent; the message names the extra to install."""
