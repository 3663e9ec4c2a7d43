"""One self-contained HTML page about an evaluation, and its numbers as JSON beside it."""

import json
from collections.abc import Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from geoembz._evaluate.evaluation import Evaluation, RecipeResult, worst_class
from geoembz._evaluate.pixels import error_map
from geoembz._evaluate.plots import (
    class_plot,
    error_map_png,
    pareto_plot,
    require_packages,
    spectrum_plot,
)
from geoembz._util.output import output_faults, output_file
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source, open_source
from geoembz.sources.wrappers import reorder_bands
from geoembz.store import StoreReader

MOST_PANELS = 12
"""Recipes whose losses per class are drawn."""

_MCNEMAR = "mcnemar"
"""Anchor of the one note that a cell refers to."""

_DARK_COLOURS = {
    "#ffffff": "ground",
    "#333333": "ink",
    "#555555": "soft",
    "#888888": "rule",
    "#b0b0b0": "rule",
    "#0072b2": "blue",
    "#d55e00": "orange",
}
"""Which of the page's colours stands for one of the plots' on a dark ground; others stay."""

_SIGNS = {"no difference found": "≈", "loss": "▼", "gain": "▲"}


def write_report(
    evaluation: Evaluation,
    directory: str | Path,
    *,
    store: str | None = None,
    source: str | Path | Source | None = None,
) -> Path:
    """Write ``report.html`` and ``report.json``.

    The page needs no network: plots are in it, and it asks for nothing.

    Parameters
    ----------
    evaluation
        What to report.
    directory
        Where to write; created where absent.
    store, source
        A store and its source, for a map of the errors.

    Returns
    -------
    page
        Path of the HTML file.

    Raises
    ------
    InvalidConfigError
        If the directory is a file.
    MissingPackageError
        If matplotlib or Jinja is missing.

    Examples
    --------
    >>> vectors = np.random.default_rng(0).normal(size=(200, 16)).astype("float32")
    >>> sample = geoembz._evaluate.Sample(vectors)
    >>> evaluation = geoembz.evaluate(table=sample, recipes=["int8", "pca4-int8"])
    >>> write_report(evaluation, tmp_path / "report").name
    'report.html'
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InvalidConfigError(f"{directory}: is a file; expected a directory for the report")
    with output_faults(directory):
        directory.mkdir(parents=True, exist_ok=True)
    template = files("geoembz._evaluate").joinpath("report.html").read_text("utf-8")
    require_packages()
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined)
    text = environment.from_string(template).render(_parts(evaluation, store, source))
    numbers = json.dumps(evaluation.to_json(), indent=2)
    page = directory / "report.html"
    with output_file(page) as partial:
        partial.write_text(text, encoding="utf-8")
    with output_file(directory / "report.json") as partial:
        partial.write_text(numbers + "\n", encoding="utf-8")
    return page


def _parts(
    evaluation: Evaluation, store: str | None, source: str | Path | Source | None
) -> dict[str, Any]:
    """Return what the template names."""
    split = evaluation.split
    groups = f" in {split['n_groups']:,} groups or blocks" if split["n_groups"] else ""
    folds = f", {split['folds']}-fold cross-validation" if split["folds"] > 1 else ""
    known = evaluation.baseline["fidelity"]
    return {
        "evaluation": evaluation,
        "title": f"Evaluation of {Path(evaluation.name).name}",
        "setting": (
            f"{evaluation.n_rows:,} vectors of {evaluation.dimension} numbers "
            f"({evaluation.baseline['bytes']:,} bytes). {split['kind'].capitalize()} split{folds}: "
            f"{split['n_train']:,} training and {split['n_test']:,} test rows{groups}. Whatever "
            f"is fitted here is fitted on training rows. Seed {evaluation.seed}."
        ),
        "verdicts": [
            _verdict(result, evaluation.baseline["bytes"])
            for result in evaluation.recipes
            if result.tasks
        ],
        "costs": _costs(evaluation),
        "details": _details(evaluation),
        "pareto": pareto_plot(evaluation),
        "classes": _class_losses(evaluation),
        "spectrum": spectrum_plot(known["spectrum"]),
        "balance": known["binary_balance"],
        "fidelity": _fidelity(evaluation),
        "error_map": _error_map(store, source),
        "notes": _notes(evaluation),
        "mcnemar": _MCNEMAR,
        "dark_colours": _DARK_COLOURS,
    }


def _verdict(result: RecipeResult, full: int) -> dict[str, str]:
    """Say in one sentence what a recipe costs."""
    lost = [name for name, task in result.tasks.items() if task["verdict"] == "loss"]
    what = "no difference found in " + _enumerate(list(result.tasks))
    if lost:
        points = [f"{100 * result.tasks[name]['delta']:+.1f} points" for name in lost]
        named = [f"{name} ({change})" for name, change in zip(lost, points, strict=True)]
        what = "loses in " + _enumerate([_with_minus(text) for text in named])
        if kept := [name for name in result.tasks if name not in lost]:
            what += "; no loss found in " + _enumerate(kept)
    unit = "byte" if result.bytes == 1 else "bytes"
    size = f"{result.bytes:,} {unit}, {full / result.bytes:,.0f}× smaller"
    kind = "loss" if lost else "same"
    return {"kind": kind, "recipe": result.recipe, "text": f"({size}): {what}."}


def _costs(evaluation: Evaluation) -> dict[str, Any]:
    """Return one row per recipe: its size, and its score in each task."""
    metrics, full = evaluation.metrics, evaluation.baseline["bytes"]
    scores = evaluation.baseline["tasks"]
    first = [f"{scores[n][m]:.4f}" if n in scores else "" for n, m in metrics.items()]
    rows: list[list[Any]] = [["uncompressed", f"{full:,}", "", *first]]
    for result in evaluation.recipes:
        cells = [_score_cell(result.tasks.get(name), metric) for name, metric in metrics.items()]
        rows.append(
            [result.recipe, f"{result.bytes:,}", f"{full / result.bytes:,.0f}×", *cells],
        )
    return {"header": ["recipe", "bytes", "smaller", *map(" ".join, metrics.items())], "rows": rows}


def _score_cell(task: Mapping[str, Any] | None, metric: str) -> str | dict[str, str]:
    """Return a score, and below it what was lost."""
    if task is None:
        return ""
    low, high = (100 * end for end in task["ci95"])
    verdict = task["verdict"]
    change = f"{_SIGNS[verdict]} {100 * task['delta']:+.2f} ({low:+.2f} to {high:+.2f})"
    kind = verdict if verdict in {"loss", "gain"} else ""
    return {"kind": kind, "score": f"{task[metric]:.4f}", "change": _with_minus(change)}


def _details(evaluation: Evaluation) -> dict[str, Any]:
    """Return the figures of every recipe and task: statistics, macro-F1, worst class."""
    header = ["recipe", "task", "score", "change", "95 % interval", "verdict", "McNemar p"]
    rows = [
        [result.recipe, name, f"{task[evaluation.metrics[name]]:.4f}", *_detail_cells(task)]
        for result in evaluation.recipes
        for name, task in result.tasks.items()
    ]
    return {"header": [*header, "macro-F1", "worst class"], "rows": rows}


def _detail_cells(task: Mapping[str, Any]) -> list[str | dict[str, str]]:
    low, high = task["ci95"]
    macro_f1 = task.get("macro_f1")
    return [
        f"{task['delta']:+.4f}",
        f"{low:+.4f} to {high:+.4f}",
        task["verdict"],
        _p_cell(task),
        "" if macro_f1 is None else f"{macro_f1:.4f} ({task['macro_f1_delta']:+.4f})",
        worst_class(task).removeprefix("worst class ") if "worst_class" in task else "",
    ]


def _p_cell(task: Mapping[str, Any]) -> str | dict[str, str]:
    """Return McNemar's p, with a star that leads to the note where it is not to be trusted."""
    if task.get("mcnemar_p") is None:
        return ""
    shown = f"{task['mcnemar_p']:.3g}"
    return {"kind": "", "score": shown, "note": _MCNEMAR} if task["warning"] else shown


