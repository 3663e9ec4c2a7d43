"""The recipes that `benchmarks.rate_accuracy` measures at a number of bytes."""

from collections.abc import Iterator
from dataclasses import dataclass

from geoembz.encoding import Recipe

LARGEST_PRODUCT = 32
"""Most bytes that product codes are tried at; above, scalar codes are as good and far cheaper."""

LARGEST_CHOICE = 64
"""Most bytes at which recipes compete on training rows; above, everything is close to float32."""

METRICS = (0.0, 0.25)
"""Whitening metrics that vectors of better recipes are read by; the article knows none."""


@dataclass(frozen=True, order=True)
class Choice:
    """A recipe and the metric that its reduced vectors are compared by."""

    size_bytes: int
    recipe: str
    whiten: float = 0.0


def default_budgets(dimension: int) -> tuple[int, ...]:
    """Return 4 and its doubles up to an eighth of the dimension, then the sizes of whole vectors.

    Examples
    --------
    >>> default_budgets(1280)
    (4, 8, 16, 32, 64, 128, 160, 320, 640, 1280)
    >>> default_budgets(64)
    (4, 8, 16, 32, 64)
    """
    doubles = [2**power for power in range(2, 16) if 2**power <= max(dimension // 8, 4)]
    whole = [-(-dimension // share) for share in (8, 4, 2, 1)]
    return tuple(sorted({size for size in (*doubles, *whole) if 4 <= size <= dimension}))


def article(budget: int, dimension: int) -> list[str]:
    """Name the seed article's recipes: PCA with min/max codes, or bits about the mean."""
    return _named([(8, "int8"), (4, "int4"), (1, "binary")], budget, dimension)


def candidates(budget: int, dimension: int) -> list[Choice]:
    """Return what may be chosen: the article's recipes, read as they are, and better ones."""
    unit = _named([(4, "int4-lloyd"), (4, "rot-int4-lloyd"), (2, "int2-lloyd")], budget, dimension)
    better = [f"l2-{name}" for name in (*unit, *_product(budget, dimension))]
    return [
        *(Choice(budget, name) for name in article(budget, dimension)),
        *(Choice(budget, name) for name in _named([(1, "rot-binary")], budget, dimension)),
        *(Choice(budget, name, whiten) for name in better for whiten in _metrics(name)),
    ]


def compared(budget: int, dimension: int) -> list[str]:
    """Name the rest of the family, which is measured but does not compete."""
    if budget > LARGEST_CHOICE:
        return []
    plain = [(4, "int4-quantile"), (4, "int4-lloyd"), (2, "int2"), (2, "ternary")]
    names = _named(plain, budget, dimension)
    if budget < dimension:
        names += [f"{kind}{budget}-int8" for kind in ("svd", "random", "select")]
    return names


def _metrics(name: str) -> tuple[float, ...]:
    """Return the metrics that a recipe can be read by: a rotation alone knows no variances."""
    recipe = Recipe.parse(name)
    return METRICS[:1] if recipe.is_rotated and recipe.projection is None else METRICS


def is_random(name: str) -> bool:
    """Whether fitting the recipe draws random numbers, so that seeds differ."""
    recipe = Recipe.parse(name)
    return recipe.is_rotated or recipe.quantizer in {"pq", "rq"} or recipe.projection == "random"


def _named(kinds: list[tuple[int, str]], budget: int, dimension: int) -> list[str]:
    """Put as many principal components before each quantizer of so many bits as fit."""
    return list(_fitting(kinds, budget, dimension))


def _fitting(kinds: list[tuple[int, str]], budget: int, dimension: int) -> Iterator[str]:
    for bits, quantizer in kinds:
        components = 8 * budget // bits
        if components < dimension:
            yield f"pca{components}-{quantizer}"
        elif -(-dimension * bits // 8) == budget:
            yield quantizer


def _product(budget: int, dimension: int) -> list[str]:
    """Return product codes of one byte for 2 to 8 components, plain and softly whitened."""
    components = min(max(32, 4 * budget), 64)
    if budget > LARGEST_PRODUCT or components > dimension or components % budget:
        return []
    return [f"pca{components}{whiten}-rot-pq{budget}x8" for whiten in ("", "w0.5")]
