"""An encoding that was fitted elsewhere: read it, and see whether it suits the vectors at hand."""

import os
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding, Recipe, coverage
from geoembz.errors import BasisWarning, EncodingError, InvalidConfigError
from geoembz.sources import Source
from geoembz.sources.band_names import BandNames, list_names, positions
from geoembz.sources.wrappers import reorder_bands
from geoembz.store import StoreReader, TableReader
from geoembz.store.open import is_table_store, open_group


def load_fixed(basis: str | Path | Encoding | None, asked: Recipe | None) -> Encoding | None:
    """Return the basis' encoding; None where there is no basis.

    Raises
    ------
    InvalidConfigError
        If another recipe is asked for beside it.
    """
    if basis is None:
        return None
    encoding = basis if isinstance(basis, Encoding) else load_basis(basis)
    if asked is not None and str(asked) != encoding.recipe:
        raise InvalidConfigError(
            f"basis: fitted as {encoding.recipe!r}, but the options ask for {str(asked)!r}; leave "
            "out --recipe, --pca and the quantizer, or fit anew without --basis"
        )
    return encoding


def load_basis(path: str | Path) -> Encoding:
    """Read an encoding from a store, or from a file that `save_basis` or `Encoding.save` wrote.

    Parameters
    ----------
    path
        Path or URL of a store, or path of an ``.npz`` file.

    Raises
    ------
    StoreError
        If there is no store.
    EncodingError
        If the file holds no encoding.
    """
    if str(path).endswith(".npz") or Path(path).is_file():
        return Encoding.load(path)
    if is_table_store(open_group(str(path))):
        return TableReader.open(str(path)).encoding
    return StoreReader.open(str(path)).encoding


def save_basis(store: str | Path, file: str | Path) -> Encoding:
    """Write the encoding of a store to a file that ``convert(basis=…)`` reads; return it.

    Parameters
    ----------
    store
        Path or URL of a store.
    file
        New file, such as ``basis.npz``.

    Raises
    ------
    StoreError
        If there is no store.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> summary = geoembz.convert(files.embedding, tmp_path / "basis.zarr", pca=16)
    >>> geoembz.save_basis(tmp_path / "basis.zarr", tmp_path / "basis.npz").recipe
    'pca16-int8'
    """
    encoding = load_basis(store)
    encoding.save(file)
    return encoding


def in_order_of(fixed: Encoding | None, source: Source) -> Source:
    """Return a source with its bands in the order of those that a basis was fitted on.

    Raises
    ------
    SourceError
        If the names of its bands say that they are others.
    """
    return source if fixed is None else reorder_bands(source, fixed.band_names, "the basis")


def check_columns(fixed: Encoding | None, name: str, columns: BandNames) -> None:
    """Refuse a table whose numbered columns are not those that a basis was fitted on.

    Raises
    ------
    EncodingError
        If names say that they are others, or stand in another order.
    """
    wanted = () if fixed is None else fixed.band_names
    if not any(wanted) or len(columns) != len(wanted):
        return
    order = positions(columns, wanted)
    if order is None or list(order) != sorted(order):
        raise EncodingError(
            f"{name}: columns {list_names(columns)}, but the basis was fitted on "
            f"{list_names(wanted)}; expected the same in the same order"
        )


def check_dimension(name: str, dimension: int, recipe: Recipe, fixed: Encoding | None) -> None:
    """Refuse vectors that the basis, or else the recipe, cannot encode.

    Raises
    ------
    EncodingError
        If the basis is for vectors of another length.
    InvalidConfigError
        If the recipe asks for more components than there are.
    """
    if fixed is None:
        recipe.check_dimension(name, dimension)
    elif fixed.dimension != dimension:
        raise EncodingError(
            f"{name}: vectors of {dimension} components, but the basis is for "
            f"{fixed.dimension}; use a basis that was fitted on the same model's embeddings"
        )


def check_coverage(
    name: str, encoding: Encoding, sample: list[NDArray[np.float32]], *, strict: bool
) -> None:
    """Warn where vectors lie outside the basis of an encoding.

    Parameters
    ----------
    name
        The input, for messages.
    encoding
        Fitted elsewhere.
    sample
        Vectors of the input, float32 ``(dimension, n)``, all finite.
    strict
        Refuse instead of warning.

    Raises
    ------
    EncodingError
        If `strict`, and the vectors lie outside.
    """
    with single_threaded_blas():
        found = coverage(encoding, np.concatenate(sample, axis=1))
    if found.is_sufficient:
        return
    message = f"{name}: the basis {found}; fit one on data like these"
    if strict:
        raise EncodingError(message)
    # The warning names the caller's own line, however deep in the package we are.
    package = f"{Path(__file__).parents[1]}{os.sep}"
    warnings.warn(f"{message}, or accept the loss", BasisWarning, skip_file_prefixes=(package,))
