"""The plots of a report, as SVG or PNG; the colours can be told apart by everyone (Okabe & Ito)."""

import base64
import io
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.evaluation import Evaluation, RecipeResult
from geoembz._evaluate.metrics.scores import pareto_front
from geoembz._util.optional import import_extra

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
LOST, GAINED = COLOURS[1], COLOURS[0]
WIDTH = 10.4
"""Of a page, in inches."""

_INK = "#333333"
_STYLE: Any = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": "#888888",
    "axes.labelcolor": _INK,
    "text.color": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "svg.fonttype": "none",
    "svg.hashsalt": "geoembz",
}
_ACROSS = 4
_MAP_WIDTH = 8.0
_GREY = "#555555"
_NAME_PLACES = ((6, -11), (6, 4), (-6, 4), (-6, -11), (6, -22), (6, 15), (-6, 15), (-6, -22))
"""Offsets of a name from its point, in typographical points, the best ones first."""


def spectrum_plot(spectrum: Mapping[str, float]) -> str:
    """Plot the cumulative share of variance over components; return SVG."""
    components = [int(k) for k in spectrum]
    shares = [100 * share for share in spectrum.values()]
    with panels(1, WIDTH * 0.66, 2.6) as (figure, (axes,)):
        axes.fill_between(components, shares, color=COLOURS[0], alpha=0.12, linewidth=0)
        axes.plot(components, shares, marker="o", color=COLOURS[0], clip_on=False)
        for k, share in zip(components, shares, strict=True):
            axes.annotate(
                f"{share:.0f}", (k, share), (0, -14), textcoords="offset points", ha="center"
            )
        axes.set_xscale("log", base=2)
        axes.set_xticks(components, [str(k) for k in components])
        axes.set_ylim(max(0.0, min(shares) - 20), 103)
        axes.set_xlabel("principal components")
        axes.set_ylabel("variance kept, %")
        return svg(figure)


def class_plot(drops_by_recipe: Mapping[str, Mapping[str, float]], kind: str) -> str:
    """Plot what each class lost, one panel per recipe on one scale; return SVG.

    Parameters
    ----------
    drops_by_recipe
        Loss of every class, by recipe; the same classes for all.
    kind
        The score that was lost, such as ``F1``.
    """
    classes = _worst_first(drops_by_recipe)
    lowest = -100 * max(max(drops.values()) for drops in drops_by_recipe.values())
    highest = -100 * min(min(drops.values()) for drops in drops_by_recipe.values())
    low, high = min(lowest, -0.5), max(highest, 0.5)
    reach = 0.3 * (high - low)
    rows = math.ceil(len(drops_by_recipe) / _ACROSS)
    height = rows * (0.7 + 0.24 * len(classes)) + 0.3
    with panels(len(drops_by_recipe), WIDTH, height, across=_ACROSS) as (figure, all_axes):
        for place, (axes, (recipe, drops)) in enumerate(
            zip(all_axes, drops_by_recipe.items(), strict=True)
        ):
            _class_bars(axes, [-100 * drops[name] for name in classes])
            axes.set_title(recipe)
            axes.set_xlim(low - reach, high + reach)
            axes.set_yticks(range(len(classes)), classes if place % _ACROSS == 0 else [])
            axes.tick_params(axis="y", length=0)
            axes.invert_yaxis()
        figure.supxlabel(f"change of {kind} against uncompressed, points", size=9.5, color=_INK)
        return svg(figure)


def error_map_png(error: NDArray[np.floating]) -> str:
    """Draw a map of errors, NaN where nothing was read; return a ``data:`` URI of a PNG."""
    height, width = error.shape
    known = error[np.isfinite(error)]
    top = float(np.quantile(known, 0.99)) if known.size else 1.0
    with panels(1, _MAP_WIDTH, min(9.0, 0.6 + 6.2 * height / width)) as (figure, (axes,)):
        image = axes.imshow(error, cmap="cividis", vmin=0, vmax=top or 1.0, interpolation="nearest")
        axes.grid(visible=False)
        axes.set_facecolor("#dddddd")
        axes.set_xlabel("column")
        axes.set_ylabel("row")
        figure.colorbar(image, label="1 − cosine with the original", shrink=0.8, extend="max")
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def require_packages() -> None:
    """Refuse to go on without what draws and fills the page: best before anything long.

    Raises
    ------
    MissingPackageError
        If matplotlib or Jinja is missing.
    """
    import_extra("matplotlib.figure", "report", "report: plots need matplotlib")
    import_extra("jinja2", "report", "report: its page needs jinja2")


