"""Plan: try a ladder of recipes on a sample, and recommend one for a loss limit or a budget."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geoembz._evaluate.api import SAMPLES, label_options, opened, table_sample
from geoembz._evaluate.choice import Arena, frontier, make_arena
from geoembz._evaluate.goal import Goal
from geoembz._evaluate.ladder import convert_command
from geoembz._evaluate.planned import Plan
from geoembz._evaluate.rasters import LabelOptions, read_sample
from geoembz._evaluate.run import Progress
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.tables import is_table
from geoembz._evaluate.trials import confirm, try_recipes
from geoembz._geo import pixel_area
from geoembz._geo.grid import Grid
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source

_DEFAULT_LOSS = 0.01
_DIRECTIONS_ONLY = (
    "an l2 recipe keeps directions only, and the task asked for no more; where lengths matter, "
    "name others with --recipes"
)


def plan(
    source: str | Path | Source | Sample,
    *,
    max_loss: float | None = None,
    budget: int | None = None,
    labels: str | Path | None = None,
    label_column: str | None = None,
    label_nodata: float | None = None,
    groups: str | None = None,
    vector: str | None = None,
    after: str | Path | Source | None = None,
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
        A raster, a table (``.npz``, Parquet or CSV), or a `Sample`.
    max_loss
        Largest loss, as a share: of a score such as accuracy, in absolute terms, or without labels
        of the centred cosine with the originals. 0.01 where no goal is given.
    budget
        Most bytes of one vector.
    labels, label_column, label_nodata, groups, vector, after, split, block_size, samples
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
    grid: Grid | None = None
    if _is_table(source):
        if labels is not None or after is not None:
            raise InvalidConfigError(
                f"plan: {source} is a table, which has its labels and dates; leave out --labels "
                "and --after, or give a raster"
            )
        sample = table_sample(source, label_column, groups, vector)
    else:
        if vector is not None:
            raise InvalidConfigError(
                f"plan: --vector names a column of a table, and {source} is none; leave it out"
            )
        options = label_options(labels, label_column, groups, label_nodata)
        sample, grid = _raster_sample(source, options, after, samples, task, seed)
    arena = make_arena(sample, task, split=split, block_size=block_size, seed=seed)
    trials = try_recipes(arena, sample, recipes, progress)
    considered, chosen = confirm(arena, goal, trials.options, trials.encodings)
    return Plan(
        name=sample.name,
        dimension=sample.dimension,
        task=arena.task,
        metric=arena.metric,
        max_loss=goal.max_loss,
        budget=goal.budget,
        options=frontier(
            [next((c for c in considered if c.recipe == o.recipe), o) for o in trials.options]
        ),
        chosen=chosen,
        passed_over=tuple(option.recipe for option in considered if option is not chosen),
        command=convert_command(sample.name, chosen.recipe, seed, vector),
        n_pixels=_pixels(grid, area_km2),
        split=_split(arena),
        seed=seed,
        exclusions=dict(sample.exclusions),
        messages=(
            *sample.messages,
            *arena.selection.division.messages,
            *trials.messages,
            *([_DIRECTIONS_ONLY] if chosen.recipe.startswith("l2-") else []),
        ),
    )


def _is_table(source: str | Path | Source | Sample) -> bool:
    if isinstance(source, Sample):
        return True
    return isinstance(source, str | Path) and is_table(source)


def _raster_sample(
    source: Any,
    labels: LabelOptions | None,
    after: str | Path | Source | None,
    n_samples: int,
    task: str | None,
    seed: int,
) -> tuple[Sample, Grid]:
    raster = opened(source)
    sample = read_sample(
        raster,
        labels=labels,
        after=None if after is None else opened(after),
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
    return max(1, round(area_km2 * 1e6 / pixel_area(grid)))


def _split(arena: Arena) -> dict[str, Any]:
    division = arena.selection.division
    return {
        "kind": division.kind,
        "n_train": len(division.folds[0].train),
        "n_selection": len(division.tested),
        "n_confirmation": len(arena.confirmation.division.tested),
    }
