"""The two steps of an encoding as array-to-array stages, with a JSON configuration.

A stage takes a chunk with the component axis first and whole, ``(length, …)``, and returns another
such chunk. The numcodecs and the Zarr v3 codecs are faces of these stages.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import EncodingError
from geoembz.packing import Bits, pack, packed_length, unpack
from geoembz.projection import Projection
from geoembz.quantization import Quantizer, quantizer_from_state

PREFIX = "geoembz."
"""What the names of all our codecs start with."""


@dataclass(frozen=True)
class ProjectionStage:
    """Original vectors to centred scores (spec/codecs/projection)."""

    projection: Projection

    @property
    def decoded_length(self) -> int:
        """Length of the component axis before encoding."""
        return self.projection.dimension

    @property
    def encoded_length(self) -> int:
        """Length of the component axis after encoding."""
        return self.projection.n_components

    @property
    def encoded_dtype(self) -> np.dtype[np.generic]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def encoded_fill(self) -> float:
        """NaN: a vector that is not finite has no finite score."""
        return float("nan")

    def encode(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """Project float32 ``(dimension, …)`` to ``(n_components, …)``."""
        return _columns(chunk, self.decoded_length, self.projection.transform)

    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Rebuild float32 ``(dimension, …)`` from ``(n_components, …)``."""
        return _columns(chunk, self.encoded_length, self.projection.inverse_transform)

    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""
        arrays = {name: _to_text(array) for name, array in self.projection.arrays().items()}
        return {**self.projection.config(), "dimension": self.projection.dimension, **arrays}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ProjectionStage":
        """Rebuild the stage from its configuration."""
        dimension, rows = _length(config, "dimension"), _length(config, "n_components")
        arrays = {
            "projection": _from_text(config, "projection", (rows, dimension)),
            "mean": _from_text(config, "mean", (dimension,)),
        }
        return cls(Projection.from_state(dimension, config, arrays))


@dataclass(frozen=True)
class QuantizerStage:
    """Scores to codes, packed where they are narrower than a byte (spec/codecs/int8 and others)."""

    quantizer: Quantizer

    @property
    def decoded_length(self) -> int:
        """Length of the component axis before encoding."""
        return self.quantizer.n_components

    @property
    def encoded_length(self) -> int:
        """Length of the component axis after encoding."""
        count, bits = self.quantizer.n_components, self.quantizer.bits
        return packed_length(count, cast("Bits", bits)) if bits < 8 else count

    @property
    def encoded_dtype(self) -> np.dtype[np.generic]:
        """int8, or uint8 for packed codes."""
        return self.quantizer.dtype

    @property
    def encoded_fill(self) -> float:
        """The code of nodata; 0 where there is none."""
        return 0 if self.quantizer.nodata is None else self.quantizer.nodata

    def encode(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """Quantize float32 ``(n_components, …)``; pixels with a value not finite become nodata.

        Raises
        ------
        EncodingError
            If there is such a pixel and the codes have no room for nodata.
        """
        return _columns(chunk, self.decoded_length, self._quantize)

    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 ``(n_components, …)``, nodata as NaN."""
        return _columns(chunk, self.encoded_length, self._dequantize)

    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""
        arrays = {name: _to_text(array) for name, array in self.quantizer.arrays().items()}
        config = {**self.quantizer.config(), "n_components": self.quantizer.n_components}
        del config["kind"], config["bits"]  # the codec's name says both
        return {**config, **arrays}

    @classmethod
    def from_config(cls, kind: str, config: Mapping[str, Any]) -> "QuantizerStage":
        """Rebuild the stage of the quantizer `kind` from its configuration."""
        count = _length(config, "n_components")
        shapes = {
            "scale": (count,),
            "offset": (count,),
            "threshold": (count,),
            "codebook": (count, 2),
        }
        arrays = {
            name: _from_text(config, name, shape)
            for name, shape in shapes.items()
            if name in config
        }
        return cls(quantizer_from_state({**config, "kind": kind}, arrays))

    def _quantize(self, scores: NDArray[np.float32]) -> NDArray[Any]:
        quantizer, invalid = self.quantizer, ~np.isfinite(scores).all(axis=0)
        if invalid.any():
            if quantizer.nodata is None:
                raise EncodingError(
                    f"{PREFIX}{quantizer.kind}: {int(invalid.sum())} of {invalid.size} pixels are "
                    "NaN or infinite, and these codes have no room for nodata; fill such pixels, "
                    "use int8, or convert with --layout plain, which keeps a mask"
                )
            scores = np.where(invalid, np.float32(0), scores)
        codes = quantizer.quantize(scores)
        if invalid.any():
            codes[:, invalid] = self.encoded_fill
        if quantizer.bits < 8:
            return pack(codes.astype(np.uint8, copy=False), cast("Bits", quantizer.bits))
        return codes

    def _dequantize(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        quantizer = self.quantizer
        if quantizer.bits < 8:
            codes = unpack(codes, cast("Bits", quantizer.bits), quantizer.n_components)
        scores = quantizer.dequantize(codes)
        if quantizer.nodata is not None and codes.dtype.kind != "f":
            scores[:, codes[0] == quantizer.nodata] = np.nan
        return scores


type Stage = ProjectionStage | QuantizerStage


def stage(name: str, config: Mapping[str, Any]) -> Stage:
    """Build the stage of the codec `name`, without its prefix, from its configuration."""
    if name == "projection":
        return ProjectionStage.from_config(config)
    return QuantizerStage.from_config(name, config)


def _columns(
    chunk: NDArray[Any], length: int, function: Callable[[NDArray[Any]], NDArray[Any]]
) -> NDArray[Any]:
    """Apply a function of ``(length, n_pixels)`` to ``(length, …)``."""
    if chunk.shape[:1] != (length,):
        raise EncodingError(
            f"codec: chunk of shape {chunk.shape}; expected {length} components on the first axis; "
            "the array's chunks must hold the component axis whole"
        )
    pixels = chunk.shape[1:]
    result = function(np.ascontiguousarray(chunk).reshape(length, -1))
    return result.reshape(len(result), *pixels)


def _to_text(array: NDArray[np.generic]) -> str:
    """Return base64 of an array's little-endian bytes."""
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def _from_text(config: Mapping[str, Any], name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Read a float32 array of a known shape back from base64."""
    text = config.get(name)
    if not isinstance(text, str):
        raise EncodingError(
            f"codec configuration: {name} is {type(text).__name__}; expected base64"
        )
    try:
        data = base64.b64decode(text, validate=True)
        return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)
    except (binascii.Error, ValueError) as error:
        raise EncodingError(
            f"codec configuration: {name} is not base64 of float32 {shape} ({error})"
        ) from error


def _length(config: Mapping[str, Any], name: str) -> int:
    value = config.get(name)
    if not isinstance(value, int) or not 1 <= value <= 65_536:
        raise EncodingError(
            f"codec configuration: {name} is {value!r}; expected an integer from 1 to 65536"
        )
    return value
