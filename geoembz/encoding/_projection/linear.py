"""The map from original vectors to components and back.

Knows only NumPy. Pixels are columns: arrays are ``(dimension, n_pixels)``, as rasters are read.

Every matrix product of `transform` and `inverse_transform` has one fixed width, the last one padded
with zeros (see `projection.tiles`): a pixel's result does not depend on how many pixels are
read with it. Where BLAS treats all columns alike, it does not depend on which ones either; some
kernels do not, and there the last bits follow a pixel's place in its tile (spec/format.md,
"Determinism").
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._projection.tiles import Centering, affine, multiply_tiles
from geoembz.encoding._state import Arrays, stored_array, stored_length
from geoembz.errors import EncodingError, InvalidConfigError

LAWS = ("identity", "orthonormal", "biorthogonal")


@dataclass(frozen=True)
class Projection:
    """``z = analysis @ (x - mean)`` and ``x = matrix.T @ z + mean``; identity without a matrix.

    Parameters
    ----------
    kind
        Label of how it was fitted: ``none``, ``pca``, ``svd``, ``random`` or ``select``.
    dimension
        Length of the original vectors.
    matrix
        What decodes, float32, shape ``(n_components, dimension)``; None for the identity.
    mean
        float32, shape ``(dimension,)``, zeros for an uncentred map; None for the identity.
    inverse
        What encodes, where that is not `matrix` itself: float32, shape
        ``(n_components, dimension)``, with ``inverse @ matrix.T`` the identity.
    rotated
        Whether components were rotated: a prefix of them is then no smaller encoding.
    whiten
        Power of the standard deviation that components were divided by before a rotation.
    rotation
        The rotation, where it follows a projection: float32, shape
        ``(n_components, n_components)``. Decoding does not need it; metrics that weight
        components do.
    """

    kind: str
    dimension: int
    matrix: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None
    inverse: NDArray[np.float32] | None = None
    rotated: bool = False
    whiten: float = 0.0
    rotation: NDArray[np.float32] | None = None

    @property
    def n_components(self) -> int:
        """Length of a projected vector."""
        return self.dimension if self.matrix is None else self.matrix.shape[0]

    @property
    def law(self) -> str:
        """How vectors are rebuilt: ``identity``, ``orthonormal`` or ``biorthogonal``."""
        if self.matrix is None:
            return "identity"
        return "orthonormal" if self.inverse is None else "biorthogonal"

    @property
    def is_ordered(self) -> bool:
        """Whether the first components are a smaller encoding by themselves."""
        return self.matrix is not None and not self.rotated

    @property
    def analysis(self) -> NDArray[np.float32] | None:
        """The matrix that encodes, float32, shape ``(n_components, dimension)``."""
        return self.matrix if self.inverse is None else self.inverse

    @cached_property
    def offset(self) -> NDArray[np.float32] | None:
        """``analysis @ mean``, float32, shape ``(n_components, 1)``: the mean's own scores."""
        if self.analysis is None or self.mean is None:
            return None
        product = self.analysis.astype(np.float64) @ self.mean.astype(np.float64)
        return product.astype(np.float32)[:, np.newaxis]

    def transform(
        self,
        values: NDArray[np.float32],
        out: NDArray[np.float32] | None = None,
        centering: Centering | None = None,
    ) -> NDArray[np.float32]:
        """Return centred scores, float32 ``(n_components, n_pixels)``, of original vectors.

        The mean is taken off before the product: afterwards, a large one would cancel what differs.
        A column with a value that is not finite becomes not finite in every component.

        Parameters
        ----------
        values
            float32, shape ``(dimension, n_pixels)``.
        out
            Where to put the scores.
        centering
            What `centering` returned, where many blocks are to share its memory.
        """
        if out is None:
            out = np.empty((self.n_components, values.shape[1]), dtype=np.float32)
        if self.analysis is None:
            np.copyto(out, values)
            return out
        centering = centering or self.centering()
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, values.shape[1], centering.width):
                columns = slice(start, start + centering.width)
                multiply_tiles(self.analysis, centering(values[:, columns]), out[:, columns])
        return out

    def centering(self, *, keeps_rows: bool = False) -> Centering:
        """Return what takes the mean off one tile after another.

        Parameters
        ----------
        keeps_rows
            Whether vectors that come as rows may stay so in memory, which saves a pass. The bits
            are the same only while BLAS runs on one thread: others divide such products otherwise.
        """
        mean = np.zeros(self.dimension, np.float32) if self.mean is None else self.mean
        # One component is a product of a vector, whose order of sums follows the memory.
        return Centering(mean, keeps_rows=keeps_rows and self.n_components > 1)

    def inverse_transform(
        self, scores: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return original vectors, float32 ``(dimension, n_pixels)``, of centred scores."""
        if out is None:
            out = np.empty((self.dimension, scores.shape[1]), dtype=np.float32)
        return affine(self.synthesis, scores, out)

    def reduction(self, weights: NDArray[np.float64] | None = None) -> NDArray[np.float32] | None:
        """Return the matrix from scores and a last row of ones to reduced vectors.

        Reduced vectors have the dot products of the rebuilt ones, but for the square of
        `residual_norm`. After whitening, or with `weights`, they are the weighted components before
        the rotation.

        Parameters
        ----------
        weights
            Factor of each component before the rotation, shape ``(n_components,)``.

        Returns
        -------
        matrix
            float32, shape ``(n_components, n_components + 1)``; None where reduced vectors are
            ``scores + offset``.
        """
        if self.matrix is None or self.offset is None:
            return None if weights is None else _with_shift(np.diag(weights), None)
        if weights is None and self.inverse is None:
            return None
        back = np.eye(self.n_components) if self.rotation is None else self.rotation.T
        lengths = np.linalg.norm(back @ self.matrix.astype(np.float64), axis=1)
        scaled = (lengths if weights is None else lengths * weights)[:, np.newaxis] * back
        return _with_shift(scaled, self.offset)

    def in_reduced_space(self, weights: NDArray[np.float64] | None = None) -> Self:
        """Return the projection from reduced vectors to the same scores.

        Parameters
        ----------
        weights
            As in `reduction`.
        """
        count, reduction = self.n_components, self.reduction(weights)
        if reduction is None:
            shift = np.zeros(count, np.float32) if self.offset is None else self.offset[:, 0]
            return type(self)(self.kind, count, np.eye(count, dtype=np.float32), shift)
        matrix, shift = np.ascontiguousarray(reduction[:, :-1].T), reduction[:, -1].copy()
        inverse = np.linalg.inv(matrix.T.astype(np.float64)).astype(np.float32)
        return type(self)(self.kind, count, matrix, shift, inverse, rotated=True)

    @cached_property
    def synthesis(self) -> NDArray[np.float32] | None:
        """``[matrix.T, mean]``, float32, shape ``(dimension, n_components + 1)``."""
        if self.matrix is None or self.mean is None:
            return None
        return np.ascontiguousarray(np.column_stack([self.matrix.T, self.mean]))

    @cached_property
    def residual_norm(self) -> float:
        """Length of the mean's part outside the subspace: what reduced space leaves out.

        Cosine functions append it to reduced vectors, and then agree with the reconstruction.
        """
        if self.matrix is None or self.mean is None or self.offset is None:
            return 0.0
        mean = self.mean.astype(np.float64)
        inside = self.matrix.astype(np.float64).T @ self.offset[:, 0].astype(np.float64)
        return float(np.linalg.norm(mean - inside))

    def select(self, n_components: int) -> Self:
        """Return the projection on the first `n_components` components.

        Raises
        ------
        InvalidConfigError
            If components are not ordered: no projection, or a rotation.
        """
        if self.matrix is None or not self.is_ordered:
            why = "rotated" if self.rotated else "those of unprojected vectors"
            raise InvalidConfigError(
                f"components={n_components}: components are {why} and not ordered, so a prefix of "
                "them is no smaller encoding; read all, or convert with --pca and no rotation"
            )
        inverse = None if self.inverse is None else self.inverse[:n_components]
        cut = self.matrix[:n_components]
        return type(self)(self.kind, self.dimension, cut, self.mean, inverse, whiten=self.whiten)

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        config = {"kind": self.kind, "law": self.law, "n_components": self.n_components}
        if self.rotated:
            config["rotated"] = True
        if self.whiten:
            config["whiten"] = self.whiten
        return config

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        if self.matrix is None or self.mean is None:
            return {}
        known = {
            "projection": self.matrix,
            "mean": self.mean,
            "inverse": self.inverse,
            "rotation": self.rotation,
        }
        return {name: array for name, array in known.items() if array is not None}

    @classmethod
    def from_state(cls, dimension: int, config: Mapping[str, Any], arrays: Arrays) -> Self:
        """Rebuild from `config` and `arrays`.

        Raises
        ------
        EncodingError
            If an array is missing, of a wrong shape or not finite, or the law is unknown.
        """
        law, kind = config.get("law"), str(config.get("kind", "linear"))
        if law not in LAWS:
            raise EncodingError(
                f"projection: law {law!r}; this geoembz knows {', '.join(LAWS)}; a newer one may "
                "read it"
            )
        if law == "identity":
            return cls("none", dimension)
        rotated, whiten = _flags(config)
        if "rotation" in arrays and not rotated:
            raise EncodingError("projection: a rotation, but 'rotated' is not true")
        count = stored_length("projection", config)

        def stored(name: str, *shape: int) -> NDArray[np.float32]:
            return stored_array("projection", name, arrays, shape)

        return cls(
            kind,
            dimension,
            stored("projection", count, dimension),
            stored("mean", dimension),
            stored("inverse", count, dimension) if law == "biorthogonal" else None,
            rotated=rotated,
            whiten=whiten,
            rotation=stored("rotation", count, count) if "rotation" in arrays else None,
        )


def _flags(config: Mapping[str, Any]) -> tuple[bool, float]:
    """Return ``rotated`` and ``whiten`` of a stored configuration."""
    rotated, whiten = config.get("rotated", False), config.get("whiten", 0.0)
    known = isinstance(rotated, bool) and type(whiten) in {int, float}
    if not known or not 0 <= whiten <= 1:
        raise EncodingError(
            f"projection: rotated is {rotated!r}, whiten {whiten!r}; expected true or false, and a "
            "number from 0 to 1"
        )
    return rotated, float(whiten)


def _with_shift(matrix: NDArray[Any], offset: NDArray[np.float32] | None) -> NDArray[np.float32]:
    """Append ``matrix @ offset`` as the last column."""
    shift = np.zeros((len(matrix), 1)) if offset is None else matrix @ offset
    return np.ascontiguousarray(np.column_stack([matrix, shift]), dtype=np.float32)
