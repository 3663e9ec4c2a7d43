"""Loops of this package compiled by numba (extra ``accel``); NumPy finds the same without them.

Import its modules only where `has_accelerator` says so: numba takes longer to load than small
searches take.
"""

from functools import cache
from importlib.util import find_spec


@cache
def has_accelerator() -> bool:
    """Whether numba is installed."""
    return find_spec("numba") is not None