def _class_losses(evaluation: Evaluation) -> dict[str, str] | None:
    """Draw what classes lost by the first task that has classes, one panel per recipe."""
    for name in evaluation.metrics:
        tasks = {r.recipe: r.tasks[name] for r in evaluation.recipes if name in r.tasks}
        kind = "iou_drop" if name == "segmentation" else "f1_drop"
        if not tasks or any(kind not in task for task in tasks.values()):
            continue
        drops = {recipe: task[kind] for recipe, task in list(tasks.items())[:MOST_PANELS]}
        worst = "; ".join(f"{recipe}: {worst_class(task)}" for recipe, task in tasks.items())
        left_out = f" Not drawn: {len(tasks) - len(drops)} more." if len(tasks) > len(drops) else ""
        caption = f"By {name}; classes in the order of their mean loss. {worst}.{left_out}"
        return {"plot": class_plot(drops, kind[:-5].upper()), "caption": caption}
    return None


def _fidelity(evaluation: Evaluation) -> dict[str, Any]:
    """Return what is measured without labels."""
    header = ["recipe", "cosine mean", "p5", "min", "centred cosine", "RMSE", "p95", "max"]
    header += ["recall@1", "@10", "@100", "Spearman", "clipped"]
    rows = []
    for result in evaluation.recipes:
        measured = result.fidelity
        cosine, rmse, recall = measured["cosine"], measured["rmse"], measured.get("recall", {})
        clipped = measured["clipped_share"]
        rows.append(
            [
                result.recipe,
                *(f"{cosine[key]:.4f}" for key in ("mean", "p5", "min")),
                f"{measured['cosine_centred']['mean']:.4f}",
                *(f"{rmse[key]:.3g}" for key in ("mean", "p95", "max")),
                *(f"{recall[k]:.3f}" if k in recall else "" for k in ("1", "10", "100")),
                f"{measured['spearman']:.4f}" if "spearman" in measured else "",
                "" if clipped is None else f"{clipped:.3%}",
            ]
        )
    return {"header": header, "rows": rows}


def _error_map(store: str | None, source: str | Path | Source | None) -> str | None:
    """Draw where a store lost most, if there is a store."""
    if store is None or source is None:
        return None
    opened = open_source(source) if isinstance(source, str | Path) else source
    reader = StoreReader.open(store)
    ordered = reorder_bands(opened, reader.attributes.band_names, store)
    return error_map_png(error_map(ordered, reader))


def _notes(evaluation: Evaluation) -> list[str]:
    tasks = [task for result in evaluation.recipes for task in result.tasks.values()]
    lines = [f"* {task['warning']}" for task in tasks if task.get("warning")]
    lines += [f"Left out: {count:,} {why}" for why, count in evaluation.exclusions.items()]
    return list(dict.fromkeys([*lines, *evaluation.messages]))


def _with_minus(text: str) -> str:
    """Write numbers with the sign for minus."""
    return text.replace("-", "−")


def _enumerate(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]
