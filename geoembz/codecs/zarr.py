"""Zarr v3 array-to-array codecs: an array of float32 vectors, stored as codes.

They change the length of the first axis and the data type, work plain and inside
``sharding_indexed``, and need chunks that hold the component axis whole.
"""

import asyncio
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import numpy as np
from zarr.abc.codec import ArrayArrayCodec
from zarr.core.array_spec import ArraySpec
from zarr.core.buffer import NDBuffer
from zarr.core.common import JSON, parse_named_configuration
from zarr.dtype import parse_dtype

from geoembz.codecs.stages import PREFIX, ProjectionStage, QuantizerStage, Stage, stage
from geoembz.errors import EncodingError

__all__ = [
    "BinaryCodec",
    "Float16Codec",
    "Int2Codec",
    "Int4Codec",
    "Int8Codec",
    "NormalizeCodec",
    "PowerCodec",
    "PqCodec",
    "ProjectionCodec",
    "TernaryCodec",
    "codec_chain",
]


@dataclass(frozen=True)
class StageCodec(ArrayArrayCodec):
    """A stage as a Zarr v3 codec; subclasses only name it.

    Parameters
    ----------
    **configuration
        What the codec's page in ``spec/codecs`` lists.

    Raises
    ------
    EncodingError
        If the configuration is incomplete or does not fit together.
    """

    is_fixed_size = True
    kind: ClassVar[str]

    stage: Stage = field(compare=False)
    configuration: dict[str, Any] = field(default_factory=dict)

    def __init__(self, **configuration: JSON) -> None:
        built = stage(self.kind, configuration)
        object.__setattr__(self, "stage", built)
        object.__setattr__(self, "configuration", built.config())

    @classmethod
    def from_dict(cls, data: dict[str, JSON]) -> Self:
        """Read the codec from array metadata."""
        _, configuration = parse_named_configuration(data, PREFIX + cls.kind)
        return cls(**configuration)

    def to_dict(self) -> dict[str, JSON]:
        """Return the codec as it stands in array metadata."""
        return {"name": PREFIX + self.kind, "configuration": self.configuration}

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse arrays that are not float32 or whose chunks cut the component axis."""
        chunk_shape = getattr(chunk_grid, "chunk_shape", shape)
        length = self.stage.decoded_length
        native = dtype.to_native_dtype()
        # Behind a projection Zarr passes the array's own shape here, so a quantizer can only ask
        # for enough; every chunk's exact length is checked when it is encoded or decoded.
        enough = min((*shape[:1], chunk_shape[0]), default=0) >= length
        if native != np.float32 or not enough:
            raise EncodingError(
                f"{PREFIX}{self.kind}: array {native} {shape} in chunks {tuple(chunk_shape)}; "
                f"expected float32 with a first axis of {length}, whole in every chunk"
            )

    def resolve_metadata(self, chunk_spec: ArraySpec) -> ArraySpec:
        """Describe the chunk after encoding."""
        dtype = parse_dtype(self.stage.encoded_dtype, zarr_format=3)
        return replace(
            chunk_spec,
            shape=(self.stage.encoded_length, *chunk_spec.shape[1:]),
            dtype=dtype,
            fill_value=self.stage.encoded_dtype.type(self.stage.encoded_fill),
        )

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Return the bytes of an encoded chunk."""
        del chunk_spec
        pixels = input_byte_length // (self.stage.decoded_length * 4)
        return pixels * self.stage.encoded_length * self.stage.encoded_dtype.itemsize

    def _encode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        encoded = self.stage.encode(chunk_data.as_numpy_array())
        return chunk_spec.prototype.nd_buffer.from_numpy_array(encoded)

    def _decode_sync(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        decoded = self.stage.decode(chunk_data.as_numpy_array())
        return chunk_spec.prototype.nd_buffer.from_numpy_array(decoded)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._encode_sync, chunk_data, chunk_spec)

    async def _decode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> NDBuffer:
        return await asyncio.to_thread(self._decode_sync, chunk_data, chunk_spec)


class ProjectionCodec(StageCodec):
    """``geoembz.projection``: original vectors to principal components."""

    kind = "projection"


class NormalizeCodec(StageCodec):
    """``geoembz.normalize``: vectors scaled to length 1."""

    kind = "normalize"


class Int8Codec(StageCodec):
    """``geoembz.int8``: 8-bit codes, −128 for nodata."""

    kind = "int8"


class Int4Codec(StageCodec):
    """``geoembz.int4``: 4-bit codes, two to a byte; no nodata."""

    kind = "int4"


class Int2Codec(StageCodec):
    """``geoembz.int2``: 2-bit codes, four to a byte; no nodata."""

    kind = "int2"


class TernaryCodec(StageCodec):
    """``geoembz.ternary``: three states in two bits; the fourth is nodata."""

    kind = "ternary"


class BinaryCodec(StageCodec):
    """``geoembz.binary``: one bit per component, eight to a byte; no nodata."""

    kind = "binary"


class PqCodec(StageCodec):
    """``geoembz.pq``: one byte per group of components; no nodata."""

    kind = "pq"


class PowerCodec(StageCodec):
    """``geoembz.power``: the signed power law of AlphaEarth and OlmoEarth, −128 for nodata."""

    kind = "power"


class Float16Codec(StageCodec):
    """``geoembz.float16``: half-precision components, NaN for nodata."""

    kind = "float16"


_QUANTIZER_CODECS = {
    codec.kind: codec
    for codec in (
        Int8Codec,
        Int4Codec,
        Int2Codec,
        TernaryCodec,
        BinaryCodec,
        PqCodec,
        PowerCodec,
        Float16Codec,
    )
}


def codec_chain(
    projection: ProjectionStage, quantizer: QuantizerStage, *, normalize: bool = False
) -> list[StageCodec]:
    """Return the codecs of an encoding, in the order of an array's ``codecs``; none for float32."""
    chain: list[StageCodec] = []
    if normalize:
        chain.append(NormalizeCodec(dimension=projection.decoded_length))
    if projection.projection.matrix is not None:
        chain.append(ProjectionCodec(**projection.config()))
    codec = _QUANTIZER_CODECS.get(quantizer.quantizer.kind)
    if codec is not None:
        chain.append(codec(**quantizer.config()))
    return chain
