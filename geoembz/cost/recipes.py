"""Size of one code vector, from a recipe's name alone.

Knows only names and widths. `geoembz.encoding` is the authority on recipes; this reads no more of
a name than its size depends on, so that a cost can be had without fitting anything.
"""

import re
from collections.abc import Callable
from types import MappingProxyType

from geoembz.errors import InvalidConfigError

type RecipeSize = Callable[[str, int], tuple[int, int]]
"""Takes a recipe's name and the original dimension; returns codes per embedding and bits per code.
The seam by which a caller may put the real recipe parser in place of `recipe_size`."""

_CODE_BITS = MappingProxyType(
    {
        "float32": 32,
        "float16": 16,
        "int8": 8,
        "power": 8,
        "int4": 4,
        "int2": 2,
        "ternary": 2,
        "binary": 1,
    }
)
_PROJECTION = re.compile(r"(pca|svd|random|select)(\d+)")
_PQ = re.compile(r"pq(\d+)x(\d+)")
_NO_SIZE = re.compile(r"l2|rot|none|w\d*\.?\d+|minmax|quantile|lloyd|mean|median|zero")


def recipe_size(name: str, dimension: int) -> tuple[int, int]:
    """Return how many codes of how many bits a recipe stores per embedding.

    Parameters
    ----------
    name
        Recipe, e.g. ``pca64-int8``, ``l2-pca64-int4-lloyd``, ``pca32-rot-pq8x8``, ``binary``.
    dimension
        Original values per embedding.

    Returns
    -------
    n_codes, bits_per_code
        The size in bytes is ``bytes_per_embedding(n_codes, bits_per_code)``.

    Raises
    ------
    InvalidConfigError
        If the name has a part that is not known, no quantizer or two, or asks for more components
        than there are dimensions.

    References
    ----------
    docs/design.md, section 3.

    Examples
    --------
    >>> recipe_size("pca64-int8", 1024), recipe_size("pca32-rot-pq8x8", 128)
    ((64, 8), (8, 8))
    """
    n_components = dimension
    sizes: list[tuple[int, int]] = []
    for part in name.lower().split("-"):
        if projection := _PROJECTION.fullmatch(part):
            n_components = int(projection[2])
        elif pq := _PQ.fullmatch(part):
            sizes.append((int(pq[1]), int(pq[2])))
        elif part in _CODE_BITS:
            sizes.append((0, _CODE_BITS[part]))
        elif not _NO_SIZE.fullmatch(part):
            raise InvalidConfigError(f"cost: recipe {name!r} has an unknown part {part!r}; {_HINT}")
    if len(sizes) != 1:
        raise InvalidConfigError(f"cost: recipe {name!r} has {len(sizes)} quantizers; {_HINT}")
    _check_components(name, n_components, dimension)
    n_codes, bits = sizes[0]
    return n_codes or n_components, bits


_HINT = (
    "expected [l2-][pcaK|svdK|randomK|selectK-][rot-] and then one of "
    f"{', '.join(_CODE_BITS)} or pqMxB, e.g. 'pca64-int8'"
)


def _check_components(name: str, n_components: int, dimension: int) -> None:
    if not 1 <= n_components <= dimension:
        raise InvalidConfigError(
            f"cost: recipe {name!r} keeps {n_components} components; "
            f"expected 1 to {dimension}, the dimension of the embedding"
        )
