"""Loops compiled by numba (extra ``accel``), where it is installed."""

from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from typing import Any, cast


@cache
def has_accelerator() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None


def compiled[Function: Callable[..., Any]](function: Function) -> Function:
    """Compile a loop that lets go of Python's lock, and keep the machine code between processes.

    Where no folder can be written to, every process compiles for itself (some seconds). What numba
    keeps is made anew when the loop's own file changes, not when one that it calls does.
    """
    from numba import njit

    try:
        loop: Any = njit(nogil=True, cache=True)(function)
    except RuntimeError:  # neither beside the code nor in the user's folder
        loop = njit(nogil=True)(function)
    return cast("Function", loop)
