"""The steps of an encoding as array-to-array stages, with a JSON configuration.

A stage takes a chunk with the component axis first and whole, ``(length, …)``, and returns another
such chunk. The numcodecs and the Zarr v3 codecs are faces of these stages. A configuration holds
arrays as base64 of little-endian float32 and is closed: a key that a later version gave a meaning
must not be ignored, which would decode wrongly.
"""

import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._kernel import code_length, pack_codes, unpack_codes
from geoembz.encoding._projection import Projection, scale_to_unit
from geoembz.encoding._quantization import Quantizer, quantizer_class
from geoembz.encoding._state import stored_length
from geoembz.errors import EncodingError

PREFIX = "geoembz."
"""What the names of all our codecs start with."""

CODECS = {
    "projection": "original vectors to principal components",
    "normalize": "vectors scaled to length 1",
    "int8": "8-bit codes, −128 for nodata",
    "int4": "4-bit codes, two to a byte; no nodata",
    "int2": "2-bit codes, four to a byte; no nodata",
    "ternary": "three states in two bits; the fourth is nodata",
    "binary": "one bit per component, eight to a byte; no nodata",
    "pq": "one byte per group of components; no nodata",
    "rq": "one byte per stage, whose codewords add up; no nodata",
    "power": "the signed power law of AlphaEarth and OlmoEarth, −128 for nodata",
    "float16": "half-precision components, NaN for nodata",
}
"""Every codec by its name without `PREFIX`, and what it does."""

_WHERE = "codec configuration"


class Stage(ABC):
    """One step of an encoding; chunks have the component axis first and whole."""

    @property
    @abstractmethod
    def kind(self) -> str:
        """Name of its codec, without `PREFIX`."""

    @property
    @abstractmethod
    def decoded_length(self) -> int:
        """Length of the component axis before encoding."""

    @property
    def encoded_length(self) -> int:
        """Length of the component axis after encoding."""
        return self.decoded_length

    @property
    def encoded_dtype(self) -> np.dtype[np.generic]:
        """Type of the encoded numbers."""
        return np.dtype(np.float32)

    @property
    def encoded_fill(self) -> float:
        """What an invalid pixel is stored as; 0 where there is no code for one."""
        return float("nan")

    @abstractmethod
    def encode(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """Encode float32 ``(decoded_length, …)``.

        Raises
        ------
        EncodingError
            If the chunk has another length, or a pixel is invalid and the codes have no room for
            nodata.
        """

    @abstractmethod
    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Rebuild float32 ``(decoded_length, …)`` from ``(encoded_length, …)``."""

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""


@dataclass(frozen=True)
class NormalizeStage(Stage):
    """Vectors to vectors of length 1; decoding leaves them so (spec/codecs/normalize)."""

    dimension: int
    kind = "normalize"

    @property
    def decoded_length(self) -> int:
        """Length of the component axis."""
        return self.dimension

    def encode(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """Scale float32 ``(dimension, …)`` to length 1."""
        return _columns(chunk, self.dimension, scale_to_unit)

    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 ``(dimension, …)`` as it is."""
        return _columns(chunk, self.dimension, np.ascontiguousarray)

    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""
        return {"dimension": self.dimension}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuild the stage from its configuration."""
        return cls(stored_length(_WHERE, config, "dimension"))


@dataclass(frozen=True)
class ProjectionStage(Stage):
    """Original vectors to centred scores (spec/codecs/projection)."""

    projection: Projection
    kind = "projection"

    @property
    def decoded_length(self) -> int:
        """Length of an original vector."""
        return self.projection.dimension

    @property
    def encoded_length(self) -> int:
        """Number of components."""
        return self.projection.n_components

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
        arrays = _to_texts(self.projection.arrays())
        arrays.pop("rotation", None)  # for metrics; like the kind, decoding does not depend on it
        sizes = {
            "n_components": self.projection.n_components,
            "dimension": self.projection.dimension,
        }
        return {"law": self.projection.law, **sizes, **arrays}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Rebuild the stage from its configuration."""
        if config.get("law") == "identity":
            raise EncodingError(
                "projection: law 'identity' needs no codec; leave it out of the chain"
            )
        dimension = stored_length(_WHERE, config, "dimension")
        matrix = (stored_length(_WHERE, config), dimension)
        shapes = {"projection": matrix, "mean": (dimension,), "inverse": matrix}
        return cls(Projection.from_state(dimension, config, _from_texts(config, shapes)))


@dataclass(frozen=True)
class QuantizerStage(Stage):
    """Scores to codes, packed where they are narrower than a byte (spec/codecs/int8 and others)."""

    quantizer: Quantizer

    @property
    def kind(self) -> str:
        """The quantizer's."""
        return self.quantizer.kind

    @property
    def decoded_length(self) -> int:
        """Number of components."""
        return self.quantizer.n_components

    @property
    def encoded_length(self) -> int:
        """Number of codes, or of the bytes that they are packed into."""
        return code_length(self.quantizer)

    @property
    def encoded_dtype(self) -> np.dtype[np.generic]:
        """int8, or uint8 for packed codes."""
        return self.quantizer.dtype

    @property
    def encoded_fill(self) -> float:
        """What an invalid pixel is stored as; 0 where there is no code for one."""
        return self.quantizer.fill_value

    def encode(self, chunk: NDArray[Any]) -> NDArray[Any]:
        """Quantize float32 ``(n_components, …)``; pixels with a value not finite become nodata."""
        return _columns(chunk, self.decoded_length, self._quantize)

    def decode(self, chunk: NDArray[Any]) -> NDArray[np.float32]:
        """Return float32 ``(n_components, …)``, nodata as NaN."""
        return _columns(chunk, self.encoded_length, self._dequantize)

    def config(self) -> dict[str, Any]:
        """Return the codec's configuration."""
        config = self.quantizer.config()
        del config["kind"], config["bits"]  # the codec's name says both
        return {**config, **_to_texts(self.quantizer.arrays())}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], kind: str) -> Self:
        """Rebuild the stage of the quantizer `kind` from its configuration."""
        known = {**config, "kind": kind}
        quantizer = quantizer_class(known)
        return cls(quantizer.from_state(known, _from_texts(config, quantizer.shapes(known))))

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
        codes = pack_codes(quantizer, quantizer.quantize(scores))
        if invalid.any():
            codes[:, invalid] = self.encoded_fill
        return codes

    def _dequantize(self, codes: NDArray[Any]) -> NDArray[np.float32]:
        quantizer = self.quantizer
        codes = unpack_codes(quantizer, codes, quantizer.n_codes)
        scores = quantizer.dequantize(codes)
        if quantizer.nodata is not None and codes.dtype.kind != "f":
            scores[:, codes[0] == quantizer.nodata] = np.nan
        return scores


