"""Options: groups of them, frozen dataclasses; flat keywords, which are their fields; counts."""

from collections.abc import Mapping
from dataclasses import fields, replace
from numbers import Integral
from typing import Any

from geoembz.errors import InvalidConfigError


def gather(
    function: str,
    flat: Mapping[str, Any],
    given: Mapping[str, Any],
    defaults: Mapping[str, Any],
    *,
    hidden: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Put flat keywords into the groups of options that they belong to.

    Parameters
    ----------
    function
        Name of the function that was called, for messages.
    flat
        Keywords by name.
    given
        Groups by name, None where the caller gave none.
    defaults
        The groups as they are by default.
    hidden
        Fields that are no keywords.

    Raises
    ------
    TypeError
        If there is no such keyword.
    InvalidConfigError
        If a group says something else already.
    """
    homes = {f.name: name for name, group in defaults.items() for f in fields(group)}
    parts: dict[str, dict[str, Any]] = {name: {} for name in defaults}
    for keyword, value in flat.items():
        if keyword not in homes or keyword in hidden:
            raise TypeError(f"{function}() got an unexpected keyword argument {keyword!r}")
        home = homes[keyword]
        parts[home][keyword] = value
        said = getattr(given[home] or defaults[home], keyword)
        if said not in (getattr(defaults[home], keyword), value):
            raise InvalidConfigError(
                f"{keyword} {value!r}, but {home}.{keyword} is {said!r}; give it once"
            )
    return {name: replace(given[name] or defaults[name], **parts[name]) for name in defaults}


def gather_one[Group](
    function: str, flat: Mapping[str, Any], name: str, given: Group | None, default: Group
) -> Group:
    """Put flat keywords into the only group of options of a function; see `gather`.

    Examples
    --------
    >>> gather_one("cost", {"dims": 64}, "options", None, geoembz.CostOptions(years=3)).years
    3
    """
    group: Group = gather(function, flat, {name: given}, {name: default})[name]
    return group


def check_whole(**options: object) -> None:
    """Refuse options that count something and are no whole numbers: 2.0, "2" or True; None is none.

    Raises
    ------
    InvalidConfigError
        Naming the first of them.

    Examples
    --------
    >>> check_whole(workers=None, level=2)
    >>> check_whole(level=2.0)
    Traceback (most recent call last):
    geoembz.errors.InvalidConfigError: level 2.0; expected a whole number
    """
    for name, value in options.items():
        is_whole = isinstance(value, Integral) and not isinstance(value, bool)
        if value is not None and not is_whole:
            raise InvalidConfigError(f"{name} {value!r}; expected a whole number")
