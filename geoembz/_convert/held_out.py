"""How well held-out pixels come back, one by one, until those of a shard are added up.

Blocks of a shard are read, or come from a model, in any shape and order. Sums of floating-point
numbers depend on their order: so the pixels of a shard are put in that of the raster first.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz._convert.sampling import PixelRoles
from geoembz._geo.grid import Window
from geoembz.encoding import Encoding
from geoembz.encoding._fidelity import FidelitySums, PixelFidelity, pixel_fidelity
from geoembz.encoding._quantization import Codes
from geoembz.sources import SourceData


@dataclass(frozen=True)
class Measured:
    """The fidelity of some held-out pixels.

    Parameters
    ----------
    at
        Where they lie: row times width plus column, int64 ``(n,)``.
    figures
        Cosine, centred cosine and RMSE of each, float64 ``(3, n)``.
    """

    at: NDArray[np.int64]
    figures: NDArray[np.float64]

    @classmethod
    def of(
        cls,
        encoding: Encoding,
        roles: PixelRoles,
        centre: NDArray[np.float64],
        block: Window,
        data: SourceData,
        codes: Codes,
        valid: NDArray[np.bool_],
    ) -> Self:
        """Measure the held-out pixels of a block.

        Parameters
        ----------
        encoding, roles, centre
            What the codes were made with, which pixels are held out, and what the centred cosine
            takes off.
        block, data
            The pixels, and where they lie.
        codes, valid
            What became of them: ``(code_length, n_pixels)`` and ``(n_pixels,)``.
        """
        tested = np.flatnonzero(roles.held_out(roles.keys(block)) & valid)
        original = encoding.target(data.pixels(tested))
        decoded = encoding.decode_block(np.ascontiguousarray(codes[:, tested]))
        pixels = pixel_fidelity(original.T, decoded.T, centre)
        rows, cols = np.divmod(tested, block.width)
        at = (rows + block.row) * roles.shape[1] + cols + block.col
        return cls(at, np.stack([pixels.cosine, pixels.cosine_centred, pixels.rmse]))

    @classmethod
    def join(cls, parts: Sequence["Measured"]) -> Self:
        """Return the pixels of all parts in the order of the raster, each once."""
        if not parts:
            return cls(np.empty(0, np.int64), np.empty((3, 0)))
        at, order = np.unique(np.concatenate([part.at for part in parts]), return_index=True)
        figures = np.concatenate([part.figures for part in parts], axis=1)
        return cls(at, np.ascontiguousarray(figures[:, order]))

    def select(self, kept: NDArray[np.bool_]) -> "Measured":
        """Return some of the pixels."""
        return Measured(self.at[kept], np.ascontiguousarray(self.figures[:, kept]))

    def sums(self, dimension: int) -> FidelitySums:
        """Add them up, of vectors of so many components."""
        return FidelitySums.of_pixels(PixelFidelity(*self.figures), dimension)
