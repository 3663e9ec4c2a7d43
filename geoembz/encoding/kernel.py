"""Encode and decode pixels in tiles of one fixed width.

BLAS picks other kernels for other widths, and a sum in another order flips a code here and there.
So every matrix product has the same shape, the last tile padded with zeros: a pixel's code does
not depend on the block, shard or window that it is read with. The tile also stays in cache through
all the passes over it.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError
from geoembz.packing import pack, packed_size, unpack
from geoembz.projection import Projection
from geoembz.quantization import Codes, Quantizer

TILE_PIXELS = 1024
"""Width of every matrix product."""


def encode_block(
    projection: Projection,
    quantizer: Quantizer,
    values: NDArray[np.float32],
    valid: NDArray[np.bool_] | None,
) -> tuple[Codes, NDArray[np.bool_]]:
    """Encode ``(dimension, n_pixels)``; see `Encoding.encode_block`."""
    n_pixels = values.shape[1]
    n_codes = quantizer.n_components
    rows = packed_size(n_codes, quantizer.bits) if quantizer.bits < 8 else n_codes
    codes = np.empty((rows, n_pixels), dtype=quantizer.dtype)
    mask = np.ones(n_pixels, dtype=np.bool_) if valid is None else valid.copy()
    for start in range(0, n_pixels, TILE_PIXELS):
        tile = values[:, start : start + TILE_PIXELS]
        width = tile.shape[1]
        tile_mask = mask[start : start + width]
        components = _components(projection, tile, tile_mask)
        tile_codes = quantizer.quantize(components)
        if not tile_mask.all():
            tile_codes[:, ~tile_mask] = 0 if quantizer.nodata is None else quantizer.nodata
        if quantizer.bits < 8:
            tile_codes = pack(tile_codes, quantizer.bits)
        codes[:, start : start + width] = tile_codes
    return codes, mask


def _components(
    projection: Projection, tile: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Project a tile; clear the mask of pixels that are not finite and zero their components."""
    with np.errstate(over="ignore", invalid="ignore"):
        components = _project(projection, tile)
        if projection.matrix is None:
            suspect = ~np.isfinite(components).all(axis=0)
        else:
            # NaN or infinity in any input makes every component NaN or infinite: one row tells.
            suspect = ~np.isfinite(components[0])
    if suspect.any():
        mask[suspect] &= np.isfinite(tile[:, suspect]).all(axis=0)
        largest = np.finfo(np.float32).max
        np.nan_to_num(components, copy=False, nan=0.0, posinf=largest, neginf=-largest)
    if not mask.all():
        components[:, ~mask] = 0.0
    return components


def _project(projection: Projection, tile: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return centred scores of a tile, multiplied at the full tile width."""
    if projection.matrix is None or projection.offset is None:
        return tile.copy()
    width = tile.shape[1]
    if width < TILE_PIXELS:
        padded = np.zeros((tile.shape[0], TILE_PIXELS), dtype=np.float32)
        padded[:, :width] = tile
        tile = padded
    components = projection.matrix @ tile
    components -= projection.offset
    return components[:, :width]


@dataclass(frozen=True)
class Decoder:
    """Codes to float32 in one space.

    Parameters
    ----------
    projection
        Cut to the components asked for.
    quantizer
        Cut likewise.
    space
        ``original`` or ``reduced``.
    stored_components
        Components in the codes, before the cut.
    """

    projection: Projection
    quantizer: Quantizer
    space: str
    stored_components: int

    @classmethod
    def of(
        cls, projection: Projection, quantizer: Quantizer, space: str, components: int | None = None
    ) -> Self:
        """Prepare a decoder; see `Encoding.decode` for the parameters and errors."""
        if space not in {"original", "reduced"}:
            raise InvalidConfigError(f"space {space!r}; expected 'original' or 'reduced'")
        stored = quantizer.n_components
        if components is None or components == stored:
            return cls(projection, quantizer, space, stored)
        if not 1 <= components < stored:
            raise InvalidConfigError(f"components={components}; expected 1 to {stored}")
        return cls(projection.select(components), quantizer.select(components), space, stored)

    @property
    def length(self) -> int:
        """Length of a decoded vector."""
        projection = self.projection
        return projection.dimension if self.space == "original" else projection.n_components

    @cached_property
    def _product(self) -> NDArray[np.float32] | None:
        """Matrix that takes components and a row of ones to the output; None where none is needed."""
        return self.projection.synthesis if self.space == "original" else None

    def decode(
        self,
        codes: Codes,
        valid: NDArray[np.bool_] | None = None,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Decode ``(code_length, n_pixels)`` to ``(length, n_pixels)``, invalid pixels NaN."""
        n_pixels = codes.shape[1]
        if out is None:
            out = np.empty((self.length, n_pixels), dtype=np.float32)
        kept = self.quantizer.n_components
        components = np.zeros((kept + 1, TILE_PIXELS), dtype=np.float32)
        components[kept] = 1.0
        for start in range(0, n_pixels, TILE_PIXELS):
            tile = codes[:, start : start + TILE_PIXELS]
            width = tile.shape[1]
            self._decode_tile(tile, components, out[:, start : start + width])
            invalid = self._invalid(tile, None if valid is None else valid[start : start + width])
            if invalid is not None and invalid.any():
                out[:, start : start + width][:, invalid] = np.nan
        return out

    def _decode_tile(
        self, tile: Codes, components: NDArray[np.float32], out: NDArray[np.float32]
    ) -> None:
        """Decode one tile; `components` is scratch with a last row of ones."""
        width, kept = tile.shape[1], self.quantizer.n_components
        if self.quantizer.bits < 8:
            tile = unpack(tile, self.quantizer.bits, self.stored_components)
        values = self.quantizer.dequantize(tile[:kept])
        if self._product is None:
            shift = self.projection.offset
            np.copyto(out, values if shift is None else values + shift)
            return
        components[:kept, :width] = values
        if width == TILE_PIXELS:
            np.matmul(self._product, components, out=out)
        else:
            components[:kept, width:] = 0.0
            out[:] = (self._product @ components)[:, :width]

    def _invalid(
        self, tile: Codes, valid: NDArray[np.bool_] | None
    ) -> NDArray[np.bool_] | None:
        """Return which pixels of a tile are invalid, by their code or by the mask."""
        nodata = self.quantizer.nodata
        if nodata is None:
            return None if valid is None else ~valid
        first = tile[0]
        invalid: NDArray[np.bool_] = np.isnan(first) if nodata != nodata else first == nodata  # noqa: PLR0124
        return invalid if valid is None else invalid | ~valid
