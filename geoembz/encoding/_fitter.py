"""Fit an encoding to batches of vectors as they come: a model's output, say."""

from typing import Any

from geoembz._util.arrays import as_numpy, components_first
from geoembz.encoding._fit import EncodingFitter
from geoembz.encoding._model import Encoding
from geoembz.encoding._recipe import Recipe
from geoembz.errors import InvalidConfigError


class Fitter:
    """Fits a recipe to any number of batches in bounded memory.

    Of all vectors it keeps the exact sums that projections need, and a random sample for the
    quantizer. The same batches in the same order give the same encoding.

    Parameters
    ----------
    recipe
        A `Recipe` or its name.
    dimension
        Length of a vector.
    seed
        Chooses the sample.

    Raises
    ------
    InvalidConfigError
        If the recipe is unknown, or asks for more components than there are.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> fitter = geoembz.Fitter("pca4-int8", dimension=16)
    >>> for _ in range(3):
    ...     fitter.update(rng.normal(size=(100, 16)))
    >>> fitter.n_vectors, fitter.fit().recipe
    (300, 'pca4-int8')
    """

    def __init__(self, recipe: Recipe | str, dimension: int, seed: int = 0) -> None:
        parsed = Recipe.parse(recipe) if isinstance(recipe, str) else recipe
        self._fitter = EncodingFitter(parsed, dimension, seed)

    @property
    def n_vectors(self) -> int:
        """Finite vectors seen so far."""
        return self._fitter.n_vectors

    def update(self, batch: Any, *, axis: int | None = None) -> None:
        """Take in a batch; vectors with a component that is not finite are left out.

        Parameters
        ----------
        batch
            Real numbers ``(n, dimension)``, ``(dimension, height, width)`` or
            ``(height, width, dimension)``: an array of NumPy, or what has ``__array__`` or
            ``__dlpack__``.
        axis
            Of three: which one has the components, where the shape does not tell.

        Raises
        ------
        InvalidConfigError
            If the batch has another shape, or holds no numbers.
        """
        values, dimension = as_numpy(batch, "batch"), self._fitter.dimension
        if values.ndim == 3:
            values = components_first(values, dimension, "batch", axis=axis)
            self._fitter.update(values.reshape(dimension, -1))
            return
        if values.ndim != 2 or values.shape[1] != dimension:
            raise InvalidConfigError(
                f"batch: shape {values.shape}; expected (n, {dimension}), ({dimension}, height, "
                f"width) or (height, width, {dimension})"
            )
        self._fitter.update(values.T)

    def fit(self) -> Encoding:
        """Fit what was seen so far; more batches may follow, and another fit.

        Raises
        ------
        NoValidPixelsError
            If too few finite vectors were seen.
        """
        return Encoding.of_fitter(self._fitter)
