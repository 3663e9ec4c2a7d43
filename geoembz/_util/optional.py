"""Packages that only some commands need: imported when first used, and missed in words."""

from importlib import import_module
from typing import Any

from geoembz.errors import MissingPackageError


def import_extra(module: str, extra: str, purpose: str, instead: str = "") -> Any:
    """Import a module of an optional package.

    Parameters
    ----------
    module
        Its full name.
    extra
        The extra of geoembz that installs it.
    purpose
        Where, and what needs which package: the beginning of the message.
    instead
        What else can be done: the end of the message.

    Raises
    ------
    MissingPackageError
        If the package is not installed; the message says how to install it.

    Examples
    --------
    >>> import_extra("json", "none", "report: numbers need json").__name__
    'json'
    """
    package = module.partition(".")[0]
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] != package:
            raise  # the package is there: what it builds on is not
        raise MissingPackageError(
            f"{purpose}, which is not installed; "
            f"install it with: pip install 'geoembz[{extra}]'{instead}"
        ) from error


class OptionalModule:
    """Stands for a module of an optional package, which is imported when something of it is used.

    So modules that name it at their top can be imported without it.

    Parameters
    ----------
    module, extra, purpose
        As of `import_extra`.
    """

    def __init__(self, module: str, extra: str, purpose: str) -> None:
        self._wanted = module, extra, purpose

    def __getattr__(self, name: str) -> Any:
        """Import the module, once, and return what it has by that name."""
        if name.startswith("__"):  # asked by those who look at modules, not by code
            raise AttributeError(name)
        value = getattr(import_extra(*self._wanted), name)
        setattr(self, name, value)
        return value
