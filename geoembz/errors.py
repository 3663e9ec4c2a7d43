"""The errors geoembz raises, and the exit code each one means on the command line.

Every message says where, what came, what was expected and what to do. None shows a secret.

- `GeoembzError` (exit code 1)

  - `InvalidConfigError` (exit code 2): options that cannot work; nothing was read or written

    - `DestinationExistsError`: something is there already

  - `SourceError`: an input that cannot be found, read or understood

    - `SourceChangedError`: one that changed while it was read
    - `NoValidPixelsError`: one without usable pixels

  - `EncodingError`: an encoding that is damaged, hostile or of another dimension
  - `StoreError`: a store that cannot be read or written

    - `StoreVersionError`: one of a newer format

  - `SchedulerError`: a cluster that cannot be reached, or was lost
  - `OutputError`: a file that cannot be written
  - `MissingPackageError`: an optional package that is needed

- `BasisWarning`: a warning that data lie outside the basis that they are encoded with
"""

import errno
import os
import re
from collections.abc import Sequence
from typing import ClassVar

from geoembz._spelling import spelled
from geoembz._text import printable

__all__ = [
    "BasisWarning",
    "DestinationExistsError",
    "EncodingError",
    "GeoembzError",
    "InvalidConfigError",
    "MissingPackageError",
    "NoValidPixelsError",
    "OutputError",
    "SchedulerError",
    "SourceChangedError",
    "SourceError",
    "StoreError",
    "StoreVersionError",
]

_SECRET_VARIABLES = re.compile(
    "(SECRET|TOKEN|PASSWORD|PASSWD|USERPWD|(ACCESS|API|STORAGE|SECRET)_?KEY(_ID)?"
    "|CONNECTION_STRING|HTTP_HEADERS)$"
)
_SHORTEST_SECRET = 4
_QUERY = re.compile(r"(?<=\S)[?#]([^\s\"<>`]+)")
_AT_END = ".,:;!')]}"
"""A text goes on behind an address: its punctuation there is none of the address."""
_LONGEST_PLACE = 2_048

_SECRET_PATTERNS = (
    re.compile(r"(?<=://)[^/\s\"]+(?=@)"),
    re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    re.compile(r"(?i)(?<=\bBearer )[^\s'\"]+"),
    re.compile(r"(?i)(?<=Signature=)[^&\s'\"]+"),
    re.compile(r"(?i)(?<=Credential=)[^&,\s'\"]+"),
    re.compile(r"(?i)(?<=AccessKeyId=)[^&,\s'\"]+"),
    re.compile(r"(?i)(?<=token=)[^&,\s'\"]+"),
)


def redact(text: str) -> str:
    """Return a text without credentials: those in the environment, and where addresses carry them.

    Of an address the user, the password and every value of the query and fragment are left out.

    Examples
    --------
    >>> redact("https://user:pass@host/x?apikey=abc&y=1: not found")
    'https://***@host/x?apikey=***&y=***: not found'
    """
    for variable, value in os.environ.items():
        if len(value) >= _SHORTEST_SECRET and _SECRET_VARIABLES.search(variable):
            text = text.replace(value, "***")
    for pattern in _SECRET_PATTERNS:
        text = pattern.sub("***", text)
    return _QUERY.sub(_without_values, text)


def _without_values(found: re.Match[str]) -> str:
    """Return a query without its values: any parameter may be a secret, and no list is whole."""
    query = found[1].rstrip(_AT_END)
    before = found.string[max(0, found.start() - _LONGEST_PLACE) : found.start()]
    is_web = re.search(r"https?://", before.split()[-1]) is not None
    if not is_web and "=" not in query:  # a pattern such as tile?.tif
        return found[0]
    return (
        found[0][0]
        + "".join(_without_value(part, is_web) for part in re.split(r"([&?#])", query))
        + found[1][len(query) :]
    )


def _without_value(part: str, is_web: bool) -> str:
    name, mark, _ = part.partition("=")
    if mark:
        return f"{name}=***"
    return "***" if is_web and part not in {"", "&", "?", "#"} else part


_ADVICE = {
    errno.EACCES: "no permission; change the permissions, or choose another place",
    errno.EPERM: "not permitted; change the permissions, or choose another place",
    errno.EROFS: "the disk is read-only; choose another place",
    errno.ENOSPC: "the disk is full; make room, or choose another place",
    errno.EDQUOT: "the quota is used up; make room, or choose another place",
    errno.EFBIG: "larger than files may be here; choose another place",
    errno.ENOENT: "no such file or folder; check the path",
    errno.ENOTDIR: "a part of the path is no folder; check the path",
    errno.EISDIR: "a folder; expected a file; check the path",
    errno.ENAMETOOLONG: "the name is too long; choose a shorter one",
    errno.EMFILE: "too many open files; raise the limit (ulimit -n), or take fewer --workers",
    errno.EIO: "the disk does not answer; check it",
}
"""What the errors of an operating system mean here, and what to do."""


def os_fault(error: OSError) -> str:
    """Return an error of the operating system in words, and what to do.

    Examples
    --------
    >>> os_fault(PermissionError(13, "Permission denied"))
    'no permission; change the permissions, or choose another place'
    """
    return _ADVICE.get(error.errno or 0, error.strerror or str(error))


class GeoembzError(Exception):
    """Base of every error that geoembz raises on purpose.

    Its message shows no credentials, and what came from others in it is made printable.

    Parameters
    ----------
    *arguments
        The message first.
    details
        Further lines, one for each of several faults.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, *arguments: object, details: Sequence[str] = ()) -> None:
        super().__init__(*(printable(redact(a)) if isinstance(a, str) else a for a in arguments))
        self.details = tuple(printable(redact(line)) for line in details)

    def __str__(self) -> str:
        """Return the message, each detail on a line of its own.

        Options are named as the reader types them: as flags, or as keywords.
        """
        return spelled("\n  ".join([super().__str__(), *self.details]))


class InvalidConfigError(GeoembzError, ValueError):
    """A parameter, flag or recipe that cannot work; nothing was read or written."""

    exit_code: ClassVar[int] = 2


class DestinationExistsError(InvalidConfigError):
    """The destination holds something already, and nothing says that it may go."""


class SourceError(GeoembzError):
    """An input that cannot be found, read or understood."""


class SourceChangedError(SourceError):
    """An input that was written to, replaced or deleted while it was converted."""


class NoValidPixelsError(SourceError):
    """An input in which not one pixel (or too few) can be used."""


class EncodingError(GeoembzError):
    """A fitted encoding that cannot be used here: damaged, hostile or of another dimension."""


class StoreError(GeoembzError):
    """A store that cannot be read or written."""


class SchedulerError(GeoembzError):
    """A cluster that cannot be reached, or that lost what it was to do."""


class OutputError(GeoembzError):
    """A file that a command was to write, and cannot."""


class StoreVersionError(StoreError):
    """A store written in a format version that this geoembz does not know."""


class BasisWarning(UserWarning):
    """Data lie outside the basis that they are encoded with: more is lost than it promises."""


class MissingPackageError(GeoembzError, ImportError):
    """An optional package is needed and absent; the message names the extra to install."""
