"""A small picture of a store for catalogues: of a local one of which little has to be read."""

import logging
import tempfile
from math import prod
from pathlib import Path

from geoembz._export.preview import level_shown, preview
from geoembz._util.progress import listened
from geoembz.errors import GeoembzError
from geoembz.store.grids import open_readers

SIZE = 256
"""Longest side, in pixels."""

_MOST_PIXELS = 1 << 22
"""Pixels to decode at most, a second or two: of larger stores only overviews are shown."""

_log = logging.getLogger(__name__)


def thumbnail_name(store: str) -> str:
    """Return the name of a store's picture, which lies beside it.

    Examples
    --------
    >>> thumbnail_name("out.zarr")
    'out.zarr.thumbnail.png'
    """
    return f"{store}.thumbnail.png"


def make_thumbnail(store: str) -> bytes | None:
    """Return a picture of a store at its last date, as a PNG; None where it would not be cheap.

    Parameters
    ----------
    store
        Path or URL. A store on a server, a table, and one that cannot be shown have no picture:
        none is needed to publish.
    """
    if "://" in store:
        return None
    try:
        readers = open_readers(store)
        levels = [level_shown(reader, SIZE) for reader in readers]
        if sum(prod(level.attributes.grid.shape) for level in levels) > _MOST_PIXELS:
            return None
        dates = readers[0].attributes.dates
        with tempfile.TemporaryDirectory() as folder, listened(None):
            picture = Path(folder) / "thumbnail.png"
            preview(store, picture, size=SIZE, time=max(dates) if dates else None)
            return picture.read_bytes()
    except GeoembzError as error:
        _log.debug("no thumbnail: %s", error)
        return None
