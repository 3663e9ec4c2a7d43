"""Rows of parametrized tests: one for each equivalence class by default, the product as slow."""

from collections.abc import Callable, Collection, Iterable
from typing import Any

import pytest


def rows(
    every: Iterable[Any], default: Collection[Any], label: Callable[[Any], str] = str
) -> list[Any]:
    """Return every row, those not in `default` marked slow; tuples are several arguments.

    Raises
    ------
    ValueError
        If `default` names a row that does not exist: it would be tested nowhere.
    """
    every = list(every)
    if strange := [row for row in default if row not in every]:
        raise ValueError(f"rows {strange} are not among {every}")
    return [
        pytest.param(
            *(row if isinstance(row, tuple) else (row,)),
            marks=() if row in default else pytest.mark.slow,
            id=label(row),
        )
        for row in every
    ]