def encoding_stages(encoding: Encoding) -> list[Stage]:
    """Return the steps of an encoding in their order; those that change nothing are left out.

    Examples
    --------
    >>> encoding = Encoding.fit(np.random.default_rng(0).normal(size=(300, 8)), "pca4-int8")
    >>> [stage.kind for stage in encoding_stages(encoding)]
    ['projection', 'int8']
    """
    stages: list[Stage] = []
    if encoding.normalize:
        stages.append(NormalizeStage(encoding.dimension))
    if encoding.projection.matrix is not None:
        stages.append(ProjectionStage(encoding.projection))
    if encoding.quantizer.kind in CODECS:  # float32 needs none
        stages.append(QuantizerStage(encoding.quantizer))
    return stages


def build_stage(kind: str, config: Mapping[str, Any]) -> Stage:
    """Build the stage of the codec `kind` from its configuration.

    Raises
    ------
    EncodingError
        If something in it is missing, unknown, or does not fit together.
    """
    built: Stage
    if kind == "projection":
        built = ProjectionStage.from_config(config)
    elif kind == "normalize":
        built = NormalizeStage.from_config(config)
    else:
        built = QuantizerStage.from_config(config, kind)
    _refuse_unknown(config, built.config())
    return built


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


def _to_texts(arrays: Mapping[str, NDArray[np.generic]]) -> dict[str, str]:
    """Return base64 of each array's little-endian bytes."""
    return {
        name: base64.b64encode(array.astype(array.dtype.newbyteorder("<")).tobytes()).decode()
        for name, array in arrays.items()
    }


def _from_texts(
    config: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, NDArray[np.generic]]:
    """Read the arrays of known shapes that a configuration has."""
    return {
        name: _from_text(name, config[name], shape)
        for name, shape in shapes.items()
        if name in config
    }


def _from_text(name: str, text: object, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if not isinstance(text, str):
        raise EncodingError(f"{_WHERE}: {name} is {type(text).__name__}; expected base64")
    try:
        data = base64.b64decode(text, validate=True)
        return np.frombuffer(data, dtype="<f4").astype(np.float32).reshape(shape)
    except (binascii.Error, ValueError) as error:
        raise EncodingError(
            f"{_WHERE}: {name} is not base64 of float32 {shape} ({error})"
        ) from error


def _refuse_unknown(config: Mapping[str, Any], known: Collection[str]) -> None:
    unknown = sorted(set(config) - set(known))
    if unknown:
        raise EncodingError(
            f"{_WHERE}: unknown key {unknown[0]!r}; expected {', '.join(known)}; "
            "a newer geoembz may read it"
        )
