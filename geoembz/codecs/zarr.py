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

from geoembz.codecs._stages import CODECS, PREFIX, Stage, build_stage, encoding_stages
from geoembz.encoding import Encoding
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
    "RqCodec",
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
        built = build_stage(self.kind, configuration)
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


def _codec(kind: str) -> type[StageCodec]:
    """Make the Zarr v3 codec of a stage, as importable by its name as any class."""
    name = f"{kind.capitalize()}Codec"
    text = f"``{PREFIX}{kind}``: {CODECS[kind]}."
    return type(name, (StageCodec,), {"kind": kind, "__module__": __name__, "__doc__": text})


ProjectionCodec = _codec("projection")
NormalizeCodec = _codec("normalize")
Int8Codec = _codec("int8")
Int4Codec = _codec("int4")
Int2Codec = _codec("int2")
TernaryCodec = _codec("ternary")
BinaryCodec = _codec("binary")
PqCodec = _codec("pq")
RqCodec = _codec("rq")
PowerCodec = _codec("power")
Float16Codec = _codec("float16")

_BY_KIND = {codec.kind: codec for codec in StageCodec.__subclasses__()}


def codec_chain(encoding: Encoding) -> list[StageCodec]:
    """Return the codecs of an encoding, in the order of an array's ``codecs``; none for float32."""
    return [_BY_KIND[stage.kind](**stage.config()) for stage in encoding_stages(encoding)]
