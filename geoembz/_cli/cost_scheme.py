"""Which embedding `geoembz cost` is asked about: a store, a model, or dimensions; and a recipe."""

from dataclasses import dataclass

from geoembz._cost import bits_per_value, bytes_per_embedding, get_model
from geoembz.encoding import Recipe
from geoembz.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class Scheme:
    """What is stored: a store, a model, or dimensions and a type; and a recipe.

    Parameters
    ----------
    store
        Path or URL of an existing store, or None.
    model
        Name of a known model, or None.
    dims, dtype
        Values per embedding and their type, or None.
    recipe
        Name of a recipe, or None for uncompressed values.
    """

    store: str | None = None
    model: str | None = None
    dims: int | None = None
    dtype: str | None = None
    recipe: str | None = None

    def __post_init__(self) -> None:
        """Refuse flags that contradict each other."""
        if (
            self.store is not None
            and (self.model, self.dims, self.dtype, self.recipe) != (None,) * 4
        ):
            raise InvalidConfigError(
                "cost: STORE is measured, so --model, --dims, --dtype and --recipe do not apply; "
                "leave them out, or leave STORE out"
            )
        if self.model is not None and self.dims is not None:
            raise InvalidConfigError(
                f"cost: --model {self.model} and --dims {self.dims} contradict each other; give one"
            )
        if self.dims is not None and self.dims < 1:
            raise InvalidConfigError(f"cost: --dims {self.dims}; expected an integer above 0")
        if self.is_open and (self.dtype or self.recipe):
            raise InvalidConfigError("cost: --dtype and --recipe need --model or --dims; give one")

    @property
    def is_open(self) -> bool:
        """Whether nothing was chosen, so that every known model is meant."""
        return self.store is None and self.model is None and self.dims is None

    @property
    def dimension(self) -> int:
        """Values per embedding before any compression."""
        return get_model(self.model).dimension if self.model is not None else (self.dims or 1)

    def with_recipe(self, recipe: str) -> "Scheme":
        """Return the same embedding under another recipe."""
        return Scheme(model=self.model, dims=self.dims, recipe=recipe)

    def describe(self) -> str:
        """Return a short name."""
        start = self.model or f"{self.dimension} dimensions"
        return " ".join(filter(None, (start, self.dtype, self.recipe)))

    @property
    def value_type(self) -> str:
        """Type of one value before any compression."""
        return self.dtype or (get_model(self.model).dtype if self.model else "float32")

    def size_bytes(self) -> int:
        """Return the size of one embedding, in bytes."""
        if self.recipe is not None:
            recipe = Recipe.parse(self.recipe)
            recipe.check_dimension("cost", self.dimension)
            return recipe.bytes_per_vector(self.dimension)
        return bytes_per_embedding(self.dimension, bits_per_value(self.value_type))
