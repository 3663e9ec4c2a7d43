"""A source that keeps what the fit has read, so that no block crosses the network twice."""

import threading
from typing import Any

from geoembz._geo.grid import Window
from geoembz.sources import Source, SourceData
from geoembz.sources.wrappers import ViewSource

_KEPT_BYTES = 2**28
"""Decoded size of what is kept: the fit's first eight blocks of 32 MB."""


class RememberedSource(ViewSource):
    """Another source, of which some windows need not be read again.

    What is kept stays in this process: a copy sent to another one reads for itself.

    Parameters
    ----------
    source
        What is read.
    """

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self._kept: dict[Window, SourceData] = {}
        self._free_bytes = _KEPT_BYTES
        self._lock = threading.Lock()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is kept."""
        return {**self.__dict__, "_kept": {}, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore with nothing kept."""
        self.__dict__.update(state, _lock=threading.Lock())

    def read(self, window: Window) -> SourceData:
        """Read a window; one that was kept is forgotten, since each is converted once."""
        with self._lock:
            data = self._kept.pop(window, None)
        return super().read(window) if data is None else data

    def first_read(self, window: Window) -> SourceData:
        """Read a window that will be read once more, and keep it if there is room.

        Numbers that may not be written to lie in a file that the system keeps in memory: reading
        them again costs nothing.
        """
        data = super().read(window)
        size = data.values.nbytes
        with self._lock:
            if data.values.flags.writeable and size <= self._free_bytes:
                self._free_bytes -= size
                self._kept[window] = data
        return data
