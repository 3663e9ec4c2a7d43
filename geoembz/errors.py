"""The errors geoembz raises, and the exit code each one means on the command line.

Every message says where, what came, what was expected and what to do.
"""

from typing import ClassVar


class GeoembzError(Exception):
    """Base of every error that geoembz raises on purpose."""

    exit_code: ClassVar[int] = 1


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
