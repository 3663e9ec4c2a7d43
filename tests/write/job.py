"""A job of several processes that write one store, each to be killed at any moment.

``python -m tests.write.job own RASTER BASIS STORE FOLDER`` begins the store or goes on, leaves the
pickled writer in FOLDER, and finishes once FOLDER has a file `finish`. ``python -m tests.write.job
work RASTER FOLDER NUMBER COUNT SIZE SEED`` writes what is missing of every
COUNT-th window.
"""

import pickle
import sys
import time
from pathlib import Path

import numpy as np
import rasterio

import geoembz
from geoembz._geo.grid import Blocks
from geoembz.errors import DestinationExistsError
from tests.write.conftest import SIZES

WRITER, FINISH, FINISHED = "writer.pickle", "finish", 3
"""Names of files, and the exit code where the store is there already."""


def own(raster: str, basis: str, store: str, folder: str) -> int:
    """Hold the destination until the workers have ended, then finish."""
    place = Path(folder)
    try:
        writer = geoembz.create(store, like=raster, encoding=basis, overviews=True, **SIZES)
    except DestinationExistsError as error:
        if "holds a store already" in str(error):
            return FINISHED
        raise
    with writer:
        draft = place / "draft"
        draft.write_bytes(pickle.dumps(writer))
        draft.replace(place / WRITER)
        while not (place / FINISH).exists():
            time.sleep(0.005)
        writer.finish(workers=1)
    return 0


def work(raster: str, folder: str, number: str, count: str, size: str, seed: str) -> int:
    """Write what is missing of a share, in random order."""
    with rasterio.open(raster) as opened:
        vectors = opened.read()
    content = (Path(folder) / WRITER).read_bytes()
    writer: geoembz.Writer = pickle.loads(content)  # noqa: S301 - our own
    rng = np.random.default_rng(int(seed))
    share = Blocks(writer.grid.shape, (int(size), int(size)))[int(number) :: int(count)]
    windows = writer.missing(share)
    for index in rng.permutation(len(windows)):
        window = windows[index]
        writer.write(window, vectors[:, *window.slices], axis=0)
    return 0


def main() -> int:
    """Do one of both."""
    role, *words = sys.argv[1:]
    return own(*words) if role == "own" else work(*words)


if __name__ == "__main__":
    sys.exit(main())
