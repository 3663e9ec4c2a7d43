"""Names and colours of classes: those of a raster of labels, and colours for all others.

Classes get colours that all eyes tell apart; clusters ones that say which centres are alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import cycle, islice
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from geoembz._map.bands import Colour
from geoembz.sources.features import is_feature_file

_PREFIX = "CLASS_"


@dataclass(frozen=True)
class Legend:
    """What is known of classes, by their label as text; often nothing.

    Parameters
    ----------
    names
        What classes are called.
    colours
        What they are shown in.

    Examples
    --------
    >>> legend = Legend({"1": "water"})
    >>> legend.name(1), legend.name(2)
    ('water', '2')
    """

    names: Mapping[str, str] = field(default_factory=dict)
    colours: Mapping[str, Colour] = field(default_factory=dict)

    def name(self, label: Any) -> str:
        """Return what a class is called: its label, where nothing else is known."""
        return self.names.get(str(label), str(label))

    def colour(self, label: Any, other: Colour) -> Colour:
        """Return the colour of a class, or another one."""
        return self.colours.get(str(label), other)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        colours = {label: list(colour) for label, colour in self.colours.items()}
        return {"names": dict(self.names), "colours": colours}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what `to_json` returned.

        Raises
        ------
        ValueError
            If a colour is none.
        """
        names = {str(label): str(name) for label, name in document["names"].items()}
        colours: dict[str, Colour] = {}
        for label, parts in document["colours"].items():
            red, green, blue = (int(part) for part in parts)
            if not all(0 <= part <= 255 for part in (red, green, blue)):
                raise ValueError(f"colour {parts}")
            colours[str(label)] = (red, green, blue)
        return cls(names, colours)


def read_legend(path: str | Path) -> Legend:
    """Read the table of colours of a raster of labels, and the names in its band's tags.

    A name is the tag ``CLASS_1`` of class 1, or ``1``, as the demo writes it.
    """
    if is_feature_file(path):
        return Legend()
    from geoembz.sources.gdal import open_gdal

    with open_gdal(str(path)) as raster:
        tags = raster.tags(1)
        colours = raster.colormap(1) if raster.colorinterp[0].name == "palette" else {}
    names = {key.removeprefix(_PREFIX): name for key, name in tags.items()}
    return Legend(
        {label: name for label, name in names.items() if label.isdecimal() and name},
        {str(value): (red, green, blue) for value, (red, green, blue, *_) in colours.items()},
    )


_DISTINCT: tuple[Colour, ...] = (
    (0, 114, 178), (230, 159, 0), (0, 158, 115), (204, 121, 167),
    (86, 180, 233), (213, 94, 0), (240, 228, 66), (90, 90, 90),
)  # fmt: skip
"""M. Okabe and K. Ito (2008), Color Universal Design; grey in place of black."""

_LIGHTNESS = (0.35, 0.92)
_CHROMA = 0.13
"""Of OKLab: how far colours of classes leave grey, most of them within what screens show."""


def distinct_colours(count: int) -> list[Colour]:
    """Return colours that are told apart, also without seeing red and green; lighter ones follow.

    Examples
    --------
    >>> distinct_colours(2)
    [(0, 114, 178), (230, 159, 0)]
    """
    found = []
    for number, colour in enumerate(islice(cycle(_DISTINCT), count)):
        turn = number // len(_DISTINCT)
        weight = 1 - 0.75**turn  # towards white, less at each turn
        red, green, blue = (round(part + (255 - part) * weight) for part in colour)
        found.append((red, green, blue))
    return found


def ordered_colours(centres: ArrayLike) -> tuple[NDArray[np.int64], list[Colour]]:
    """Order centres so that neighbours are alike, and give them colours that are.

    The first principal component of the centres is the order and, by its rank, the lightness; the
    second goes from blue to yellow, the third from green to red: who does not see the last still
    has the first two.

    Parameters
    ----------
    centres
        Shape ``(k, length)``.

    Returns
    -------
    order
        int64, shape ``(k,)``: which centre comes first, second …
    colours
        Of the centres in that order.

    References
    ----------
    B. Ottosson, A perceptual color space for image processing (OKLab), 2020.

    Examples
    --------
    >>> ordered_colours([[3.0, 0.0], [1.0, 0.1], [2.0, 0.0]])[0]
    array([1, 2, 0])
    """
    wide = np.asarray(centres, np.float64)
    scores = _principal_scores(wide, 3)
    order = np.argsort(scores[:, 0], kind="stable")
    low, high = _LIGHTNESS
    lightness = np.linspace(low, high, len(wide)) if len(wide) > 1 else np.array([0.6])
    spread = np.abs(scores[:, 1:]).max(axis=0)
    across = np.divide(scores[:, 1:], spread, out=np.zeros_like(scores[:, 1:]), where=spread > 0)
    blue_yellow, green_red = (across[order] * _CHROMA).T
    return order, _srgb(lightness, green_red, blue_yellow)


def _principal_scores(vectors: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the first principal scores, shape ``(n, count)``; zeros where there are fewer."""
    centred = vectors - vectors.mean(axis=0)
    left, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    kept = min(count, len(sizes))
    # As the encoding's: the largest part of an axis is positive, whatever the library.
    largest = np.abs(axes[:kept]).argmax(axis=1)
    signs = np.sign(axes[np.arange(kept), largest])
    scores = np.zeros((len(vectors), count))
    scores[:, :kept] = left[:, :kept] * sizes[:kept] * signs
    return scores


def _srgb(
    lightness: NDArray[np.float64], a: NDArray[np.float64], b: NDArray[np.float64]
) -> list[Colour]:
    """Return colours of OKLab as a screen shows them, the parts beyond it cut."""
    cones = (
        lightness
        + np.array([0.3963377774, -0.1055613458, -0.0894841775])[:, np.newaxis] * a
        + np.array([0.2158037573, -0.0638541728, -1.2914855480])[:, np.newaxis] * b
    ) ** 3
    mix = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(mix @ cones, 0, 1)
    coded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    return [(int(r), int(g), int(b)) for r, g, b in np.round(255 * coded).T]
