"""The recipes that a plan tries, from dear to cheap, and the commands that make stores of them."""

import shlex

from geoembz.encoding import Recipe

_COMPONENTS = (8, 16, 32, 64, 128, 256)
_FLAGS = {"int8": "--int8", "int4": "--int4", "binary": "--binary", "float32": "--float32"}

_WHOLE = ("int8", "int4-lloyd", "rot-binary", "binary")
_PROJECTED = ("int8", "int4-lloyd", "rot-int4-lloyd")
_FEW_BYTES = (
    "pca64w0.5-rot-pq32x8",
    "pca64-rot-pq16x8",
    "pca64-int2-lloyd",
    "pca64w0.5-rot-pq16x8",
    "pca32-rot-pq8x8",
    "pca32w0.5-rot-pq8x8",
    "pca32-rot-pq4x8",
    "pca16-rot-pq2x8",
)
_DIRECTIONS = (
    "l2-pca128-rot-int4-lloyd",
    "l2-pca64-int4-lloyd",
    "l2-pca64w0.5-rot-pq32x8",
    "l2-pca32-int4-lloyd",
    "l2-pca32w0.5-rot-pq8x8",
    "l2-pca32-rot-pq4x8",
)
"""Those that won their size in docs/explanation/codec-family.md; they keep no lengths."""


def ladder(dimension: int, *, directions: bool = False) -> tuple[str, ...]:
    """Return names of recipes worth trying on vectors of a dimension, dear ones first.

    Parameters
    ----------
    dimension
        Length of a vector.
    directions
        Also those that keep directions only, where lengths differ and the task asks for none.

    Examples
    --------
    >>> "pca16-int8" in ladder(64), "pca64-int8" in ladder(64)
    (True, False)
    """
    names = [f"pca{k}-{quantizer}" for k in reversed(_COMPONENTS) for quantizer in _PROJECTED]
    names += [*_FEW_BYTES, *(_DIRECTIONS if directions else ())]
    return (*_WHOLE, *(name for name in names if _components(name) < dimension))


def _components(name: str) -> int:
    return Recipe.parse(name).n_components or 0


def convert_command(source: str, recipe: str, seed: int = 0, vector: str | None = None) -> str:
    """Return the command that converts a source by a recipe.

    Examples
    --------
    >>> convert_command("scene.tif", "pca64-int8")
    'geoembz convert scene.tif OUT.zarr --pca 64 --int8'
    """
    *stages, quantizer = recipe.split("-")
    plain = quantizer in _FLAGS and (not stages or (len(stages) == 1 and stages[0][3:].isdigit()))
    if plain and all(stage.startswith("pca") for stage in stages):
        options = [*(part for stage in stages for part in ("--pca", stage[3:])), _FLAGS[quantizer]]
    else:
        options = ["--recipe", recipe]
    if seed:
        options += ["--seed", str(seed)]
    if vector is not None:
        options += ["--vector", vector]
    return shlex.join(["geoembz", "convert", source, "OUT.zarr", *options])
