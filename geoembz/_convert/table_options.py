"""What a conversion of a table is told, and what only rasters are told."""

from collections.abc import Mapping
from dataclasses import dataclass

from geoembz.encoding import Encoding, Recipe
from geoembz.errors import InvalidConfigError


@dataclass(frozen=True)
class TableOptions:
    """What a conversion of a table is told.

    Parameters
    ----------
    recipe
        What to fit; None for the product's own, where it has one, else ``int8``.
    fixed, strict_basis
        An encoding to use instead of fitting one, and whether to refuse data outside it.
    fit_samples, seed
        Rows to fit on, and the seed of every random choice.
    chunk, shard
        Rows of a chunk and of a shard; see `choose_rows`.
    model, license
        As in `convert`; None for the model that the table names.
    checksum
        Whether to record the SHA-256 of the input files.
    workers
        Batches encoded, and shards written, at once.
    """

    recipe: Recipe | None
    fixed: Encoding | None
    strict_basis: bool
    fit_samples: int
    seed: int
    chunk: int | None
    shard: int | None
    model: str | None
    license: str | None
    checksum: bool
    workers: int


def refuse_raster_options(given: Mapping[str, bool]) -> None:
    """Refuse what only rasters have.

    Raises
    ------
    InvalidConfigError
        If one of the options, by its name, is given.
    """
    for name, is_given in given.items():
        if is_given:
            raise InvalidConfigError(
                f"{name}: for rasters only; a table's missing vectors are null or NaN, its store "
                "has the plain layout, in shards, and no time axis; leave it out"
            )
