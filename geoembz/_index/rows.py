"""The vectors of a store that are to be indexed, block by block, each with its position.

Positions number all pixels of all parts as a search does (`geoembz._search.parts`), so that what an
engine finds can be told as a place.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._search.parts import Part, first_positions
from geoembz._search.scorer import valid_codes
from geoembz._util.progress import counted
from geoembz.encoding._quantization import Codes


@dataclass(frozen=True)
class Rows:
    """Some vectors.

    Parameters
    ----------
    part
        Number of the part that they are of.
    codes
        As stored, shape ``(code_length, n)``; all hold an embedding.
    positions
        Inside the part, ascending, int64, shape ``(n,)``.
    """

    part: int
    codes: Codes
    positions: NDArray[np.int64]


def read_rows(parts: Sequence[Part]) -> Iterator[Rows]:
    """Yield all vectors of parts, stored object by stored object."""
    places = [(number, block) for number, part in enumerate(parts) for block in part.blocks()]
    for number, block in counted(places, len(places)):
        rows = _read(number, parts[number], block)
        if len(rows.positions):
            yield rows


def sample_rows(parts: Sequence[Part], count: int, n_blocks: int, seed: int) -> list[Rows]:
    """Draw about so many vectors out of so many stored objects, spread evenly over the parts."""
    places = [(number, block) for number, part in enumerate(parts) for block in part.blocks()]
    step = max(len(places) / n_blocks, 1.0)
    chosen = [places[int(at)] for at in np.arange(0, len(places), step)]
    rng = np.random.default_rng(seed)
    share, drawn = -(-count // len(chosen)), []
    for number, block in chosen:
        rows = _read(number, parts[number], block)
        kept = np.sort(rng.permutation(len(rows.positions))[:share])
        if len(kept):
            drawn.append(Rows(number, rows.codes[:, kept], rows.positions[kept]))
    return drawn


def _read(number: int, part: Part, block: object) -> Rows:
    read = part.read(block)
    valid = valid_codes(part.encoding.quantizer, read.codes, read.mask)
    if valid is None:
        return Rows(number, read.codes, read.positions)
    return Rows(number, read.codes[:, valid], read.positions[valid])


def numbered(parts: Sequence[Part], rows: Rows) -> NDArray[np.int64]:
    """Return the positions of some vectors among those of all parts."""
    first = int(first_positions(parts)[rows.part])
    return rows.positions + first
