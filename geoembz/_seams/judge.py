"""How large the step across each border is, and how often the inside has one as large.

The landscape makes steps of its own, along roads and field edges, and neighbouring pixels are
alike: no formula knows their distribution. So a border is compared with *placebos*: the cuts
parallel to it, inside the same tiles. Each is measured in medians of its own strip's placebos,
which makes strips comparable; then all strips lend each other theirs.

There are some hundred placebos, and p-values below one in some hundred are needed where there are
many borders. The upper tenth of the placebos is taken for the tail of a Pareto distribution, whose
exponent is Hill's estimate less one standard error (Knijnenburg et al. 2009 do the same with
permutations; a power law is heavier than what we saw, so p is rather too large).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoembz._seams.borders import Border
from geoembz._seams.steps import Cuts, contrast
from geoembz._seams.survey import Survey

MOST_FALSE = 0.01
"""Family-wise error: chance that anything at all is found in a raster without seams."""

FEWEST_PAIRS, FEWEST_PLACEBOS = 8, 10
_FEWEST_BETWEEN = 5
_TAIL, _FEWEST_TAIL = 0.1, 20
_SMALLEST_P = 1e-9  # a law fitted to hundreds of placebos says no more
_TO_SIGMA = 1.4826  # of a normal distribution's median absolute deviation


@dataclass(frozen=True)
class Trait:
    """A number of a border, and the same of its placebos ``(n,)``."""

    border: float
    placebos: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """A border's contrasts, and its placebos'.

    Parameters
    ----------
    border
        Where.
    pairs
        Pairs of valid pixels across it.
    unit
        Root mean square step of the inside, in units of the vectors.
    vector
        Mean step across it, less that of like cuts, float64 ``(length,)``.
    size, placebo_sizes
        Length of the mean step, in units of `unit`, times `scale`; of the placebos, ``(n,)``.
    scale
        See `Contrast.scales`.
    rarity
        The same, in units of what is usual inside in each direction.
    excess
        Logarithm of how much longer steps are, squared.
    is_between, placebos_between
        Whether it, and which of them, lie between two windows of a model.
    """

    border: Border
    pairs: int
    unit: float
    vector: NDArray[np.float64]
    size: float
    scale: float
    placebo_sizes: NDArray[np.float64]
    rarity: Trait
    excess: Trait
    is_between: bool
    placebos_between: NDArray[np.bool_]


@dataclass(frozen=True)
class Judgement:
    """What is said of one border.

    Parameters
    ----------
    measured
        Where, and its numbers.
    offset
        Length of the mean step beyond what placebos have, in root mean square steps.
    roughness
        Root mean square of what steps are longer than inside, in the same unit.
    p, p_adjusted
        How often a placebo has as much, and the same after correction for the number of borders.
    is_offset
        Whether the mean step is rarer among placebos than the length of steps.
    """

    measured: Measured
    offset: float
    roughness: float
    p: float
    p_adjusted: float
    is_offset: bool

    @property
    def effect(self) -> float:
        """The one of both that placebos have less often."""
        return self.offset if self.is_offset else self.roughness


def summarise(cuts: Cuts, border: Border, survey: Survey) -> Measured | str:
    """Keep what is needed of a strip; or say why it cannot be judged."""
    at, lattice = cuts.border, survey.lattices[border.vertical]
    if cuts.counts[at] < FEWEST_PAIRS:
        return f"fewer than {FEWEST_PAIRS} pairs of valid pixels across it"
    if border.kind == "zone" and 2 * cuts.counts[at] < border.stop - border.start:
        # Zones end aslant: there the meridian has fewer pairs than the cuts beside it.
        return "valid pixels on both sides along less than half of it"
    classes = lattice.classes(border, cuts.offsets)
    between = lattice.between(classes)
    found = contrast(cuts, classes, ~between)
    is_known = np.isfinite(found.sizes) & np.isfinite(found.excesses)
    known = cuts.inside & is_known
    if known.sum() < FEWEST_PLACEBOS or not is_known[at]:
        return f"fewer than {FEWEST_PLACEBOS} cuts inside the tiles to compare it with"
    rarities = survey.rarities(found.vectors / found.unit)
    like = cuts.inside & (classes == classes[at])
    return Measured(
        border,
        int(cuts.counts[at]),
        found.unit,
        cuts.means[at] - cuts.means[like].mean(axis=0),
        float(found.sizes[at]),
        float(found.scales[at]),
        found.sizes[known],
        Trait(float(rarities[at]), rarities[known]),
        Trait(float(found.excesses[at]), found.excesses[known]),
        bool(between[at]),
        between[known],
    )


def judge(measured: Sequence[Measured], pool: Sequence[Measured]) -> list[Judgement]:
    """Compare borders of one kind with the placebos of all.

    Parameters
    ----------
    measured
        Borders that are one family: `p_adjusted` is corrected for their number.
    pool
        Borders whose placebos are compared with.
    """
    if not measured:
        return []
    rarities = _Null.of([(m.rarity.placebos, m.placebos_between) for m in pool], centred=False)
    excesses = _Null.of([(m.excess.placebos, m.placebos_between) for m in pool], centred=True)
    p = np.array([[rarities.p(m, m.rarity), excesses.p(m, m.excess)] for m in measured])
    both = np.minimum(2 * p.min(axis=1), 1.0)  # Bonferroni: the better one of two
    corrected = _holm(both)
    return [
        Judgement(
            one,
            _beyond(one),
            float(np.sqrt(max(np.expm1(one.excess.border), 0.0))),
            float(both[index]),
            float(corrected[index]),
            bool(p[index, 0] <= p[index, 1]),
        )
        for index, one in enumerate(measured)
    ]


@dataclass(frozen=True)
class _Null:
    """Placebos of all strips, each in units of its own strip, ascending.

    Parameters
    ----------
    values
        Of all of them.
    centred
        Whether the unit is a spread around the middle, or the middle itself.
    between
        How many times larger those between two windows are.
    """

    values: NDArray[np.float64]
    centred: bool
    between: float

    @classmethod
    def of(
        cls, strips: Sequence[tuple[NDArray[np.float64], NDArray[np.bool_]]], *, centred: bool
    ) -> "_Null":
        """Pool the placebos of strips."""
        scaled = [values / _unit(values, between, centred) for values, between in strips]
        values = np.concatenate(scaled)
        between = np.concatenate([between for _, between in strips])
        ratio = 1.0
        if between.sum() >= _FEWEST_BETWEEN and not between.all():
            ratio = max(_spread(values[between], centred), 1.0)
        return cls(np.sort(np.where(between, values / ratio, values)), centred, ratio)

    def p(self, one: Measured, trait: Trait) -> float:
        """Return the share of placebos that have as much as a border; see above for its tail."""
        unit = _unit(trait.placebos, one.placebos_between, self.centred)
        own = trait.border / unit / (self.between if one.is_between else 1.0)
        n = len(self.values)
        rank = (1 + n - int(np.searchsorted(self.values, own))) / (1 + n)
        size = min(max(round(_TAIL * n), _FEWEST_TAIL), n // 2)
        start, tail = self.values[-size - 1], self.values[-size:]
        if own <= start or start <= 0:
            return rank
        exponent = float(np.log(tail / start).mean()) * (1 + 1 / np.sqrt(size))
        if exponent <= 0:
            return rank
        return max(float(size / n * (start / own) ** (1 / exponent)), _SMALLEST_P)


def _unit(values: NDArray[np.float64], between: NDArray[np.bool_], centred: bool) -> float:
    """Return the scale of a strip's placebos: of those not between windows, if there are any."""
    plain = values[~between]
    return _spread(plain if len(plain) else values, centred) or 1.0


def _spread(values: NDArray[np.float64], centred: bool) -> float:
    return float(np.median(np.abs(values)) * (_TO_SIGMA if centred else 1.0))


def _beyond(one: Measured) -> float:
    """Return the length of a mean step without what the inside adds to it."""
    alike = one.placebos_between == one.is_between
    noise = one.placebo_sizes[alike] if alike.any() else one.placebo_sizes
    beyond = max(one.size**2 - float(np.mean(np.square(noise))), 0.0)
    return float(np.sqrt(beyond)) / one.scale


def _holm(p: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return p-values corrected for their number, so that a threshold bounds the chance of any.

    Examples
    --------
    >>> _holm(np.array([0.02, 0.01, 0.5])).tolist()
    [0.04, 0.03, 0.5]
    """
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(grown, 1.0)
    return corrected
