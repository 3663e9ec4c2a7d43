"""The plots of a report, as SVG or PNG; the colours can be told apart by everyone (Okabe & Ito)."""

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.assess.result import Evaluation, RecipeResult
from geoembz.errors import MissingPackageError

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "s", "^", "D", "v", "P")
_MOST_CLASSES = 15


def pareto_plot(evaluation: Evaluation) -> str:
    """Plot score over bytes, one line per task; return SVG."""
    figure, axes = _figure(7.2, 4.4)
    names = list(evaluation.metrics)
    for i, name in enumerate(names):
        _pareto_series(axes, evaluation, name, COLOURS[i % 6], MARKERS[i % 6])
    if not names:
        points = [(r.bytes, r.fidelity["cosine_centred"]["mean"], r) for r in evaluation.recipes]
        _scatter(axes, points, "centred cosine", COLOURS[0], MARKERS[0])
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda size, _: f"{size:g}")
    axes.set_xlabel("bytes per embedding (log scale)")
    axes.set_ylabel(", ".join(dict.fromkeys(evaluation.metrics.values())) or "centred cosine")
    axes.legend(frameon=False, loc="lower right")
    return _svg(figure)


def spectrum_plot(spectrum: Mapping[str, float]) -> str:
    """Plot the cumulative share of variance over components; return SVG."""
    figure, axes = _figure(7.2, 3.2)
    components = [int(k) for k in spectrum]
    shares = [100 * share for share in spectrum.values()]
    axes.plot(components, shares, marker="o", color=COLOURS[0])
    for k, share in zip(components, shares, strict=True):
        axes.annotate(f"{share:.0f}", (k, share), (0, -13), textcoords="offset points", ha="center")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda k, _: f"{k:g}")
    axes.set_ylim(min(shares) - 15, 104)
    axes.set_xlabel("principal components (log scale)")
    axes.set_ylabel("variance kept, %")
    return _svg(figure)


def class_plot(result: RecipeResult, task: str) -> str:
    """Plot the F1 that each class lost, worst first; return SVG."""
    scores = result.tasks[task]
    drops = list(scores.get("f1_drop", scores.get("iou_drop", {})).items())
    drops = sorted(drops, key=lambda item: -item[1])[:_MOST_CLASSES]
    figure, axes = _figure(7.2, 0.9 + 0.3 * len(drops))
    values = [100 * drop for _, drop in drops]
    places = np.arange(len(drops))
    colours = [COLOURS[1] if value > 0 else COLOURS[0] for value in values]
    axes.barh(places, [-value for value in values], color=colours)
    for place, value in zip(places, values, strict=True):
        side = -3 if value > 0 else 3
        axes.annotate(
            f"{0.0 - round(value, 1):+.1f}",
            (-value, place),
            (side, 0),
            textcoords="offset points",
            ha="right" if value > 0 else "left",
            va="center",
        )
    axes.set_yticks(places, [name for name, _ in drops])
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.margins(x=0.18)
    kind = "IoU" if "iou_drop" in scores else "F1"
    axes.set_xlabel(f"change of {kind} against uncompressed, points")
    return _svg(figure)


def error_map_png(error: NDArray[np.floating]) -> str:
    """Draw a map of errors, NaN where nothing was read; return a ``data:`` URI of a PNG."""
    height, width = error.shape
    figure, axes = _figure(7.2, min(9.0, 0.8 + 5.4 * height / width))
    known = error[np.isfinite(error)]
    top = float(np.quantile(known, 0.99)) if known.size else 1.0
    image = axes.imshow(error, cmap="cividis", vmin=0, vmax=top or 1.0, interpolation="nearest")
    axes.grid(visible=False)
    axes.set_facecolor("#dddddd")
    axes.set_xlabel("column")
    axes.set_ylabel("row")
    figure.colorbar(image, label="1 - cosine with the original", shrink=0.8)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def _pareto_series(axes: Any, evaluation: Evaluation, name: str, colour: str, marker: str) -> None:
    metric = evaluation.metrics[name]
    points = [
        (result.bytes, result.tasks[name][metric], result)
        for result in evaluation.recipes
        if name in result.tasks
    ]
    baseline = evaluation.baseline["tasks"].get(name)
    label = name
    if baseline is not None:
        score = baseline[metric]
        axes.axhline(score, color=colour, linestyle=":", linewidth=1)
        label = f"{name} (dotted: uncompressed, {score:.3f})"
    _scatter(axes, points, label, colour, marker, name)


def _scatter(
    axes: Any,
    points: Sequence[tuple[int, float, RecipeResult]],
    label: str,
    colour: str,
    marker: str,
    task: str | None = None,
) -> None:
    """Draw points with names, their intervals, and the line of the best at each size."""
    points = sorted(points, key=lambda point: (point[0], -point[1]))
    sizes, scores = [p[0] for p in points], [p[1] for p in points]
    axes.plot(sizes, scores, marker, color=colour, label=label)
    best, frontier = -np.inf, []
    for size, score, result in points:
        if task is not None:
            low, high = result.tasks[task]["ci95"]
            full = score - result.tasks[task]["delta"]
            axes.plot([size, size], [full + low, full + high], color=colour, linewidth=1, alpha=0.6)
        if score > best:
            best = score
            frontier.append((size, score))
            axes.annotate(
                result.recipe, (size, score), (4, 4), textcoords="offset points", fontsize=7
            )
    axes.plot(*zip(*frontier, strict=True), color=colour, linewidth=1)


def _figure(width: float, height: float) -> tuple[Any, Any]:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingPackageError(
            "report: plots need matplotlib; install it with `pip install geoembz[all]`"
        ) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    return figure, axes


def _svg(figure: Any) -> str:
    """Return a figure as an ``<svg>`` element, its text as text, the same for the same numbers."""
    import matplotlib as mpl

    buffer = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "geoembz"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]
