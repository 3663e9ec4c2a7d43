"""Encode and decode pixels tile by tile, so that every pass over a tile finds it in cache."""

from dataclasses import dataclass
from typing import Any, Literal, Self, cast

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError
from geoembz.packing import Bits, pack, packed_length, unpack
from geoembz.projection import TILE_PIXELS, Projection
from geoembz.quantization import Codes, Quantizer

type Space = Literal["original", "reduced"]


def code_length(quantizer: Quantizer) -> int:
    """Return the stored numbers per vector: codes, or bytes where several codes share one."""
    if quantizer.bits >= 8:
        return quantizer.n_components
    return packed_length(quantizer.n_components, _packed_bits(quantizer))


def encode_block(
    projection: Projection,
    quantizer: Quantizer,
    values: NDArray[Any],
    valid: NDArray[np.bool_] | None,
) -> tuple[Codes, NDArray[np.bool_]]:
    """Encode ``(dimension, n_pixels)``; see `Encoding.encode_block`."""
    n_pixels = values.shape[1]
    codes = np.empty((code_length(quantizer), n_pixels), dtype=quantizer.dtype)
    mask = np.ones(n_pixels, dtype=np.bool_) if valid is None else valid.copy()
    for start in range(0, n_pixels, TILE_PIXELS):
        columns = slice(start, start + TILE_PIXELS)
        with np.errstate(over="ignore"):
            tile_values = values[:, columns].astype(np.float32, copy=False)
        components = _components(projection, tile_values, mask[columns])
        tile = quantizer.quantize(components)
        if not mask[columns].all():
            tile[:, ~mask[columns]] = 0 if quantizer.nodata is None else quantizer.nodata
        if quantizer.bits < 8:
            tile = pack(tile.astype(np.uint8, copy=False), _packed_bits(quantizer))
        codes[:, columns] = tile
    return codes, mask


def _components(
    projection: Projection, tile: NDArray[np.float32], mask: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Project a tile; clear the mask of pixels that are not finite and zero their components."""
    components = projection.transform(tile)
    # Through a matrix one bad input makes every component bad: one row tells.
    told_by = components if projection.matrix is None else components[:1]
    suspect = ~np.isfinite(told_by).all(axis=0)
    if suspect.any():
        mask[suspect] &= np.isfinite(tile[:, suspect]).all(axis=0)
        largest = float(np.finfo(np.float32).max)
        np.nan_to_num(components, copy=False, nan=0.0, posinf=largest, neginf=-largest)
    if not mask.all():
        components[:, ~mask] = 0.0
    return components


@dataclass(frozen=True)
class Decoder:
    """Codes to float32 in one space.

    Parameters
    ----------
    projection, quantizer
        Cut to the components asked for.
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
        for start in range(0, n_pixels, TILE_PIXELS):
            columns = slice(start, start + TILE_PIXELS)
            self._decode_tile(codes[:, columns], out[:, columns])
            invalid = self._invalid(codes[0, columns], None if valid is None else valid[columns])
            if invalid is not None and invalid.any():
                out[:, columns][:, invalid] = np.nan
        return out

    def _decode_tile(self, tile: Codes, out: NDArray[np.float32]) -> None:
        if self.quantizer.bits < 8:
            packed = tile.astype(np.uint8, copy=False)
            tile = unpack(packed, _packed_bits(self.quantizer), self.stored_components)
        scores = self.quantizer.dequantize(tile[: self.quantizer.n_components])
        if self.space == "original":
            self.projection.inverse_transform(scores, out)
        elif self.projection.offset is None:
            np.copyto(out, scores)
        else:
            np.add(scores, self.projection.offset, out=out)

    def _invalid(self, first: Codes, valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Return which pixels are invalid, by the first component's code or by the mask."""
        nodata = self.quantizer.nodata
        if nodata is None:
            return None if valid is None else ~valid
        invalid = np.isnan(first) if first.dtype.kind == "f" else first == nodata
        marked = np.asarray(invalid, dtype=np.bool_)
        return marked if valid is None else marked | ~valid


def _packed_bits(quantizer: Quantizer) -> Bits:
    """Return the width of codes that are packed."""
    return cast("Bits", quantizer.bits)
