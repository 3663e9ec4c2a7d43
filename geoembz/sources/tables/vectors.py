"""Vectors from Arrow columns: lists of any kind, or one column per component."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._util.arrow import compute, pa
from geoembz.encoding._quantization import power_values
from geoembz.errors import SourceError
from geoembz.sources.tables.columns import is_list, is_real, value_type


def check_numbers(where: str, schema: "pa.Schema", columns: Sequence[str], *, law: bool) -> None:
    """Refuse vectors that are no real numbers, or codes nobody can decode.

    Parameters
    ----------
    where
        The table, for messages.
    schema
        Its columns.
    columns
        Those of the vector. Among several, one of whole numbers is a component that happens to be
        whole throughout (CSV does not say which), so long as others hold fractions.
    law
        Whether the product says how integers are decoded.

    Raises
    ------
    SourceError
        If a column holds something else than floats, or all hold integers without a law.
    """
    kinds = {name: value_type(schema.field(name).type) for name in columns}
    for name, kind in kinds.items():
        if not is_real(kind):
            raise SourceError(
                f"{where}, column {name!r}: a column of {schema.field(name).type}; expected "
                f"{'lists of ' if len(columns) == 1 else ''}float16, float32 or float64"
            )
    if not law and all(pa.types.is_integer(kind) for kind in kinds.values()):
        name, kind = next(iter(kinds.items()))
        raise SourceError(
            f"{where}, column {name!r}: vectors of {kind}: these are codes, and how they are "
            "decoded is unknown; expected float16, float32 or float64; decode them first with "
            "their product's law"
        )


def list_length(array: "pa.Array") -> int | None:
    """Return how many numbers the first vector holds; None where all are missing or empty."""
    present = array.drop_null()
    for row in range(len(present)):
        flat = present.slice(row, 1)
        while is_list(flat.type):
            flat = flat.flatten()
        if len(flat):
            return len(flat)
    return None


def list_vectors(where: str, array: "pa.Array", dimension: int, start: int) -> NDArray[Any]:
    """Return a list column as ``(n, dimension)``; missing vectors are NaN.

    Parameters
    ----------
    where
        File and column, for messages.
    array
        Lists of floats; ``(1, dimension)`` nested lists are flattened.
    dimension
        Length that every vector must have.
    start
        Number of the first row, for messages.

    Raises
    ------
    SourceError
        If a vector has another length.
    """
    array = _without_shell(where, array, start)
    present = array if not array.null_count else array.drop_null()
    rows = np.flatnonzero(np.asarray(array.is_valid())) + start
    flat = present
    while is_list(flat.type):
        if not pa.types.is_fixed_size_list(flat.type):
            _check_lengths(where, flat, dimension, rows)
        flat = flat.flatten()
    if len(flat) != len(present) * dimension:
        raise _mixed(where, start, len(array), len(flat) / max(len(present), 1), dimension)
    values: NDArray[Any] = _numbers(flat).reshape(len(present), dimension)
    if len(present) == len(array):
        return values
    out = np.full((len(array), dimension), np.nan, dtype=values.dtype)
    out[np.asarray(array.is_valid())] = values
    return out


def wide_vectors(batch: "pa.RecordBatch", names: Sequence[str], *, aef: bool) -> NDArray[Any]:
    """Return one column per component as ``(n, dimension)``; missing numbers are NaN.

    Integer columns of AlphaEarth are decoded by its square law, −128 being missing.
    """
    arrays = [batch.column(name) for name in names]
    if aef and all(pa.types.is_integer(array.type) for array in arrays):
        codes = np.column_stack([np.asarray(array.fill_null(-128)) for array in arrays])
        return power_values(codes)
    wide = pa.float64() if any(array.type != pa.float32() for array in arrays) else pa.float32()
    columns = [array.cast(wide).to_numpy(zero_copy_only=False) for array in arrays]
    return np.column_stack(columns)


def check_unit_norm(where: str, vectors: NDArray[Any]) -> None:
    """Refuse vectors of AlphaEarth that were decoded by another law than its own.

    Raises
    ------
    SourceError
        If their median length is not 1, within 3 %.
    """
    values = vectors[np.isfinite(vectors).all(axis=1)].astype(np.float64)
    if not len(values):
        return
    norm = float(np.median(np.linalg.norm(values, axis=1)))
    if abs(norm - 1) <= 0.03:
        return
    hint = "expected 1; check how the integers were decoded"
    for factor in (127.0, 127.5, 128.0):
        scaled = values * factor
        if np.abs(scaled - np.round(scaled)).max() < 1e-3:
            hint = f"they are integers / {factor:g}, so they were decoded by a linear law"
            break
    raise SourceError(
        f"{where}: vectors of length {norm:.3g} (median): {hint}; AlphaEarth's law is "
        "sign(q) * (|q| / 127.5)**2; export or decode them anew"
    )


def _without_shell(where: str, array: "pa.Array", start: int) -> "pa.Array":
    """Return the inner lists of ``(1, D)`` nested ones, null where either is missing."""
    while is_list(array.type) and is_list(array.type.value_type):
        if pa.types.is_fixed_size_list(array.type) and array.type.list_size != 1:
            break
        rows = np.flatnonzero(np.asarray(array.is_valid())) + start
        _check_lengths(where, array.drop_null(), 1, rows)
        array = compute.list_element(array, 0)
    return array


def _numbers(flat: "pa.Array") -> NDArray[Any]:
    """Return numbers as an array, decimals as float64; missing ones are NaN."""
    exact = flat.cast(pa.float64()) if pa.types.is_decimal(flat.type) else flat
    values: NDArray[Any] = exact.to_numpy(zero_copy_only=False)
    return values


def _check_lengths(where: str, lists: "pa.Array", dimension: int, rows: NDArray[np.int64]) -> None:
    """Refuse lists of several lengths."""
    lengths = np.asarray(compute.list_value_length(lists).fill_null(0))
    expected = 1 if is_list(lists.type.value_type) else dimension
    wrong = np.flatnonzero(lengths != expected)
    if len(wrong):
        row = int(wrong[0])
        raise _mixed(where, int(rows[row]), 1, float(lengths[row]), expected)


def _mixed(where: str, row: int, count: int, found: float, dimension: int) -> SourceError:
    rows = f"row {row}" if count == 1 else f"rows {row} to {row + count - 1}"
    return SourceError(
        f"{where}: {rows}: a vector of {found:g} numbers; expected {dimension} as in the first "
        "row; all vectors of a table must come from one model"
    )
