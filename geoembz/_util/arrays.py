"""Vectors in arrays of any library, as NumPy's, their components on the first axis."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.errors import InvalidConfigError


def as_numpy(values: Any, what: str, kinds: str = "fiu") -> NDArray[Any]:
    """Return numbers as an array of NumPy; without a copy where that can be.

    Parameters
    ----------
    values
        What has ``__array__`` or ``__dlpack__``, such as a tensor in this machine's memory, or
        lists. NumPy has no bfloat16: such numbers become float32, which holds them all.
    what
        For messages.
    kinds
        NumPy's letters for the kinds of types that are expected: real numbers, or ``"b"``.

    Raises
    ------
    InvalidConfigError
        If they lie elsewhere, or are of another type.

    Examples
    --------
    >>> as_numpy([[1.0, 2.0]], "vectors")
    array([[1., 2.]])
    """
    if hasattr(values, "detach"):  # a tensor that has a gradient gives no array
        values = values.detach()
    if "bfloat16" in str(getattr(values, "dtype", "")):
        values = values.float() if hasattr(values, "float") else values.astype(np.float32)
    if isinstance(values, np.ma.MaskedArray):
        values = np.ma.filled(values.astype(np.result_type(values.dtype, np.float32)), np.nan)
    try:
        by_dlpack = not hasattr(values, "__array__") and hasattr(values, "__dlpack__")
        array = np.from_dlpack(values) if by_dlpack else np.asarray(values)
    except (TypeError, ValueError, RuntimeError, BufferError) as error:
        raise InvalidConfigError(
            f"{what}: {type(values).__name__} cannot be read as an array ({error}); expected "
            "numbers in this machine's memory, such as a NumPy array or a tensor on the CPU "
            "(`tensor.cpu()`)"
        ) from error
    if array.dtype.kind not in kinds:
        expected = "bool" if kinds == "b" else "real numbers"
        raise InvalidConfigError(f"{what}: type {array.dtype}; expected {expected}")
    return array


def components_first(
    values: NDArray[Any],
    dimension: int,
    what: str,
    *,
    shape: tuple[int, int] | None = None,
    axis: int | None = None,
) -> NDArray[Any]:
    """Return vectors with their components on the first axis: a view.

    Parameters
    ----------
    values
        Shape ``(dimension, height, width)`` or ``(height, width, dimension)``.
    dimension
        Length of a vector.
    what
        For messages.
    shape
        Height and width that are expected; None for any.
    axis
        Which axis has the components, 0 or -1 (2); None where the shape tells.

    Raises
    ------
    InvalidConfigError
        If the shape is another one, or does not tell the axis.

    Examples
    --------
    >>> components_first(np.zeros((4, 5, 8)), 8, "vectors", shape=(4, 5)).shape
    (8, 4, 5)
    """
    height, width = shape or ("height", "width")
    expected = f"({dimension}, {height}, {width}) or ({height}, {width}, {dimension})"
    if axis not in {None, 0, 2, -1}:
        raise InvalidConfigError(f"{what}: axis={axis}; expected 0, or -1 for the last one")
    fits = []
    for first, other in ((0, (1, 2)), (2, (0, 1))):
        if values.ndim == 3 and values.shape[first] == dimension:
            sides = (values.shape[other[0]], values.shape[other[1]])
            fits += [first] if shape in {None, sides} else []
    if axis is not None:
        fits = [each for each in fits if each == axis % 3]
    if len(fits) == 1:
        return np.moveaxis(values, fits[0], 0)
    if fits:
        raise InvalidConfigError(
            f"{what}: shape {values.shape} fits {expected}; say which axis has the components: "
            "axis=0, or axis=-1"
        )
    with_axis = "" if axis is None else f" with axis={axis}"
    raise InvalidConfigError(f"{what}: shape {values.shape}{with_axis}; expected {expected}")
