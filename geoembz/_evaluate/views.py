"""The forms in which one recipe gives the vectors back: what the tasks are run on."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.sample import Sample
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding


class Views(Protocol):
    """What a task may ask for; rows are those of the sample."""

    @property
    def name(self) -> str:
        """Name of the recipe."""
        ...

    @property
    def bytes_per_vector(self) -> int:
        """Nominal size of one stored vector."""
        ...

    @property
    def after(self) -> "Views | None":
        """The same rows at a second date."""
        ...

    @property
    def reconstructed(self) -> NDArray[np.float32]:
        """Vectors of the original dimension, shape ``(n, D)``."""
        ...

    @property
    def reduced(self) -> NDArray[np.float32]:
        """Short vectors whose dot products and cosines are those of `reconstructed`."""
        ...

    @property
    def packed_bits(self) -> NDArray[np.uint8] | None:
        """Packed bits, shape ``(n, n_bytes)``, where the codes are bits; None elsewhere."""
        ...


@dataclass(frozen=True, eq=False)
class Uncompressed:
    """The baseline: vectors as they are."""

    vectors: NDArray[np.float32]
    after: "Uncompressed | None" = None
    name: str = "float32 (uncompressed)"

    @property
    def bytes_per_vector(self) -> int:
        """Four bytes per component."""
        return 4 * int(self.vectors.shape[1])

    @property
    def reconstructed(self) -> NDArray[np.float32]:
        """The vectors."""
        return self.vectors

    @property
    def reduced(self) -> NDArray[np.float32]:
        """The vectors."""
        return self.vectors

    @property
    def packed_bits(self) -> None:
        """None: these are no bits."""
        return


@dataclass(frozen=True, eq=False)
class Compressed:
    """Codes of one encoding, decoded on demand.

    Parameters
    ----------
    encoding
        Fitted on training rows.
    codes
        Shape ``(n, code_length)``.
    after
        The same rows at a second date.
    """

    encoding: Encoding
    codes: NDArray[Any]
    after: "Compressed | None" = None

    @classmethod
    def of(cls, encoding: Encoding, sample: Sample) -> Self:
        """Encode the sample's vectors, unless it carries what a store holds for them."""
        after = None if sample.after is None else cls(encoding, _encoded(encoding, sample.after))
        if sample.codes is not None and sample.encoding is encoding:
            return cls(encoding, sample.codes, after)
        return cls(encoding, _encoded(encoding, sample.vectors), after)

    @property
    def name(self) -> str:
        """Name of the recipe."""
        return str(self.encoding.recipe)

    @property
    def bytes_per_vector(self) -> int:
        """Nominal size of one code, before entropy coding."""
        return self.encoding.bytes_per_vector

    @cached_property
    def reconstructed(self) -> NDArray[np.float32]:
        """Vectors of the original dimension."""
        with single_threaded_blas():
            return self.encoding.decode(self.codes)

    @cached_property
    def reduced(self) -> NDArray[np.float32]:
        """Components, with the length of the mean's part outside the subspace appended.

        That part is the same in every reconstructed vector and at right angles to the rest, so one
        constant stands for it, and cosines are exactly those of the reconstruction.
        """
        encoding = self.encoding
        if encoding.n_components >= encoding.dimension:
            return self.reconstructed
        with single_threaded_blas():
            vectors = encoding.decode(self.codes, "reduced")
        outside = encoding.projection.residual_norm
        if not outside:
            return vectors
        constant = np.full((len(vectors), 1), outside, np.float32)
        return np.concatenate([vectors, constant], axis=1)

    @property
    def packed_bits(self) -> NDArray[np.uint8] | None:
        """The codes, where each of their bits is one component."""
        quantizer = self.encoding.quantizer
        if quantizer.bits != 1 or self.codes.dtype != np.uint8:
            return None
        return np.asarray(self.codes, np.uint8)


def _encoded(encoding: Encoding, vectors: NDArray[np.float32]) -> NDArray[Any]:
    with single_threaded_blas():
        return encoding.encode(vectors)
