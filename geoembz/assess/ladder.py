"""The recipes that a plan tries, from dear to cheap, and the commands that make stores of them."""

import shlex

_COMPONENTS = (8, 16, 32, 64, 128, 256)
_FLAGS = {"int8": "--int8", "int4": "--int4", "binary": "--binary", "float32": "--float32"}

_WHOLE = ("int8", "int4-lloyd", "rot-binary", "binary")
_PROJECTED = ("int8", "int4-lloyd", "rot-int4-lloyd")


def ladder(dimension: int) -> tuple[str, ...]:
    """Return names of recipes worth trying on vectors of a dimension, dear ones first.

    Examples
    --------
    >>> "pca16-int8" in ladder(64), "pca64-int8" in ladder(64)
    (True, False)
    """
    names = list(_WHOLE)
    for k in reversed([k for k in _COMPONENTS if k < dimension]):
        names += [f"pca{k}-{quantizer}" for quantizer in _PROJECTED]
        if 16 <= k <= 64:
            names += [f"pca{k}-rot-pq{k // 4}x8", f"pca{k}-rot-pq{k // 8}x8"]
    return tuple(names)


def convert_command(source: str, recipe: str, seed: int = 0) -> str:
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
    return shlex.join(["geoembz", "convert", source, "OUT.zarr", *options])
