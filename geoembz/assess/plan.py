"""Plan: try a ladder of recipes on a sample, and recommend one for a loss limit or a budget."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from geoembz.assess.api import SAMPLES, label_options, opened, table_sample
from geoembz.assess.choice import Arena, Option, frontier, make_arena
from geoembz.assess.goal import Goal
from geoembz.assess.ladder import convert_command, ladder
from geoembz.assess.planned import Plan
from geoembz.assess.rasters import read_sample
from geoembz.assess.run import Progress
from geoembz.assess.sample import Sample
from geoembz.encoding import Encoding
from geoembz.errors import InvalidConfigError, NoValidPixelsError
from geoembz.grid import Grid
from geoembz.sources import Source

_DEFAULT_LOSS = 0.01
_TABLES = {".npz", ".parquet", ".pq"}


def plan(
    source: str | Path | Source | Sample,
    *,
    max_loss: float | None = None,
    budget: int | None = None,
    labels: str | Path | None = None,
    label_column: str | None = None,
    label_nodata: float | None = None,
    groups: str | None = None,
    task: str | None = None,
    recipes: Sequence[str] | None = None,
    split: str | None = None,
    block_size: float | None = None,
    samples: int = SAMPLES,
    area_km2: float | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Plan:
    """Recommend a recipe for a source: the cheapest within a loss, or the best within a budget.

    Recipes are fitted on training rows, the choice is made on a second set of rows and confirmed on
    a third. A recipe that keeps the limit where it was chosen, but not where it is confirmed, is
    passed over for the next one.

    Parameters
    ----------
    source
        A raster, a table (``.npz``, ``.parquet``), or a `Sample`.
    max_loss
        Largest loss, as a share: of a score such as accuracy, in absolute terms, or without labels
        of the centred cosine with the originals. 0.01 where no goal is given.
    budget
        Most bytes of one vector.
    labels, label_column, label_nodata, groups, split, block_size, samples
        As in `evaluate`.
    task
        What to judge by; ``knn`` for classes, ``regression`` for quantities, ``cosine`` (or
        ``rank``: Spearman correlation of distances) without labels.
    recipes
        What to try; the `ladder` by default.
    area_km2
        Area to be stored; the source's own by default.
    seed
        Seed of every random choice.
    progress
        Called with the numbers of finished and of all recipes.

    Raises
    ------
    InvalidConfigError
        If the goal or the options cannot work, or nothing in the ladder fits the budget.
    SourceError
        If an input cannot be read.

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=96)
    >>> found = plan(files.embedding, labels=files.labels, budget=16, samples=2000)
    >>> found.chosen.bytes <= 16
    True
    """
    goal = Goal(_DEFAULT_LOSS if budget is None and max_loss is None else max_loss, budget)
    sample, grid = _sample(source, labels, label_column, label_nodata, groups, samples, task, seed)
    arena = make_arena(sample, task, split=split, block_size=block_size, seed=seed)
    trials = _try(arena, sample.dimension, recipes, progress)
    options, encodings = trials.options, trials.encodings
    considered, chosen = _confirm(arena, goal, options, encodings)
    return Plan(
        name=sample.name,
        dimension=sample.dimension,
        task=arena.task,
        metric=arena.metric,
        max_loss=goal.max_loss,
        budget=goal.budget,
        options=frontier(
            [next((c for c in considered if c.recipe == o.recipe), o) for o in options]
        ),
        chosen=chosen,
        passed_over=tuple(option.recipe for option in considered if option is not chosen),
        command=convert_command(sample.name, chosen.recipe, seed),
        n_pixels=_pixels(grid, area_km2),
        split=_split(arena),
        seed=seed,
        exclusions=dict(sample.exclusions),
        messages=(*sample.messages, *arena.selection.division.messages, *trials.messages),
    )


@dataclass
class _Trials:
    """Recipes fitted and measured on the selection split."""

    options: list[Option] = field(default_factory=list)
    encodings: dict[str, Encoding] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)


def _try(
    arena: Arena, dimension: int, recipes: Sequence[str] | None, progress: Progress | None
) -> _Trials:
    """Fit and measure recipes; of the ladder, those are left out that the sample cannot fit."""
    names = ladder(dimension) if recipes is None else tuple(recipes)
    trials = _Trials()
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


def _confirm(
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


def _sample(
    source: str | Path | Source | Sample,
    labels: str | Path | None,
    label_column: str | None,
    label_nodata: float | None,
    groups: str | None,
    n_samples: int,
    task: str | None,
    seed: int,
) -> tuple[Sample, Grid | None]:
    if isinstance(source, Sample) or (
        isinstance(source, str | Path) and Path(source).suffix in _TABLES
    ):
        return table_sample(source, label_column, groups), None
    raster = opened(source)
    sample = read_sample(
        raster,
        labels=label_options(labels, label_column, groups, label_nodata),
        n_samples=n_samples,
        whole_windows=task == "segmentation",
        seed=seed,
    )
    return sample, raster.grid


def _pixels(grid: Grid | None, area_km2: float | None) -> int | None:
    """Return how many pixels are to be stored."""
    if area_km2 is None:
        return None if grid is None else grid.window.size
    if not area_km2 > 0 or not math.isfinite(area_km2):
        raise InvalidConfigError(f"plan: an area of {area_km2} km²; expected more than 0")
    if grid is None:
        raise InvalidConfigError("plan: --area needs a raster, whose pixels have a size")
    return max(1, round(area_km2 * 1e6 / grid_pixel_area(grid)))


def grid_pixel_area(grid: Grid) -> float:
    """Return the area of one pixel, in square metres."""
    from geoembz.assess.pixels import metres_per_unit

    across, down = metres_per_unit(grid)
    return abs(grid.transform[0] * across * grid.transform[4] * down)


def _split(arena: Arena) -> dict[str, Any]:
    division = arena.selection.division
    return {
        "kind": division.kind,
        "n_train": len(division.folds[0].train),
        "n_selection": len(division.tested),
        "n_confirmation": len(arena.confirmation.division.tested),
    }
