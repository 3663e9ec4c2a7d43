"""Tables that are published, and how each is recognised by its columns.

Adding one is adding an entry (reference: FIELD notes on products, docs/howto/tables).
"""

from collections.abc import Sequence
from dataclasses import dataclass

AEF_COLUMNS = tuple(f"A{index:02d}" for index in range(64))


@dataclass(frozen=True)
class Product:
    """What is known about a table beyond its columns.

    Parameters
    ----------
    name
        As ``--product`` would say it.
    columns
        Columns that tell the product; the vector is among them.
    model
        URI of the model; None where the file must say it.
    gsd
        Size of an image's pixel, in metres, that chips are counted in.
    grid_id
        Name of the grid of chips, where there is one.
    recipe
        Recipe that keeps the product's numbers exactly, if any.
    unit_norm
        Whether vectors have length 1.
    """

    name: str
    columns: tuple[str, ...]
    model: str | None = None
    gsd: float | None = None
    grid_id: str | None = None
    recipe: str | None = None
    unit_norm: bool = False

    def matches(self, columns: Sequence[str]) -> bool:
        """Whether a table with these columns is this product."""
        return set(self.columns) <= set(columns)


EARTH_ENGINE = Product(
    "earth-engine",
    AEF_COLUMNS,
    model="https://developers.google.com/earth-engine/datasets/catalog/"
    "GOOGLE_SATELLITE_EMBEDDING_V1_ANNUAL",
    gsd=10.0,
    recipe="aef",
    unit_norm=True,
)
MOSAIKS = Product("mosaiks", ("lat", "lon", "X_0", "X_1"), model="https://www.mosaiks.org")
CLAY_V1_5 = Product(
    "clay-v1.5",
    ("embedding", "chips_id"),
    model="https://huggingface.co/made-with-clay/Clay/tree/main/v1.5",
    gsd=10.0,
    grid_id="majortom-2560m",
)
CLAY_V0 = Product(
    "clay-v0",
    ("embeddings", "source_url"),
    model="https://huggingface.co/made-with-clay/Clay/tree/main/v0.1",
    gsd=10.0,
)
MAJOR_TOM = Product(
    "major-tom", ("unique_id", "embedding", "grid_cell"), gsd=10.0, grid_id="majortom-10km"
)
EARTH_INDEX = Product("earth-index", ("id", "embedding", "geometry"), gsd=10.0)
PLAIN = Product("plain", ())

PRODUCTS = (EARTH_ENGINE, MOSAIKS, CLAY_V1_5, CLAY_V0, MAJOR_TOM, EARTH_INDEX, PLAIN)


def recognise(columns: Sequence[str]) -> Product:
    """Return the first product that the columns match; `PLAIN` matches all.

    Examples
    --------
    >>> recognise(["unique_id", "embedding", "grid_cell"]).name
    'major-tom'
    """
    return next(product for product in PRODUCTS if product.matches(columns))
