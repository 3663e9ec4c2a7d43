"""Fit and measure the recipes of a plan, then confirm what meets its goal."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from geoembz._evaluate.choice import Arena, Option
from geoembz._evaluate.goal import Goal
from geoembz._evaluate.ladder import ladder
from geoembz._evaluate.run import Progress
from geoembz._evaluate.sample import Sample
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, NoValidPixelsError

_BY_DIRECTION = {"knn", "retrieval", "change"}
"""Tasks that compare vectors by cosine, whatever their lengths."""

_SAME_LENGTH = 0.02


@dataclass
class Trials:
    """Recipes fitted and measured on the selection split."""

    options: list[Option] = field(default_factory=list)
    encodings: dict[str, Encoding] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


def try_recipes(
    arena: Arena, sample: Sample, recipes: Sequence[str] | None, progress: Progress | None
) -> Trials:
    """Fit and measure recipes; of the ladder, those are left out that the sample cannot fit."""
    names = tuple(recipes or ())
    if recipes is None:
        directions = arena.task in _BY_DIRECTION and _lengths_differ(sample)
        names = ladder(sample.dimension, directions=directions)
    trials = Trials()
    for done, name in enumerate(names):
        if progress is not None:
            progress(done, len(names))
        try:
            encoding = arena.fit(name)
        except (InvalidConfigError, NoValidPixelsError) as error:
            if recipes is not None:
                raise
            trials.messages.append(f"not tried: {name} ({error})")
            continue
        size, loss = arena.measure(encoding, arena.selection)
        trials.encodings[name] = encoding
        trials.options.append(Option(name, size, loss))
    return trials


def _lengths_differ(sample: Sample) -> bool:
    """Whether scaling vectors to one length changes them noticeably."""
    lengths = np.linalg.norm(sample.vectors, axis=1)
    return bool(lengths.std() > _SAME_LENGTH * lengths.mean())


def confirm(
    arena: Arena, goal: Goal, options: Sequence[Option], encodings: dict[str, Encoding]
) -> tuple[list[Option], Option]:
    """Confirm candidates in turn until one holds; return all that were considered, and it."""
    considered: list[Option] = []
    for candidate in goal.candidates(options):
        by = candidate.selection.by
        _, loss = arena.measure(encodings[candidate.recipe], arena.confirmation, by)
        considered.append(replace(candidate, confirmation=loss))
        if goal.confirms(considered[-1]):
            return considered, considered[-1]
    if goal.budget is not None:
        smallest = min(options, key=lambda option: option.bytes)
        raise InvalidConfigError(
            f"plan: no recipe of at most {goal.budget} bytes; the smallest tried is "
            f"{smallest.recipe} with {smallest.bytes}; raise --bytes or name --recipes"
        )
    encodings["float32"] = arena.fit("float32")
    size, selection = arena.measure(encodings["float32"], arena.selection)
    _, confirmation = arena.measure(encodings["float32"], arena.confirmation)
    return considered, Option("float32", size, selection, confirmation)
