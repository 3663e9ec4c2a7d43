"""The two steps of an encoding as array-to-array stages, with a JSON configuration.

A stage takes a chunk with the component axis first and whole, ``(length, …)``, and returns another
such chunk. The numcodecs and the Zarr v3 codecs are faces of these stages.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.codecs.configuration import from_text, length, refuse_unknown, to_text
from geoembz.encoding._packing import Bits, pack, packed_length, unpack
from geoembz.encoding._projection import Projection, normalized
from geoembz.encoding._quantization import (
    Quantizer,
    fill_value,
    quantizer_from_state,
    stored_shapes,
)
from geoembz.errors import EncodingError

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
        with single_threaded_blas():
            return _columns(chunk, self.decoded_length, self.projection.transform)

    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Rebuild float32 ``(dimension, …)`` from ``(n_components, …)``."""
        with single_threaded_blas():
            return _columns(chunk, self.encoded_length, self.projection.inverse_transform)

    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""
        arrays = {name: to_text(array) for name, array in self.projection.arrays().items()}
        arrays.pop("rotation", None)  # for metrics; like the kind, decoding does not depend on it
        sizes = {
            "n_components": self.projection.n_components,
            "dimension": self.projection.dimension,
        }
        return {"law": self.projection.law, **sizes, **arrays}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "ProjectionStage":
        """Rebuild the stage from its configuration."""
        if config.get("law") == "identity":
            raise EncodingError(
                "projection: law 'identity' needs no codec; leave it out of the chain"
            )
        dimension, rows = length(config, "dimension"), length(config, "n_components")
        shapes = {
            "projection": (rows, dimension),
            "mean": (dimension,),
            "inverse": (rows, dimension),
        }
        arrays = {
            name: from_text(config, name, shape) for name, shape in shapes.items() if name in config
        }
        built = cls(Projection.from_state(dimension, config, arrays))
        refuse_unknown(config, built.config())
        return built


@dataclass(frozen=True)
class NormalizeStage:
    """Vectors to vectors of length 1; decoding leaves them so (spec/codecs/normalize)."""

    dimension: int

    @property
    def decoded_length(self) -> int:
        """Length of the component axis."""
        return self.dimension

    @property
    def encoded_length(self) -> int:
        """Length of the component axis."""
        return self.dimension

    @property
    def encoded_dtype(self) -> np.dtype[np.generic]:
        """float32."""
        return np.dtype(np.float32)

    @property
    def encoded_fill(self) -> float:
        """NaN."""
        return float("nan")

    def encode(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """Scale float32 ``(dimension, …)`` to length 1."""
        return _columns(chunk, self.dimension, normalized)

    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 ``(dimension, …)`` as it is."""
        return _columns(chunk, self.dimension, np.ascontiguousarray)

    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""
        return {"dimension": self.dimension}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "NormalizeStage":
        """Rebuild the stage from its configuration."""
        refuse_unknown(config, ("dimension",))
        return cls(length(config, "dimension"))


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
        count, bits = self.quantizer.n_codes, self.quantizer.bits
        return packed_length(count, cast("Bits", bits)) if bits < 8 else count

    @property
    def encoded_dtype(self) -> np.dtype[np.generic]:
        """int8, or uint8 for packed codes."""
        return self.quantizer.dtype

    @property
    def encoded_fill(self) -> float:
        """What an invalid pixel is stored as; 0 where there is no code for one."""
        return fill_value(self.quantizer.nodata, self.quantizer.bits)

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
        arrays = {name: to_text(array) for name, array in self.quantizer.arrays().items()}
        config = self.quantizer.config()
        del config["kind"], config["bits"]  # the codec's name says both
        return {**config, **arrays}

    @classmethod
    def from_config(cls, kind: str, config: Mapping[str, Any]) -> "QuantizerStage":
        """Rebuild the stage of the quantizer `kind` from its configuration."""
        length(config, "n_components")
        shapes = stored_shapes(kind, config)
        arrays = {
            name: from_text(config, name, shape) for name, shape in shapes.items() if name in config
        }
        built = cls(quantizer_from_state({**config, "kind": kind}, arrays))
        refuse_unknown(config, built.config())
        return built

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
        if quantizer.bits < 8:
            codes = pack(codes.astype(np.uint8, copy=False), cast("Bits", quantizer.bits))
        if invalid.any():
            codes[:, invalid] = self.encoded_fill
        return codes

    def _dequantize(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        quantizer = self.quantizer
        if quantizer.bits < 8:
            codes = unpack(codes, cast("Bits", quantizer.bits), quantizer.n_codes)
        scores = quantizer.dequantize(codes)
        if quantizer.nodata is not None and codes.dtype.kind != "f":
            scores[:, codes[0] == quantizer.nodata] = np.nan
        return scores


type Stage = NormalizeStage | ProjectionStage | QuantizerStage


def stage(name: str, config: Mapping[str, Any]) -> Stage:
    """Build the stage of the codec `name`, without its prefix, from its configuration."""
    if name == "projection":
        return ProjectionStage.from_config(config)
    if name == "normalize":
        return NormalizeStage.from_config(config)
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
