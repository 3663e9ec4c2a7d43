"""A conversion to be killed: slow, and every read of a shard is logged.

Run as ``python -m tests.conversion.logged RASTER STORE LOG PAUSE_S [SCHEDULER]``.
"""

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geoembz
from geoembz._geo.grid import Window
from geoembz.sources import Source, SourceData, open_source

OPTIONS: dict[str, Any] = {"pca": 5, "chunk": 8, "shard": 8}
SHARDS = 7 * 6  # of the scene in tests.conversion.conftest


@dataclass(frozen=True)
class LoggedSource:
    """A source that pauses, then appends a line to a file, whenever a shard of it is read."""

    source: Source
    log: Path
    pause_s: float

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self.source, name)

    def read(self, window: Window) -> SourceData:
        if window.size <= OPTIONS["shard"] ** 2:  # the sample reads larger blocks
            time.sleep(self.pause_s)
            descriptor = os.open(self.log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
            os.write(descriptor, f"{window.row}_{window.col}\n".encode())
            os.close(descriptor)
        return self.source.read(window)


def convert_logged(
    raster: str | Path, store: str | Path, log: Path, pause_s: float = 0.0, **options: Any
) -> geoembz.ConvertSummary:
    """Convert a raster, logging which shards are read."""
    source = LoggedSource(open_source(str(raster)), log, pause_s)
    return geoembz.convert(source, store, **OPTIONS, **options)


def main() -> None:
    """Convert with two workers."""
    raster, store, log, pause_s, *scheduler = sys.argv[1:]
    place = scheduler[0] if scheduler else None
    convert_logged(raster, store, Path(log), float(pause_s), workers=2, scheduler=place)


if __name__ == "__main__":
    main()
