"""The rate-accuracy plot: every recipe, the Pareto front, and what training rows chose."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rate_recipes import Choice
from geoembz._evaluate.metrics.scores import pareto_front
from geoembz._evaluate.plots import COLOURS
from geoembz.encoding import Recipe

MARKERS = "osD^vP"
TITLES = {
    "accuracy": "accuracy of 5 nearest neighbours, %",
    "recall": "of the 10 nearest of float32, found, %",
}


def plot(
    float32: float,
    tested: Mapping[Choice, Mapping[int, float]],
    chosen: Mapping[int, float],
    path: Path,
) -> None:
    """Write a PNG of accuracy (kNN, %) over bytes; `tested` by seed, `chosen` by bytes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.6), layout="constrained")
    axes: Any = figure.add_subplot()
    means = {choice: sum(by.values()) / len(by) for choice, by in tested.items()}
    groups: dict[str, list[Choice]] = {}
    for choice in means:
        groups.setdefault(Recipe.parse(choice.recipe).quantizer, []).append(choice)
    for i, (quantizer, same) in enumerate(groups.items()):
        look = {"color": COLOURS[i % 6], "marker": MARKERS[i % 6], "s": 22, "alpha": 0.8}
        sizes = [choice.size_bytes for choice in same]
        axes.scatter(sizes, [means[c] for c in same], label=quantizer, linewidths=0, **look)
    front = pareto({(choice.size_bytes, mean) for choice, mean in means.items()})
    axes.plot(*zip(*front, strict=True), color="0.6", linewidth=1, zorder=0, label="Pareto front")
    if chosen:
        look = {"facecolors": "none", "edgecolors": "black", "s": 90}
        axes.scatter(list(chosen), list(chosen.values()), label="chosen on training rows", **look)
    axes.axhline(float32, color="black", linestyle=":", linewidth=1, label="float32")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.set_ylim(max(float32 - 25, 0), float32 + 2)
    axes.set_xlabel("bytes per embedding (log scale)")
    axes.set_ylabel("accuracy of 5 nearest neighbours, %")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=130)


def pareto(points: set[tuple[int, float]]) -> list[tuple[int, float]]:
    """Return the points that nothing as small beats, by size.

    Examples
    --------
    >>> pareto({(4, 80.0), (8, 79.0), (16, 90.0)})
    [(4, 80.0), (16, 90.0)]
    """
    by_size = sorted(points)
    front = pareto_front(*zip(*by_size, strict=True))
    return [point for point, best in zip(by_size, front, strict=True) if best]


def plot_choices(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Write a PNG of what few bytes keep, from the rows of `benchmarks.few_bytes`.

    Accuracy of what was chosen by accuracy stands beside recall of what was chosen by recall, each
    for codes and for float queries, among the recipes of before and among all.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.4, 3.9), layout="constrained")
    panels: Any = figure.subplots(1, 2)
    uses = {"search": "float queries", "knn": "codes with codes"}
    for axes, (measure, title) in zip(panels, TITLES.items(), strict=True):
        for colour, (use, name) in zip(COLOURS, uses.items(), strict=False):
            for among, line in (("all", "-"), ("before", ":")):
                own = [
                    row
                    for row in rows
                    if (row["experiment"], row["among"], row["chosen_by"]) == (use, among, measure)
                ]
                sizes, values = ([float(row[key]) for row in own] for key in ("bytes", measure))
                look = {"color": colour, "linestyle": line, "marker": "o", "markersize": 4}
                axes.plot(sizes, values, label=f"{name}, {among}", **look)
        axes.set_xscale("log", base=2)
        axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
        axes.set_xlabel("bytes per embedding (log scale)")
        axes.set_ylabel(title)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].legend(frameon=False, fontsize=8, loc="lower right")
    figure.savefig(path, dpi=130)
