"""Draw pixels of what is mapped at random, from chunks at random: no more of them is read."""

from collections.abc import Sequence

import numpy as np

from geoembz._export.region import Region
from geoembz._geo.grid import Blocks
from geoembz._map.task import read_block
from geoembz.encoding._quantization import Codes
from geoembz.errors import NoValidPixelsError

_LEAST_CHUNKS = 64
"""Chunks that a sample comes from, at least, where there are so many: neighbours are alike."""


def sample_codes(inputs: Sequence[Region], count: int, seed: int) -> tuple[Codes, ...]:
    """Draw pixels that hold an embedding in all inputs.

    The same pixels for the same stores and seed, whatever the number of workers.

    Parameters
    ----------
    inputs
        Regions of one shape.
    count
        How many pixels; fewer where there are not so many.
    seed
        Of the choice.

    Returns
    -------
    codes
        Of each input, shape ``(code_length, n)``.

    Raises
    ------
    NoValidPixelsError
        If there is none.
    """
    generator = np.random.Generator(np.random.PCG64(seed))
    chunk = inputs[0].reader.codes.chunks
    blocks = Blocks(inputs[0].window.shape, (chunk[-2], chunk[-1]))
    most = -(-count // min(_LEAST_CHUNKS, len(blocks)))
    parts: list[list[Codes]] = []
    drawn = 0
    for number in generator.permutation(len(blocks)).tolist():
        found = [read_block(region, blocks[number]) for region in inputs]
        masks = [mask for _, mask in found if mask is not None]
        size = blocks[number].size
        valid = np.flatnonzero(np.logical_and.reduce(masks)) if masks else np.arange(size)
        chosen = np.sort(generator.permutation(valid)[: min(most, count - drawn)])
        if len(chosen):
            parts.append([np.ascontiguousarray(codes[:, chosen]) for codes, _ in found])
            drawn += len(chosen)
        if drawn >= count:
            break
    if not parts:
        where = " and ".join(dict.fromkeys(region.reader.url for region in inputs))
        raise NoValidPixelsError(
            f"{where}: no pixel there holds an embedding; expected some to map"
        )
    return tuple(np.concatenate(columns, axis=1) for columns in zip(*parts, strict=True))
