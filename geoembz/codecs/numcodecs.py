"""numcodecs codecs, for Zarr v2 filters and everything else that speaks numcodecs.

A v2 filter gets bytes without a shape. So the chunk's shape stands in the configuration, C order,
component axis first and whole; anything else is refused rather than read wrongly.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
from numcodecs.abc import Codec
from numcodecs.compat import ensure_bytes, ensure_ndarray, ndarray_copy
from numpy.typing import NDArray

from geoembz.codecs._stages import CODECS, PREFIX, build_stage
from geoembz.errors import EncodingError

__all__ = [
    "Binary",
    "Float16",
    "Int2",
    "Int4",
    "Int8",
    "Normalize",
    "Power",
    "Pq",
    "Projection",
    "Rq",
    "Ternary",
]


class StageFilter(Codec):  # type: ignore[misc]
    """A stage as a numcodecs codec; subclasses only name it.

    Parameters
    ----------
    chunk_shape
        Shape of one decoded chunk, component axis first.
    **configuration
        What the codec's page in ``spec/codecs`` lists.

    Raises
    ------
    EncodingError
        If the configuration is incomplete or does not fit together.
    """

    kind: ClassVar[str]

    def __init__(self, chunk_shape: Sequence[int], **configuration: Any) -> None:
        self.stage = build_stage(self.kind, configuration)
        length = self.stage.decoded_length
        if not _is_shape(chunk_shape) or chunk_shape[0] != length:
            raise EncodingError(
                f"{self.codec_id}: chunk_shape {chunk_shape!r}; expected a list of positive "
                f"integers, the first of them {length}"
            )
        self.chunk_shape = tuple(int(size) for size in chunk_shape)

    def encode(self, buf: Any) -> NDArray[Any]:
        """Encode one chunk of float32; see the class."""
        return self.stage.encode(self._chunk(buf, self.chunk_shape, np.dtype(np.float32)))

    def decode(self, buf: Any, out: Any = None) -> NDArray[np.float32]:
        """Decode one chunk; `out` receives it where given."""
        shape = (self.stage.encoded_length, *self.chunk_shape[1:])
        decoded = self.stage.decode(self._chunk(buf, shape, self.stage.encoded_dtype))
        return decoded if out is None else ndarray_copy(decoded, out)

    def get_config(self) -> dict[str, Any]:
        """Return the JSON configuration that `from_config` reads."""
        return {
            "id": self.codec_id,
            "chunk_shape": list(self.chunk_shape),
            **self.stage.config(),
        }

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Build the codec from what `get_config` returned."""
        known = {name: value for name, value in config.items() if name != "id"}
        return cls(**{"chunk_shape": (), **known})

    def __repr__(self) -> str:
        """Return the codec without its arrays."""
        return f"{type(self).__name__}(chunk_shape={self.chunk_shape})"

    def _chunk(self, buf: Any, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> NDArray[Any]:
        """View a buffer as a chunk of known shape and type, or refuse it."""
        array = ensure_ndarray(buf)
        is_bytes = array.ndim == 1 and array.dtype.itemsize == 1
        fits = array.nbytes == math.prod(shape) * dtype.itemsize
        typed = is_bytes or array.dtype == dtype
        shaped = array.ndim == 1 or array.shape == shape
        if not (fits and typed and shaped and array.flags.c_contiguous):
            order = "C order" if array.flags.c_contiguous else "another order than C"
            raise EncodingError(
                f"{self.codec_id}: chunk of {array.dtype} {array.shape}, {order}; expected {dtype} "
                f"{shape} in C order, the component axis first and whole; set the array's chunks "
                "and the codec's chunk_shape to the same shape"
            )
        return np.frombuffer(ensure_bytes(array), dtype=dtype).reshape(shape)


def _is_shape(value: object) -> bool:
    """Whether a value from outside is a list of sizes, none of them zero."""
    sizes = list(value) if isinstance(value, list | tuple) else []
    return bool(sizes) and all(isinstance(size, int | np.integer) and size > 0 for size in sizes)


def _filter(kind: str) -> type[StageFilter]:
    """Make the numcodecs codec of a stage, as importable by its name as any class."""
    name = kind.capitalize()
    text = f"``{PREFIX}{kind}``: {CODECS[kind]}."
    members = {"kind": kind, "codec_id": PREFIX + kind, "__module__": __name__, "__doc__": text}
    return type(name, (StageFilter,), members)


Projection = _filter("projection")
Normalize = _filter("normalize")
Int8 = _filter("int8")
Int4 = _filter("int4")
Int2 = _filter("int2")
Ternary = _filter("ternary")
Binary = _filter("binary")
Pq = _filter("pq")
Rq = _filter("rq")
Power = _filter("power")
Float16 = _filter("float16")
