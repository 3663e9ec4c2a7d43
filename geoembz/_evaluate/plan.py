"""Plan: try a ladder of recipes on a sample, and recommend one for a loss limit or a budget."""

import math
import shlex
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from geoembz._evaluate.evaluate import open_once, raster_sample, table_sample
from geoembz._evaluate.inputs import is_table
from geoembz._evaluate.planned import Option, Plan, mark_frontier
from geoembz._evaluate.sample import DEFAULTS, ExperimentKeywords, ExperimentOptions, Sample
from geoembz._evaluate.selection import Goal, Selection
from geoembz._evaluate.tasks import TASKS
from geoembz._geo import pixel_area
from geoembz._geo.grid import Grid
from geoembz._util.options import gather_one
from geoembz._util.progress import Progress
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source

_FLAGS = {"int8": "--int8", "int4": "--int4", "binary": "--binary", "float32": "--float32"}
_FORMER_TASK = "plan(task=…) is now plan(use=…); the old name goes with release 0.3"
_DEFAULT_LOSS = 0.01  # one point of a score
_DIRECTIONS_ONLY = (
    "an l2 recipe keeps directions only, and the task asked for no more; where lengths matter, "
    "name others with --recipes"
)


def plan(
    source: str | Path | Source | Sample,
    *,
    max_loss: float | None = None,
    budget: int | None = None,
    use: str | None = None,
    recipes: Sequence[str] | None = None,
    area_km2: float | None = None,
    experiment: ExperimentOptions | None = None,
    progress: Progress | None = None,
    task: str | None = None,
    **flat: Unpack[ExperimentKeywords],
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
    use
        What the vectors are for. With classes ``search`` (queries that are not compressed, as
        `geoembz.search` has them: nearest neighbours vote), ``knn`` (codes compared with codes; the
        default), ``probe`` (linear models), ``segmentation``, ``change`` or ``retrieval``; with
        quantities ``regression``; without labels ``cosine`` or ``rank`` (Spearman correlation of
        distances). Of several metrics that a use can compare by the best counts, and is named.
    recipes
        What to try; the `ladder` by default.
    area_km2
        Area to be stored; the source's own by default.
    experiment
        Which rows are judged, and how they are divided; see `ExperimentOptions`.
    progress
        Called with the numbers of finished and of all recipes.
    task
        Former name of `use`.
    **flat
        Any field of `experiment` by its own name, as in `evaluate`.

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
    if task is not None:
        warnings.warn(_FORMER_TASK, DeprecationWarning, stacklevel=2)
        use = use or task
    options = gather_one("plan", flat, "experiment", experiment, DEFAULTS)
    goal = Goal(_DEFAULT_LOSS if budget is None and max_loss is None else max_loss, budget)
    grid: Grid | None = None
    if isinstance(source, Sample) or (isinstance(source, str | Path) and is_table(source)):
        if options.labels is not None or options.after is not None:
            raise InvalidConfigError(
                f"plan: {source} is a table, which has its labels and dates; leave out --labels "
                "and --after, or give a raster"
            )
        sample = table_sample(source, options)
    elif options.vector is not None:
        raise InvalidConfigError(
            f"plan: --vector names a column of a table, and {source} is none; leave it out"
        )
    else:
        raster = open_once(source)
        grid = raster.grid
        sample = raster_sample(raster, options, whole_windows=use == "segmentation")
    selection = Selection(sample, use, options)
    selection.try_recipes(recipes, progress)
    considered, chosen = selection.confirm(goal)
    return _summarise(selection, goal, considered, chosen, options.vector, _pixels(grid, area_km2))


def convert_command(
    source: str,
    recipe: str,
    seed: int = 0,
    vector: str | None = None,
    metric: str | None = None,
) -> str:
    """Return the command that converts a source by a recipe, and recommends a metric.

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
    if metric not in {None, "cosine"}:
        options += ["--metric", str(metric)]
    return shlex.join(["geoembz", "convert", source, "OUT.zarr", *options])


def _summarise(
    selection: Selection,
    goal: Goal,
    considered: Sequence[Option],
    chosen: Option,
    vector: str | None,
    n_pixels: int | None,
) -> Plan:
    sample, choice = selection.sample, selection.choice.division
    seed, metric = selection.choice.seed, _compared_by(chosen)
    confirmed = {option.recipe: option for option in considered}
    return Plan(
        name=sample.name,
        dimension=sample.dimension,
        use=selection.use,
        metric=selection.metric,
        max_loss=goal.max_loss,
        budget=goal.budget,
        options=mark_frontier([confirmed.get(o.recipe, o) for o in selection.options]),
        chosen=chosen,
        passed_over=tuple(option.recipe for option in considered if option is not chosen),
        compared_by=metric,
        command=convert_command(sample.name, chosen.recipe, seed, vector, metric),
        n_pixels=n_pixels,
        split={
            "kind": choice.kind,
            "n_train": len(choice.folds[0].train),
            "n_selection": len(choice.tested),
            "n_confirmation": len(selection.confirmation.division.tested),
        },
        seed=seed,
        exclusions=dict(sample.exclusions),
        messages=(
            *sample.messages,
            *choice.messages,
            *selection.messages,
            *([_DIRECTIONS_ONLY] if chosen.recipe.startswith("l2-") else []),
        ),
    )


def _compared_by(option: Option) -> str | None:
    """Return the metric of the task that an option's loss was measured with."""
    task = TASKS.get(option.selection.by)
    return None if task is None or task.compares_by is None else str(task.compares_by)


def _pixels(grid: Grid | None, area_km2: float | None) -> int | None:
    """Return how many pixels are to be stored."""
    if area_km2 is None:
        return None if grid is None else grid.window.size
    if not area_km2 > 0 or not math.isfinite(area_km2):
        raise InvalidConfigError(f"plan: an area of {area_km2} km²; expected more than 0")
    if grid is None:
        raise InvalidConfigError("plan: --area needs a raster, whose pixels have a size")
    return max(1, round(area_km2 * 1e6 / pixel_area(grid)))
