"""The parts of a store that samples are taken from, open in whatever process asks for them.

Workers are forked or get a pickle. Neither open files nor event loops live through that, so a part
is what it takes to open it, and each process opens it once.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

from geoembz._export.region import Region
from geoembz._geo.grid import Grid
from geoembz.errors import StoreError
from geoembz.store import StoreReader


@dataclass(frozen=True)
class Part:
    """One grid of a store, at one level and date.

    Parameters
    ----------
    url
        Where the grid is.
    level
        Number of the level; 0 is the full resolution.
    date
        As the store writes it; None where it has no time axis.
    grid
        Where the pixels lie.
    encoding_hash
        Of the store's encoding: a store that took its place has another one.
    """

    url: str
    level: int
    date: str | None
    grid: Grid
    encoding_hash: str

    @classmethod
    def of(cls, region: Region) -> Self:
        """Return the grid that a region is a part of."""
        reader = region.reader
        date = reader.dates[region.date] if reader.dates else None
        return cls(reader.url, reader.level, date, reader.attributes.grid, reader.encoding.hash)

    def open(self) -> StoreReader:
        """Open the part.

        Raises
        ------
        StoreError
            If there is no such store any more, or another one.
        """
        reader = StoreReader.open(self.url, level=self.level)
        is_same = reader.encoding.hash == self.encoding_hash and reader.attributes.grid == self.grid
        if not is_same or (self.date is not None and self.date not in reader.dates):
            raise StoreError(
                f"{self.url}: is another store than the one that samples were chosen of; choose "
                "them again"
            )
        return reader


class OpenParts:
    """Some parts of one encoding, each opened when a process first reads it.

    Parameters
    ----------
    parts
        Which ones.
    readers
        Those that are open in this process already, by number.
    """

    def __init__(self, parts: Sequence[Part], readers: Sequence[StoreReader] = ()) -> None:
        self.parts = tuple(parts)
        self._readers = dict(enumerate(readers))
        self._process = os.getpid()

    def __getstate__(self) -> dict[str, Any]:
        """Leave out what is open."""
        return {"parts": self.parts, "_readers": {}, "_process": 0}

    def reader(self, number: int) -> StoreReader:
        """Return the reader of a part."""
        if self._process != os.getpid():
            self._readers, self._process = {}, os.getpid()
        if number not in self._readers:
            self._readers[number] = self.parts[number].open()
        return self._readers[number]

    def date(self, number: int) -> int:
        """Return the position of a part's date on its store's time axis."""
        date = self.parts[number].date
        return 0 if date is None else self.reader(number).dates.index(date)
