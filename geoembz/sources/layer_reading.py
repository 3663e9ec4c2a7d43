"""Which layers a source has, and their numbers; and those that several inputs have together.

A source that has layers gives `layers`, what they are, and ``read_layer(name, window)``, their
stored numbers, masked where there is none. Both are optional: ask `layers_of` and `read_layers`.
"""

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from geoembz._geo.grid import Window
from geoembz.sources.base import Source
from geoembz.sources.layers import Layer


def layers_of(source: Source) -> tuple[Layer, ...]:
    """Return the layers of a source: none, where it says nothing of them."""
    layers: tuple[Layer, ...] = getattr(source, "layers", ())
    return layers


def read_layers(source: Source, window: Window) -> dict[str, NDArray[Any]]:
    """Read a window of all layers of a source, by name.

    Returns
    -------
    numbers
        As they are stored, shape ``(height, width)``; masked arrays where some are none.

    Raises
    ------
    SourceError
        If one cannot be read.
    """
    return {layer.name: read_layer(source, layer.name, window) for layer in layers_of(source)}


def common_layers(
    sources: Sequence[Source], *, overlap: bool, gaps: bool
) -> tuple[tuple[Layer, ...], str | None]:
    """Return the layers of several inputs together, and what to tell of those that are left out.

    Parameters
    ----------
    sources
        The inputs.
    overlap, gaps
        Whether some overlap, and whether there are pixels without an input.
    """
    first, *others = (layers_of(source) for source in sources)
    kept: tuple[Layer, ...] = ()
    if overlap:
        why = "inputs overlap, and nobody says whose holds"
    elif any(layers != first for layers in others):
        why = "not all inputs have them alike"
    else:
        kept = tuple(layer for layer in first if not gaps or layer.has_missing)
        why = "some pixels have no input, and they no nodata value for that"
    every = dict.fromkeys(layer.name for layers in (first, *others) for layer in layers)
    lost = [name for name in every if name not in {layer.name for layer in kept}]
    return kept, f"layers {', '.join(lost)} are left out: {why}" if lost else None


def read_layer(source: Source, name: str, window: Window) -> NDArray[Any]:
    """Read a window of one layer of a source that has it; see `read_layers`."""
    reader: Any = source
    numbers: NDArray[Any] = reader.read_layer(name, window)
    return numbers
