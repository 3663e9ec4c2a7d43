"""What makes the values of a map out of codes."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from geoembz._map.bands import MapBands
from geoembz.encoding._quantization import Codes


class Kernel(Protocol):
    """Values of pixels out of their codes. It can be pickled, and several threads call it at once.

    The core (`write_map`) reads the codes, and gives pixels nodata that have no embedding; a kernel
    may return any number for them.
    """

    @property
    def bands(self) -> MapBands:
        """What the values are."""
        ...

    @property
    def identity(self) -> Mapping[str, Any]:
        """What the values depend on beside codes and `bands`, as JSON: of a resumed map the same.

        Arrays go in by their `fingerprint`.
        """
        ...

    def __call__(self, *codes: Codes) -> NDArray[Any]:
        """Return values ``(n_bands, n_pixels)`` of type `bands.dtype`.

        Parameters
        ----------
        codes
            As stored, shape ``(code_length, n_pixels)``, of each input: most maps have one.
        """
        ...


def fingerprint(arrays: Sequence[NDArray[Any]]) -> str:
    """Return a digest of arrays: their types, shapes and numbers.

    Examples
    --------
    >>> fingerprint([np.zeros(3)]) == fingerprint([np.zeros(4)])
    False
    """
    import hashlib

    total = hashlib.sha256()
    for array in arrays:
        total.update(f"{array.dtype.str}{array.shape}".encode())
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()
