"""What `cost` is asked: one group of options, from the command line to the arithmetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

from geoembz._cost.reads import Layout, choose_layout
from geoembz._cost.sizes import bits_per_value, bytes_per_embedding, get_model
from geoembz._geo.chunks import Access
from geoembz.encoding import Recipe

WITH_MASK = frozenset({"int4", "int2", "binary", "pq", "rq"})
"""Quantizers whose codes have no room for nodata: validity is an array of its own."""


@dataclass(frozen=True)
class CostOptions:
    """What is stored, how much of it, where, and how it is read.

    Parameters
    ----------
    model
        A known model, such as ``aef``, ``tessera`` or ``dinov3``.
    dims, dtype
        Values per embedding, without `model`, and the type of one (None: the model's, or float32).
    recipe
        Compress first, such as ``pca64-int8``; see `Recipe`.
    compare
        Recipes to estimate side by side, after the uncompressed vectors.
    pixels, area_km2, region
        How much, one of them: pixels (of a table store: rows), square kilometres, or ``land`` (the
        Earth's) or a file of polygons. None: the Earth's land, or what the store holds.
    gsd
        Side of one pixel, in metres.
    years
        Yearly layers. None: one, or the store's.
    provider, storage_class
        Whose price list: ``aws``, ``gcs``, ``azure`` or ``r2``, and a class of it.
    reads_per_month, read_window
        Reads of one window each in a month, and the side of that window, in pixels or rows.
    access
        What chunks and shards are cut for: ``browser``, ``points`` or ``bulk``, as in `convert`.
    overviews
        With levels of 2, 4, 8 … times the pixel size, as in `convert`.
    egress_tb
        Decimal terabytes sent to the internet in a month.
    prices
        JSON file whose prices replace the packaged ones.

    Examples
    --------
    >>> geoembz.CostOptions(dims=1024, recipe="pca64-int8").bytes_per_embedding()
    64
    """

    model: str | None = None
    dims: int | None = None
    dtype: str | None = None
    recipe: str | None = None
    compare: Sequence[str] | None = None
    pixels: int | None = None
    area_km2: float | None = None
    region: str | Path | None = None
    gsd: float = 10.0
    years: int | None = None
    provider: str = "aws"
    storage_class: str = "standard"
    reads_per_month: int = 0
    read_window: int = 1
    access: Access | None = None
    overviews: bool = False
    egress_tb: float = 0.0
    prices: str | Path | None = None

    @property
    def dimension(self) -> int:
        """Values per embedding before any compression."""
        return get_model(self.model).dimension if self.model is not None else (self.dims or 1)

    @property
    def value_type(self) -> str:
        """Type of one value before any compression."""
        return self.dtype or (get_model(self.model).dtype if self.model else "float32")

    @property
    def scheme(self) -> str:
        """A short name of what is stored."""
        start = self.model or f"{self.dimension} dimensions"
        return " ".join(filter(None, (start, self.dtype, self.recipe)))

    def bytes_per_embedding(self) -> int:
        """Return the size of one embedding, in bytes.

        Raises
        ------
        InvalidConfigError
            If the model, the type or the recipe is not known, or they do not go together.
        """
        if self.recipe is not None:
            recipe = Recipe.parse(self.recipe)
            recipe.check_dimension("cost", self.dimension)
            return recipe.bytes_per_vector(self.dimension)
        return bytes_per_embedding(self.dimension, bits_per_value(self.value_type))

    def layout(self) -> Layout:
        """Return the chunks and shards that `convert` would choose for a large raster.

        Raises
        ------
        InvalidConfigError
            As `bytes_per_embedding`, or if nothing is cut for `access`.
        """
        recipe = None if self.recipe is None else Recipe.parse(self.recipe)
        is_whole = recipe is not None and (recipe.is_rotated or recipe.quantizer in WITH_MASK)
        size = self.bytes_per_embedding()
        return choose_layout(size, self.access, is_divisible=not is_whole)


class CostKeywords(TypedDict, total=False):
    """The fields of `CostOptions` as flat keywords."""

    model: str | None
    dims: int | None
    dtype: str | None
    recipe: str | None
    compare: Sequence[str] | None
    pixels: int | None
    area_km2: float | None
    region: str | Path | None
    gsd: float
    years: int | None
    provider: str
    storage_class: str
    reads_per_month: int
    read_window: int
    access: Access | None
    overviews: bool
    egress_tb: float
    prices: str | Path | None
