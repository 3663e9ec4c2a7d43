"""The plot of score over bytes: one panel per task, named points, the line of the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from geoembz._evaluate.figures import COLOURS, WIDTH, panels, svg
from geoembz._evaluate.result import Evaluation, RecipeResult

_GREY = "#555555"
_PLACES = ((6, -11), (6, 4), (-6, 4), (-6, -11), (6, -22), (6, 15), (-6, 15), (-6, -22))
"""Offsets of a name from its point, in typographical points, the best ones first."""


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
            points = [_unlabelled(result) for result in evaluation.recipes]
            draw_panel(figure, all_axes[0], points, None, COLOURS[0])
            all_axes[0].set_ylabel("centred cosine, mean")
        for i, (axes, (name, metric)) in enumerate(zip(all_axes, series, strict=False)):
            points = [_labelled(r, name, metric) for r in evaluation.recipes if name in r.tasks]
            scores = evaluation.baseline["tasks"].get(name, evaluation.baseline["tasks"].get("knn"))
            draw_panel(
                figure, axes, points, scores and scores.get(metric), COLOURS[i % len(COLOURS)]
            )
            axes.set_title(name)
            if i == 0 or not same:
                axes.set_ylabel(metric)
        return svg(figure)


def _unlabelled(result: RecipeResult) -> Point:
    return Point(result.recipe, result.bytes, float(result.fidelity["cosine_centred"]["mean"]))


def _labelled(result: RecipeResult, name: str, metric: str) -> Point:
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
    best = frontier(points)
    axes.plot([p.bytes for p in best], [p.score for p in best], color=colour, linewidth=1.2)
    rest = [point for point in points if point not in best]
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


def frontier(points: Sequence[Point]) -> list[Point]:
    """Return the points that nothing as small or smaller beats, smallest first."""
    best: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bytes, -point.score)):
        if not best or point.score > best[-1].score:
            best.append(point)
    return best


def _name_points(figure: Any, axes: Any, points: Sequence[Point], others: Sequence[Any]) -> None:
    """Write each name where it meets no other name and leaves no panel, if there is such a place.

    Where there is none the name is left out: the table has it.
    """
    figure.draw_without_rendering()
    taken = [text.get_window_extent() for text in others]
    inside = axes.get_window_extent()
    for point in reversed(points):
        for across, up in _PLACES:
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
