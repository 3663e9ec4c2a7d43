"""What reads what: found by reading, and the table that the documentation shows.

``python -m tests.interop.matrix`` writes ``docs/reference/interop.csv`` anew.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.interop.kinds import CRS, KINDS, Kind, make_stores
from tests.interop.readers import SOFTWARE, NotHereError, Place, Software
from tests.spec.independent import decode_store

TABLE = Path(__file__).parents[2] / "docs" / "reference" / "interop.csv"

READS, DECODES, REFUSES, NOT_MEANT = "yes", "vectors", "refuses", "–"


class WrongValuesError(AssertionError):
    """A reader gave something else than what is stored, and no error."""


def look(software: Software, kind: Kind, store: Path) -> str:
    """Let a reader read a store, and say what came of it.

    `READS`: codes and place are right. `DECODES`: what it gives are the vectors, as of the codec
    layout where geoembz's codecs are installed. `REFUSES`: it raised. `NOT_MEANT`: it shows maps,
    and this is none.

    Raises
    ------
    NotHereError
        If the software is not installed.
    WrongValuesError
        If it reads, but not what is stored there.
    """
    if software.map_only and kind.transform is None:
        return NOT_MEANT
    try:
        values, place = software.read(store, kind)
    except (NotHereError, AssertionError):
        raise
    except Exception:  # noqa: BLE001 - whatever foreign software raises is a refusal
        return REFUSES
    if software.tells_place and kind.transform is not None:
        _check_place(place, kind)
    if _is(values, decode_store(_grid(store, kind), "codes", _level(kind)), software, kind):
        return READS
    vectors = decode_store(_grid(store, kind), "original", _level(kind))
    if values.shape == vectors.shape and np.allclose(values, vectors, atol=1e-5, equal_nan=True):
        return DECODES
    raise WrongValuesError(f"{kind.name}: {values.shape} {values.dtype}, other values")


def _is(values: NDArray[Any], codes: NDArray[Any], software: Software, kind: Kind) -> bool:
    if software.map_only:
        codes = np.nan_to_num((codes[-1] if kind.dates else codes)[0])
    return np.array_equal(values, codes, equal_nan=codes.dtype.kind == "f")


def _check_place(place: Place, kind: Kind) -> None:
    if place.transform is None or not np.allclose(place.transform, kind.transform or (), rtol=1e-9):
        raise WrongValuesError(f"{kind.name}: lies at {place.transform}, not {kind.transform}")
    if place.epsg not in (None, int(CRS.removeprefix("EPSG:"))):
        raise WrongValuesError(f"{kind.name}: EPSG:{place.epsg}, not {CRS}")


def _grid(store: Path, kind: Kind) -> Path:
    return store if _level(kind) else store / kind.group


def _level(kind: Kind) -> str:
    return kind.group if kind.group.startswith("overviews/") else ""


def find_column(software: Software, stores: dict[str, Path]) -> dict[str, str]:
    """Let a reader read every kind of store."""
    return {name: look(software, KINDS[name], path) for name, path in stores.items()}


def read_table() -> dict[str, dict[str, str]]:
    """Return what the documentation says: by software, then by kind."""
    with TABLE.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return {name: {row["store"]: row[column] for row in rows} for name, column in _columns(rows)}


def _columns(rows: list[dict[str, str]]) -> Iterator[tuple[str, str]]:
    for column in rows[0]:
        if column != "store":
            yield column.rpartition(" ")[0], column


def main() -> None:
    """Write the table; software that is missing here is an error, so that none is forgotten."""
    with TemporaryDirectory() as folder:
        stores = make_stores(Path(folder))
        found = {name: find_column(software, stores) for name, software in SOFTWARE.items()}
    header = ["store", *(f"{name} {SOFTWARE[name].version()}" for name in found)]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows([kind, *(column[kind] for column in found.values())] for kind in KINDS)


if __name__ == "__main__":
    main()
