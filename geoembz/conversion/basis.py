"""An encoding that was fitted elsewhere: read it, and see whether it suits the vectors at hand."""

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding import Encoding, Recipe, coverage
from geoembz.errors import BasisWarning, EncodingError, InvalidConfigError
from geoembz.sources import Source
from geoembz.sources.band_names import BandNames, listed, positions
from geoembz.sources.band_order import ordered_as
from geoembz.store import StoreReader
from geoembz.store.reader import is_table_store, open_group
from geoembz.store.tables import TableReader
from geoembz.threads import single_threaded_blas


@dataclass(frozen=True)
class Basis:
    """An encoding that was fitted elsewhere.

    Parameters
    ----------
    encoding
        The encoding; None where none is given.
    band_names
        What the components of the vectors that it was fitted on are called, where a store says it.
    """

    encoding: Encoding | None = None
    band_names: BandNames = ()

    def ordered(self, source: Source) -> Source:
        """Return a source with its bands in the order that the encoding was fitted on.

        Raises
        ------
        SourceError
            If the names of its bands say that they are others.
        """
        return ordered_as(source, self.band_names, "the basis")

    def check_columns(self, name: str, columns: BandNames) -> None:
        """Refuse a table whose numbered columns are not those that the encoding was fitted on.

        Raises
        ------
        EncodingError
            If names say that they are others, or stand in another order.
        """
        if not any(self.band_names):
            return
        order = positions(columns, self.band_names)
        if order is None or list(order) != sorted(order):
            raise EncodingError(
                f"{name}: columns {listed(columns)}, but the basis was fitted on "
                f"{listed(self.band_names)}; expected the same in the same order"
            )


def open_basis(basis: str | Path | Encoding | None, asked: Recipe | None) -> Basis:
    """Open what vectors shall be encoded with, if anything is given.

    Raises
    ------
    InvalidConfigError
        If another recipe is asked for beside it.
    """
    if basis is None:
        return Basis()
    found = Basis(basis) if isinstance(basis, Encoding) else _load(basis)
    encoding = found.encoding
    if asked is not None and encoding is not None and str(asked) != encoding.recipe:
        raise InvalidConfigError(
            f"basis: fitted as {encoding.recipe!r}, but the options ask for {str(asked)!r}; leave "
            "out --recipe, --pca and the quantizer, or fit anew without --basis"
        )
    return found


def _load(path: str | Path) -> Basis:
    """Read an encoding from a store or from a file that `Encoding.save` wrote."""
    if str(path).endswith(".npz") or Path(path).is_file():
        return Basis(Encoding.load(path))
    if is_table_store(open_group(str(path))):
        table = TableReader.open(str(path))
        return Basis(table.encoding, table.attributes.band_names)
    reader = StoreReader.open(str(path))
    return Basis(reader.encoding, reader.attributes.band_names)


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
    warnings.warn(f"{message}, or accept the loss", BasisWarning, stacklevel=6)
