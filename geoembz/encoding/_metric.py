"""Metrics: how vectors are compared, as a name such as ``cosine`` or ``cosine-w0.5``."""

import re
from dataclasses import dataclass
from typing import Literal, Self, cast, get_args

from geoembz.errors import InvalidConfigError

type MetricName = Literal["cosine", "dot", "euclidean", "hamming"]

METRICS: tuple[MetricName, ...] = get_args(MetricName.__value__)
"""Names of metrics, without what weighs components."""

_METRIC = re.compile(rf"({'|'.join(METRICS)})(?:-w([0-9]*\.?[0-9]+))?")


@dataclass(frozen=True)
class Metric:
    """How a query is compared with what codes stand for.

    Parameters
    ----------
    name
        ``cosine``, ``dot``, ``euclidean``, or ``hamming`` of codes that are bits.
    whiten
        Power of its standard deviation by which each component is divided first, 0 to 1: small
        components then weigh more (spec/encoding.md, "Metrics"). 0 compares vectors as they are.

    Raises
    ------
    InvalidConfigError
        If there is no such metric.

    Examples
    --------
    >>> Metric.parse("cosine-w0.5")
    Metric(name='cosine', whiten=0.5)
    >>> str(Metric("euclidean"))
    'euclidean'
    """

    name: MetricName = "cosine"
    whiten: float = 0.0

    def __post_init__(self) -> None:
        """Refuse what is no metric."""
        if self.name not in METRICS or not 0 <= self.whiten <= 1:
            raise InvalidConfigError(_expected(str(self)))
        if self.name == "hamming" and self.whiten:
            raise InvalidConfigError(
                f"metric '{self}': bits are counted, not weighed; use 'hamming', or "
                f"'cosine-w{self.whiten:g}'"
            )

    @property
    def is_distance(self) -> bool:
        """Whether smaller scores are nearer."""
        return self.name in {"euclidean", "hamming"}

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name.

        Raises
        ------
        InvalidConfigError
            If it is none.
        """
        match = _METRIC.fullmatch(text)
        if match is None:
            raise InvalidConfigError(_expected(text))
        return cls(cast("MetricName", match[1]), float(match[2] or 0))

    def check(self, recipe: str, *, kind: str, has_order: bool) -> None:
        """Refuse codes that cannot be compared so.

        Parameters
        ----------
        recipe, kind
            Names of their recipe and quantizer.
        has_order
            Whether it is known how much each component varies: not of a rotation alone.

        Raises
        ------
        InvalidConfigError
            If they are no bits, or components cannot be weighed.
        """
        if self.name == "hamming" and kind != "binary":
            raise InvalidConfigError(
                f"metric 'hamming': it counts bits, and {recipe} has {kind} codes; use 'cosine', "
                "or convert with a binary recipe such as rot-binary"
            )
        if self.whiten and not has_order:
            raise InvalidConfigError(
                f"metric '{self}': {recipe} rotates vectors without a projection, so nothing says "
                f"how components vary; use '{self.name}', or a recipe such as 'pca64-rot-…'"
            )

    def __str__(self) -> str:
        """Name, as `parse` reads it."""
        return f"{self.name}-w{self.whiten:g}" if self.whiten else self.name


def _expected(text: str) -> str:
    return (
        f"metric {text!r}; expected one of {', '.join(METRICS)}; or with components weighed, such "
        "as 'cosine-w0.5' (0 to 1)"
    )
