"""Linear projections: exact streamed moments, PCA, and the map to components and back.

Knows only NumPy. Pixels are columns: arrays are ``(dimension, n_pixels)``, as rasters are read.

BLAS picks other kernels for other widths, and a sum in another order flips a code here and there.
So every matrix product of `transform` and `inverse_transform` has one fixed width, the last one
padded with zeros: a pixel's result does not depend on the block, shard or window it is read with.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import EncodingError, InvalidConfigError, NoValidPixelsError

TILE_PIXELS = 1024
"""Width of every matrix product; a tile stays in cache through the passes that follow."""

_BLOCK_PIXELS = 8192
"""Pixels converted to float64 at a time while moments are summed."""


@dataclass(frozen=True)
class Moments:
    """Count, mean and covariance of any number of vectors, as additive float64 sums.

    Sums are taken about `shift` (near the mean) so that squares of large offsets do not cancel.
    Merging in a fixed order gives the same bits however the vectors were divided among workers.

    Parameters
    ----------
    shift
        float64, shape ``(dimension,)``.
    count
        Number of vectors.
    total
        Sum of ``x - shift``, float64, shape ``(dimension,)``.
    products
        Sum of outer products of ``x - shift``, float64, shape ``(dimension, dimension)``.
    """

    shift: NDArray[np.float64]
    count: int
    total: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float32], shift: NDArray[np.float64] | None = None) -> Self:
        """Sum finite `values`, shape ``(dimension, n_pixels)``, about `shift` or their own mean."""
        dimension, n_pixels = values.shape
        if shift is None:
            shift = values.mean(axis=1, dtype=np.float64) if n_pixels else np.zeros(dimension)
        total = np.zeros(dimension)
        products = np.zeros((dimension, dimension))
        for start in range(0, n_pixels, _BLOCK_PIXELS):
            block = values[:, start : start + _BLOCK_PIXELS] - shift[:, np.newaxis]
            total += block.sum(axis=1)
            products += block @ block.T
        return cls(shift, n_pixels, total, products)

    def merge(self, other: Self) -> Self:
        """Return the moments of both sets; they must share the shift.

        Raises
        ------
        InvalidConfigError
            If the two were summed about different points.
        """
        if not np.array_equal(self.shift, other.shift):
            raise InvalidConfigError(
                "moments: the two sums have different shifts; pass the first one's `shift` to `of`"
            )
        return type(self)(
            self.shift,
            self.count + other.count,
            self.total + other.total,
            self.products + other.products,
        )

    @cached_property
    def mean(self) -> NDArray[np.float64]:
        """Mean vector, float64, shape ``(dimension,)``."""
        return self.shift + self.total / self.count

    @cached_property
    def covariance(self) -> NDArray[np.float64]:
        """Covariance (divided by ``count - 1``), float64, shape ``(dimension, dimension)``."""
        centre = self.total / self.count
        return (self.products - self.count * np.outer(centre, centre)) / max(self.count - 1, 1)


@dataclass(frozen=True)
class Projection:
    """``z = matrix @ (x - mean)`` and ``x = matrix.T @ z + mean``; identity where `matrix` is None.

    Parameters
    ----------
    kind
        Name in recipes and metadata: ``none`` or ``pca``.
    dimension
        Length of the original vectors.
    matrix
        Orthonormal rows, float32, shape ``(n_components, dimension)``; None for ``none``.
    mean
        float32, shape ``(dimension,)``; None for ``none``.
    """

    kind: str
    dimension: int
    matrix: NDArray[np.float32] | None = None
    mean: NDArray[np.float32] | None = None

    @property
    def n_components(self) -> int:
        """Length of a projected vector."""
        return self.dimension if self.matrix is None else self.matrix.shape[0]

    @cached_property
    def offset(self) -> NDArray[np.float32] | None:
        """``matrix @ mean``, float32, shape ``(n_components, 1)``: reduced space minus scores."""
        if self.matrix is None or self.mean is None:
            return None
        product = self.matrix.astype(np.float64) @ self.mean.astype(np.float64)
        return product.astype(np.float32)[:, np.newaxis]

    def transform(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return centred scores, float32 ``(n_components, n_pixels)``, of original vectors.

        A column with a value that is not finite becomes not finite in every component.
        """
        if self.matrix is None or self.offset is None:
            return values.copy()
        scores = np.empty((self.n_components, values.shape[1]), dtype=np.float32)
        with np.errstate(over="ignore", invalid="ignore"):
            for columns, tile in _tiles(values):
                product = self.matrix @ tile
                product -= self.offset
                scores[:, columns] = product[:, : columns.stop - columns.start]
        return scores

    def inverse_transform(
        self, scores: NDArray[np.float32], out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return original vectors, float32 ``(dimension, n_pixels)``, of centred scores."""
        n_pixels = scores.shape[1]
        if out is None:
            out = np.empty((self.dimension, n_pixels), dtype=np.float32)
        if self._synthesis is None:
            np.copyto(out, scores)
            return out
        padded = np.zeros((self.n_components + 1, TILE_PIXELS), dtype=np.float32)
        padded[-1] = 1.0
        with np.errstate(invalid="ignore"):
            for columns, tile in _tiles(scores):
                padded[:-1] = tile
                width = columns.stop - columns.start
                if width == TILE_PIXELS:
                    np.matmul(self._synthesis, padded, out=out[:, columns])
                else:
                    out[:, columns] = (self._synthesis @ padded)[:, :width]
        return out

    @cached_property
    def _synthesis(self) -> NDArray[np.float32] | None:
        """``[matrix.T, mean]``, float32, shape ``(dimension, n_components + 1)``.

        One product with components and a last row of ones gives original vectors, mean included.
        """
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
        """Return the projection on the first `n_components` components."""
        if self.matrix is None:
            raise InvalidConfigError(
                "projection: components of unprojected vectors are not ordered; "
                "`components=` needs a store made with a projection such as --pca"
            )
        return type(self)(self.kind, self.dimension, self.matrix[:n_components], self.mean)

    def config(self) -> dict[str, Any]:
        """Return the JSON part of the state."""
        return {"kind": self.kind, "n_components": self.n_components}

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Return the array part of the state, by stored name."""
        if self.matrix is None or self.mean is None:
            return {}
        return {"projection": self.matrix, "mean": self.mean}

    @classmethod
    def from_state(
        cls, dimension: int, config: Mapping[str, Any], arrays: Mapping[str, NDArray[np.generic]]
    ) -> Self:
        """Rebuild from `config` and `arrays`.

        Raises
        ------
        EncodingError
            If an array is missing, of a wrong shape or not finite, or the kind is unknown.
        """
        kind = config.get("kind")
        if kind == "none":
            return cls("none", dimension)
        if kind != "pca":
            raise EncodingError(f"projection: kind {kind!r}; this geoembz knows 'none' and 'pca'")
        shapes = {"projection": (config.get("n_components"), dimension), "mean": (dimension,)}
        for name, shape in shapes.items():
            array = arrays.get(name)
            if array is None or array.shape != shape or array.dtype != np.float32:
                came = "nothing" if array is None else f"{array.dtype} {array.shape}"
                raise EncodingError(f"projection: {name} is {came}; expected float32 {shape}")
            if not np.isfinite(array).all():
                raise EncodingError(f"projection: {name} holds values that are not finite")
        return cls(
            kind,
            dimension,
            np.ascontiguousarray(arrays["projection"], np.float32),
            np.ascontiguousarray(arrays["mean"], np.float32),
        )


@dataclass(frozen=True)
class FittedProjection:
    """A projection with what the fit learned about its components.

    Parameters
    ----------
    projection
        The map.
    variance
        Variance of each component, float64, shape ``(n_components,)``.
    explained_variance
        Share of the total variance that the components keep, 0 to 1.
    """

    projection: Projection
    variance: NDArray[np.float64]
    explained_variance: float


def _tiles(values: NDArray[np.float32]) -> Iterator[tuple[slice, NDArray[np.float32]]]:
    """Cut columns into tiles of `TILE_PIXELS`, the last one padded with zeros."""
    n_pixels = values.shape[1]
    for start in range(0, n_pixels, TILE_PIXELS):
        columns = slice(start, min(start + TILE_PIXELS, n_pixels))
        tile = values[:, columns]
        if tile.shape[1] < TILE_PIXELS:
            padded = np.zeros((len(tile), TILE_PIXELS), dtype=np.float32)
            padded[:, : tile.shape[1]] = tile
            tile = padded
        yield columns, tile


def fit_pca(moments: Moments, n_components: int) -> FittedProjection:
    """Fit principal components to moments.

    Components are ordered by falling variance; each one's largest coefficient is made positive, so
    that the same data give the same matrix. Call it with BLAS on one thread for the same bits.

    Parameters
    ----------
    moments
        Sums over the sample.
    n_components
        How many components to keep, 1 to the dimension and at most the number of vectors.

    Returns
    -------
    fitted
        Projection of kind ``pca``.

    Raises
    ------
    InvalidConfigError
        If `n_components` is less than 1 or exceeds the dimension.
    NoValidPixelsError
        If there are fewer vectors than components, or fewer than two.

    References
    ----------
    I. Jolliffe, *Principal Component Analysis*, 2nd ed., 2002. spec/codecs/projection.

    Examples
    --------
    >>> line = np.array([[0.0, 1.0, 2.0], [0.0, 2.0, 4.0]], dtype=np.float32)
    >>> fitted = fit_pca(Moments.of(line), 1)
    >>> fitted.projection.matrix.round(3)
    array([[0.447, 0.894]], dtype=float32)
    >>> round(fitted.explained_variance, 6)
    1.0
    """
    dimension = len(moments.shift)
    if not 1 <= n_components <= dimension:
        raise InvalidConfigError(
            f"pca: {n_components} components of {dimension}-dimensional vectors; "
            f"expected 1 to {dimension}"
        )
    if moments.count < max(n_components, 2):
        raise NoValidPixelsError(
            f"pca: {n_components} components from {moments.count} valid pixels; expected at least "
            f"{max(n_components, 2)} pixels; ask for fewer components or a larger sample"
        )
    eigenvalues, eigenvectors = np.linalg.eigh(moments.covariance)
    order = np.arange(dimension)[::-1][:n_components]
    matrix = eigenvectors[:, order].T
    largest = np.take_along_axis(matrix, np.abs(matrix).argmax(axis=1, keepdims=True), axis=1)
    matrix = matrix * np.where(largest < 0, -1.0, 1.0)
    total = float(np.trace(moments.covariance))
    variance = np.maximum(eigenvalues[order], 0.0)
    projection = Projection(
        "pca",
        dimension,
        np.ascontiguousarray(matrix, dtype=np.float32),
        moments.mean.astype(np.float32),
    )
    explained = float(min(variance.sum() / total, 1.0)) if total > 0 else 1.0
    return FittedProjection(projection, variance, explained)


def keep_all(moments: Moments) -> FittedProjection:
    """Return the identity projection with the variance of each original component."""
    variance = np.maximum(np.diagonal(moments.covariance).copy(), 0.0)
    return FittedProjection(Projection("none", len(moments.shift)), variance, 1.0)
