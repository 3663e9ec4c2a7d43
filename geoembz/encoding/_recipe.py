"""Recipes: what to fit, as a name such as ``pca64-int8``, before anything is fitted.

The grammar is ``[l2-][PROJECTION-][rot-|itq-]QUANTIZER[-METHOD]`` (spec/encoding.md, "Recipes").
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self

import numpy as np

from geoembz._util import html
from geoembz.encoding._projection import KINDS as PROJECTIONS
from geoembz.encoding._quantization import ALPHAEARTH, BITS, MAX_STAGES, METHODS
from geoembz.errors import InvalidConfigError

_COUNT, _NUMBER = "([1-9][0-9]{0,4})", r"([0-9]*\.?[0-9]+)"
_PROJECTION = re.compile(rf"({'|'.join(PROJECTIONS)}){_COUNT}(?:w{_NUMBER})?")
_BYTES = re.compile(f"(pq|rq){_COUNT}x8")
_COUNTED = {"pq": "n_subquantizers", "rq": "n_stages"}
"""Quantizers whose names say how many bytes a code has, and the field that holds it."""

_ROTATIONS = {"rot": "rotate", "itq": "itq"}
"""Words of the rotations, and the field that each sets."""

_POWER = re.compile(f"power{_NUMBER}x{_NUMBER}")
_EXAMPLES = (
    *(f"{name}64" for name in PROJECTIONS),
    *("l2", "rot", "itq", "aef", "pq8x8", "rq8x8", "power2x127.5"),
    *(name for name in BITS if name not in {*_COUNTED, "power"}),
    *dict.fromkeys(method for methods in METHODS.values() for method in methods),
)


@dataclass(frozen=True)
class Recipe:
    """Everything about an encoding that is chosen rather than fitted.

    Parameters
    ----------
    quantizer
        ``int8``, ``int4``, ``int2``, ``ternary``, ``binary``, ``pq``, ``rq``, ``power``,
        ``float16`` or ``float32``.
    method
        How the quantizer is fitted, where there is a choice: ``minmax``, ``quantile`` or ``lloyd``
        for integers; ``std`` or ``tertiles`` for ``ternary``; ``mean``, ``median`` or ``zero`` for
        ``binary``. None for the first of these.
    projection
        ``pca``, ``svd``, ``random`` or ``select``; None to take the vectors as they are.
    n_components
        Components that the projection keeps.
    whiten
        Power of the standard deviation that components are divided by, 0 to 1; needs `rotate`,
        ``binary``, ``pq`` or ``rq``, since other quantizers scale every component by itself.
    rotate
        Rotate the components at random.
    itq
        Rotate them so that their signs lose least, by iterative quantization; only for codes of 1
        or 2 bits, and instead of `rotate`.
    normalize
        Scale vectors to length 1 first (``l2``).
    n_subquantizers
        Bytes of a ``pq`` code.
    n_stages
        Bytes of an ``rq`` code.
    power
        Exponent and factor of ``power``.

    Raises
    ------
    InvalidConfigError
        If the parts do not make a recipe.

    Examples
    --------
    >>> str(Recipe("int4", "lloyd", projection="pca", n_components=32, rotate=True))
    'pca32-rot-int4-lloyd'
    >>> Recipe.parse("aef").power
    (2.0, 127.5)
    """

    quantizer: str = "int8"
    method: str | None = None
    projection: str | None = None
    n_components: int | None = None
    whiten: float = 0.0
    rotate: bool = False
    normalize: bool = False
    n_subquantizers: int | None = None
    n_stages: int | None = None
    power: tuple[float, float] | None = None
    itq: bool = False

    def __post_init__(self) -> None:
        """Refuse parts that do not make a recipe; name the default method by None."""
        for problem in self._problems():
            raise InvalidConfigError(f"recipe: {problem}")
        if self.method == METHODS.get(self.quantizer, (None,))[0]:
            object.__setattr__(self, "method", None)

    def __str__(self) -> str:
        """Return the recipe's name."""
        whiten = f"w{_decimal(self.whiten)}" if self.whiten else ""
        stages = [
            "l2" if self.normalize else "",
            f"{self.projection}{self.n_components}{whiten}" if self.projection else "",
            "rot" if self.rotate else "",
            "itq" if self.itq else "",
            self._quantizer_name(),
            self.method or "",
        ]
        return "-".join(stage for stage in stages if stage)

    def _repr_html_(self) -> str:
        """Show its stages in a notebook."""
        stages: dict[str, str | None] = {
            "vectors": "scaled to length 1" if self.normalize else "as they are",
            "projection": f"{self.projection}, {self.n_components} components",
            "whitening": f"{self.whiten:g}" if self.whiten else None,
            "rotation": "at random" if self.rotate else "by iterative quantization",
            "quantizer": self._quantizer_name() + (f", {self.method}" if self.method else ""),
        }
        if self.projection is None:
            stages["projection"] = None
        if not self.is_rotated:
            stages["rotation"] = None
        rows = [(name, value) for name, value in stages.items() if value is not None]
        return html.card(f"Recipe {self}", html.table(rows))

    @classmethod
    def parse(cls, name: str) -> Self:
        """Read a recipe's name.

        Raises
        ------
        InvalidConfigError
            If the name is not in the grammar; the message names the nearest word that is.
        """
        words = name.strip().lower().split("-")
        parts: dict[str, Any] = {}
        if words[0] == "l2":
            parts["normalize"] = bool(words.pop(0))
        if words and (match := _PROJECTION.fullmatch(words[0])):
            words.pop(0)
            parts |= {"projection": match[1], "n_components": int(match[2])}
            parts["whiten"] = float(match[3] or 0)
        if words and words[0] in _ROTATIONS:
            parts[_ROTATIONS[words.pop(0)]] = True
        if not words:
            raise InvalidConfigError(f"recipe {name!r}: no quantizer; expected {_grammar()}")
        parts |= _quantizer(name, words.pop(0))
        if words and words[0] in METHODS.get(parts["quantizer"], ()):
            parts["method"] = words.pop(0)
        if words:
            raise _unknown(name, words[0])
        return cls(**parts)

    @property
    def is_rotated(self) -> bool:
        """Whether components are rotated, by whatever rotation."""
        return self.rotate or self.itq

    @property
    def bits(self) -> int:
        """Width of one code, in bits."""
        return BITS[self.quantizer]

    def n_codes(self, dimension: int) -> int:
        """Return the codes of one vector: components, or bytes of ``pq`` and ``rq``."""
        return self.n_subquantizers or self.n_stages or self.n_components or dimension

    def bytes_per_vector(self, dimension: int) -> int:
        """Return the nominal size of one encoded vector of `dimension` numbers, in bytes.

        Examples
        --------
        >>> [Recipe.parse(name).bytes_per_vector(1024) for name in ("pca64-int4", "rot-binary")]
        [32, 128]
        """
        return -(-self.n_codes(dimension) * self.bits // 8)

    def check_dimension(self, where: str, dimension: int) -> None:
        """Refuse vectors that are too short for the recipe.

        Raises
        ------
        InvalidConfigError
            If the recipe keeps more components than there are.
        """
        if self.n_components is not None and self.n_components > dimension:
            raise InvalidConfigError(
                f"{where}: recipe {self} keeps {self.n_components} components of vectors of "
                f"{dimension}; expected at most {dimension}"
            )
        count = self.n_components or dimension
        if self.n_subquantizers is not None and count % self.n_subquantizers:
            raise InvalidConfigError(
                f"{where}: recipe {self} cuts {count} components into {self.n_subquantizers} "
                f"groups; expected a divisor of {count}"
            )

    def _quantizer_name(self) -> str:
        if self.quantizer in _COUNTED:
            return f"{self.quantizer}{getattr(self, _COUNTED[self.quantizer])}x8"
        if self.quantizer == "power" and self.power is not None:
            exponent, factor = self.power
            law = f"power{_decimal(exponent)}x{_decimal(factor)}"
            return "aef" if self.power == ALPHAEARTH else law
        return self.quantizer

    def _problems(self) -> Iterator[str]:
        """Yield what is wrong with the parts."""
        if self.quantizer not in BITS:
            yield f"quantizer {self.quantizer!r}; expected one of {', '.join(BITS)}"
            return
        methods = METHODS.get(self.quantizer, ())
        if self.method is not None and self.method not in methods:
            known = ", ".join(methods) or "none"
            yield f"method {self.method!r} of {self.quantizer}; expected one of: {known}"
        if self.projection is not None and self.projection not in PROJECTIONS:
            yield f"projection {self.projection!r}; expected one of {', '.join(PROJECTIONS)}"
        if self.n_components is not None and self.n_components < 1:
            yield f"{self.n_components} components; expected 1 or more"
        if (self.projection is None) != (self.n_components is None):
            yield "a projection and a number of components go together, as in 'pca64-int8'"
        if not 0 <= self.whiten <= 1:
            yield f"whitening {self.whiten}; expected 0 to 1"
        yield from self._problems_of_rotation()
        yield from self._problems_of_counts()
        if (self.quantizer == "power") != (self.power is not None):
            yield "power and its exponent and factor go together, as in 'power2x127.5'"
        if self.power is not None and not all(1e-3 <= number <= 1e6 for number in self.power):
            yield f"power law {self.power}; expected exponent and factor from 0.001 to 1000000"

    def _problems_of_rotation(self) -> Iterator[str]:
        """Yield what is wrong with whitening and the rotation."""
        allowed = self.is_rotated or self.quantizer in {*_COUNTED, "binary"}
        if self.whiten and (self.projection is None or not allowed):
            yield (
                "whitening needs a projection before it and a rotation, binary, pq or rq after it; "
                "elsewhere it changes no code: ask for it when reading (whiten=)"
            )
        if self.rotate and self.itq:
            yield "two rotations, rot and itq; expected one of them"
        if self.itq and self.bits > 2:
            yield (
                f"itq fits a rotation to signs, and {self.quantizer} keeps more than these; "
                "expected binary, ternary or int2 after itq, or rot in its place"
            )

    def _problems_of_counts(self) -> Iterator[str]:
        """Yield what is wrong with the numbers of bytes of ``pq`` and ``rq``."""
        if (self.quantizer == "pq") != (self.n_subquantizers is not None):
            yield "pq and a number of sub-quantizers go together, as in 'pca32-rot-pq8x8'"
        if self.n_subquantizers is not None and self.n_subquantizers < 1:
            yield f"{self.n_subquantizers} sub-quantizers; expected 1 or more"
        if (self.quantizer == "rq") != (self.n_stages is not None):
            yield "rq and a number of stages go together, as in 'pca64-rq8x8'"
        if self.n_stages is not None and not 1 <= self.n_stages <= MAX_STAGES:
            yield f"{self.n_stages} stages; expected 1 to {MAX_STAGES}"


def _quantizer(name: str, word: str) -> dict[str, Any]:
    """Read a quantizer's word."""
    if match := _BYTES.fullmatch(word):
        return {"quantizer": match[1], _COUNTED[match[1]]: int(match[2])}
    if match := _POWER.fullmatch(word):
        return {"quantizer": "power", "power": (float(match[1]), float(match[2]))}
    if word == "aef":
        return {"quantizer": "power", "power": ALPHAEARTH}
    if word in BITS and word not in {*_COUNTED, "power"}:
        return {"quantizer": word}
    raise _unknown(name, word)


def _decimal(number: float) -> str:
    """Return the shortest decimal of a number, without an exponent: the grammar has none."""
    return np.format_float_positional(number, trim="-")


def _unknown(name: str, word: str) -> InvalidConfigError:
    close = _closest(word)
    whole = name.strip().lower().replace("_", "-")
    if "_" in name and _is_recipe(whole):
        close = whole
    hint = f" (did you mean {close!r}?)" if close not in {None, word} else ""
    return InvalidConfigError(
        f"recipe {name!r}: {word!r} is unknown or out of place{hint}; expected {_grammar()}"
    )


def _is_recipe(name: str) -> bool:
    try:
        Recipe.parse(name)
    except InvalidConfigError:
        return False
    return True


def _closest(word: str) -> str | None:
    """Return the word of the grammar that is nearest; of a projection's, the letters decide."""
    if match := re.fullmatch(f"([a-z]+){_COUNT}", word):
        for kind in get_close_matches(match[1], PROJECTIONS, n=1, cutoff=0.6):
            return f"{kind}{match[2]}"
    return next(iter(get_close_matches(word, _EXAMPLES, n=1, cutoff=0.5)), None)


def _grammar() -> str:
    return (
        "[l2-][PROJECTION-][rot-|itq-]QUANTIZER[-METHOD], for example 'pca64-int8', "
        "'l2-pca64-int4-lloyd', 'pca32-rot-pq8x8', 'pca64-rq8x8', 'rot-binary' or 'aef'"
    )