@contextmanager
def panels(
    count: int, width: float, height: float, *, across: int | None = None, share_y: bool = False
) -> Iterator[tuple[Any, list[Any]]]:
    """Give a figure in the report's style with `count` panels, `across` in a row; sizes in inches.

    Raises
    ------
    MissingPackageError
        If matplotlib is missing.
    """
    require_packages()
    import matplotlib as mpl
    from matplotlib.figure import Figure

    columns = min(count, across or count)
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        grid = figure.subplots(-(-count // columns), columns, squeeze=False, sharey=share_y).ravel()
        for axes in grid[count:]:
            axes.set_axis_off()
        for axes in grid[:count]:
            axes.spines[["top", "right"]].set_visible(False)
            axes.set_axisbelow(True)
            axes.grid(alpha=0.25)
        yield figure, list(grid[:count])


def svg(figure: Any) -> str:
    """Return a figure as an ``<svg>`` element, its text as text, the same for the same numbers."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]


def _worst_first(drops_by_recipe: Mapping[str, Mapping[str, float]], most: int = 15) -> list[str]:
    """Return the classes that lost most, by their mean over the recipes."""
    every = list(drops_by_recipe.values())
    names = list(every[0])
    return sorted(names, key=lambda name: -sum(drops[name] for drops in every))[:most]


def _class_bars(axes: Any, changes: Sequence[float]) -> None:
    """Draw one bar per class, with its value at its end."""
    places = np.arange(len(changes))
    colours = [LOST if change < 0 else GAINED for change in changes]
    axes.barh(places, changes, color=colours, height=0.72)
    for place, change in zip(places, changes, strict=True):
        lost = change < 0
        axes.annotate(
            f"{0.0 + round(change, 1):+.1f}",
            (change, place),
            (-3 if lost else 3, 0),
            textcoords="offset points",
            ha="right" if lost else "left",
            va="center",
            fontsize=8.5,
        )
    axes.axvline(0, color=_INK, linewidth=0.8)
    axes.grid(visible=False, axis="y")


@dataclass(frozen=True)
class Point:
    """One recipe's score at its size; `interval` bounds the score where it is known."""

    recipe: str
    bytes: int
    score: float
    interval: tuple[float, float] | None = None


def pareto_plot(evaluation: Evaluation) -> str:
    """Plot score over bytes, one panel per task; return SVG."""
    series = [(name, metric) for name, metric in evaluation.metrics.items()]
    same = len(set(evaluation.metrics.values())) == 1
    width = WIDTH if len(series) > 1 else WIDTH * 0.66
    count = max(1, len(series))
    with panels(count, width, 3.7, share_y=same) as (figure, all_axes):
        if not series:
            points = [_make_fidelity_point(result) for result in evaluation.recipes]
            draw_panel(figure, all_axes[0], points, None, COLOURS[0])
            all_axes[0].set_ylabel("centred cosine, mean")
        for i, (axes, (name, metric)) in enumerate(zip(all_axes, series, strict=False)):
            points = [
                _make_task_point(r, name, metric) for r in evaluation.recipes if name in r.tasks
            ]
            scores = evaluation.baseline["tasks"].get(name, evaluation.baseline["tasks"].get("knn"))
            draw_panel(
                figure, axes, points, scores and scores.get(metric), COLOURS[i % len(COLOURS)]
            )
            axes.set_title(name)
            if i == 0 or not same:
                axes.set_ylabel(metric)
        return svg(figure)


def _make_fidelity_point(result: RecipeResult) -> Point:
    return Point(result.recipe, result.bytes, float(result.fidelity["cosine_centred"]["mean"]))


def _make_task_point(result: RecipeResult, name: str, metric: str) -> Point:
    task = result.tasks[name]
    full = task[metric] - task["delta"]
    low, high = task["ci95"]
    return Point(result.recipe, result.bytes, task[metric], (full + low, full + high))


def draw_panel(
    figure: Any, axes: Any, points: Sequence[Point], baseline: float | None, colour: str
) -> None:
    """Draw points with their intervals, the line of the best at each size, and the baseline.

    The best are named, so limits of the axes must be set before, or left alone.
    """
    named = [] if baseline is None else [_baseline(axes, baseline)]
    for point in points:
        if point.interval is not None:
            ends = [point.bytes, point.bytes], list(point.interval)
            axes.plot(*ends, color=colour, linewidth=1.2, alpha=0.5)
    front = pareto_front([p.bytes for p in points], [p.score for p in points])
    best = sorted(itertools.compress(points, front), key=lambda point: point.bytes)
    rest = list(itertools.compress(points, ~front))
    axes.plot([p.bytes for p in best], [p.score for p in best], color=colour, linewidth=1.2)
    axes.plot([p.bytes for p in best], [p.score for p in best], "o", color=colour)
    hollow = {"markerfacecolor": "white", "color": colour}
    axes.plot([p.bytes for p in rest], [p.score for p in rest], "o", **hollow)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.set_xlabel("bytes per embedding")
    axes.margins(x=0.12, y=0.12)
    _name_points(figure, axes, best, named)


def _baseline(axes: Any, score: float) -> Any:
    """Draw the uncompressed score; return its name's text."""
    axes.axhline(score, color=_GREY, linestyle=(0, (4, 3)), linewidth=1)
    return axes.annotate(
        f"uncompressed {score:.3f}",
        (0, score),
        (3, 3),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        fontsize=8.5,
        color=_GREY,
    )


def _name_points(figure: Any, axes: Any, points: Sequence[Point], others: Sequence[Any]) -> None:
    """Write each name where it meets no other name and leaves no panel, if there is such a place.

    Where there is none the name is left out: the table has it.
    """
    figure.draw_without_rendering()
    taken = [text.get_window_extent() for text in others]
    inside = axes.get_window_extent()
    for point in reversed(points):
        for across, up in _NAME_PLACES:
            text = axes.annotate(
                point.recipe,
                (point.bytes, point.score),
                (across, up),
                textcoords="offset points",
                ha="left" if across > 0 else "right",
                fontsize=8,
            )
            box = text.get_window_extent()
            fits = inside.x0 <= box.x0 and box.x1 <= inside.x1
            fits &= inside.y0 <= box.y0 and box.y1 <= inside.y1
            if fits and not any(box.overlaps(other) for other in taken):
                taken.append(box)
                break
            text.remove()
