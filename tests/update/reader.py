"""A process that reads a store over and over, and looks whether each pixel is old or new.

Run as ``python -m tests.update.reader STORE STATES READY STOP``: STATES is a ``.npy`` of vectors,
shape ``(n_states, dimension, height, width)``; the file READY is made when reading has begun, and
reading ends when the file STOP is there. It prints how often it read, and what was torn.
"""

import json
import sys
from pathlib import Path

import numpy as np

from geoembz._geo.grid import split
from geoembz.store import StoreReader


def main() -> None:
    """Read windows of a reader that stays open, and of one that is opened anew."""
    store, states_file, ready, stop = sys.argv[1:]
    states = np.load(states_file)
    kept = StoreReader.open(store)
    whole = kept.attributes.grid.window
    windows = [whole, *split(whole, (16, 16)), *split(whole, (7, 9))]
    reads, torn, seen, number = 0, 0, set[int](), 0
    while not Path(stop).exists() or not reads:
        window = windows[number % len(windows)]
        number += 1
        readers = (kept, StoreReader.open(store)) if number % 5 == 0 else (kept,)
        for reader in readers:
            read = reader.read(window, "original")
            expected = states[:, :, *window.slices]
            same = ((read == expected) | (np.isnan(read) & np.isnan(expected))).all(axis=1)
            torn += int((~same.any(axis=0)).sum())
            seen |= {index for index, one in enumerate(same) if one.all()}
            reads += 1
        Path(ready).touch()
    print(json.dumps({"reads": reads, "torn": torn, "whole_states": len(seen)}))  # noqa: T201


if __name__ == "__main__":
    main()
