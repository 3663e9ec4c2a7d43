"""One self-contained HTML page about an evaluation, and its numbers as JSON beside it."""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Any

from geoembz.assess.errormap import error_map
from geoembz.assess.figures import class_plot, error_map_png, pareto_plot, spectrum_plot
from geoembz.assess.result import Evaluation, worst_class
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source, open_source
from geoembz.store import StoreReader


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
        If matplotlib is missing.

    Examples
    --------
    >>> from geoembz.assess.run import evaluate_sample
    >>> vectors = np.random.default_rng(0).normal(size=(200, 16)).astype("float32")
    >>> evaluation = evaluate_sample(geoembz.assess.Sample(vectors), ["int8", "pca4-int8"])
    >>> write_report(evaluation, tmp_path / "report").name
    'report.html'
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InvalidConfigError(f"{directory}: is a file; expected a directory for the report")
    directory.mkdir(parents=True, exist_ok=True)
    template = Template(files("geoembz.assess").joinpath("report.html").read_text("utf-8"))
    page = directory / "report.html"
    page.write_text(template.substitute(_parts(evaluation, store, source)), encoding="utf-8")
    numbers = json.dumps(evaluation.to_json(), indent=2)
    (directory / "report.json").write_text(numbers + "\n", encoding="utf-8")
    return page


def _parts(
    evaluation: Evaluation, store: str | None, source: str | Path | Source | None
) -> dict[str, str]:
    split = evaluation.split
    groups = f" in {split['n_groups']:,} groups or blocks" if split["n_groups"] else ""
    folds = f", {split['folds']}-fold cross-validation" if split["folds"] > 1 else ""
    return {
        "title": escape(f"Evaluation of {Path(evaluation.name).name}"),
        "software": escape(evaluation.software),
        "summary": escape(
            f"{evaluation.n_rows:,} vectors of {evaluation.dimension} numbers "
            f"({evaluation.baseline['bytes']:,} bytes). {split['kind'].capitalize()} split{folds}: "
            f"{split['n_train']:,} training and {split['n_test']:,} test rows{groups}. Whatever "
            f"is fitted here is fitted on training rows. Seed {evaluation.seed}."
        ),
        "table": _table(evaluation),
        "pareto": pareto_plot(evaluation),
        "spectrum": spectrum_plot(evaluation.baseline["fidelity"]["spectrum"]),
        "balance": _balance(evaluation),
        "classes": _classes(evaluation),
        "fidelity": _fidelity(evaluation),
        "map": _map(store, source),
        "notes": _notes(evaluation),
    }


def _table(evaluation: Evaluation) -> str:
    """Return one row per task and recipe: score, change with its interval, and what that means."""
    header = ["recipe", "bytes", "ratio", "task", "score", "change", "95 % interval", "verdict"]
    header += ["McNemar p", "worst class"]
    full = evaluation.baseline["bytes"]
    rows = [
        ["uncompressed", f"{full:,}", "1", name, _score(evaluation, scores, name)] + [""] * 5
        for name, scores in evaluation.baseline["tasks"].items()
    ]
    for result in evaluation.recipes:
        size = [result.recipe, f"{result.bytes:,}", f"{full / result.bytes:.0f}"]
        for name, task in result.tasks.items():
            rows.append([*size, name, _score(evaluation, task, name), *_change_cells(task)])
    if rows:
        return html_table(header, rows)
    return "<p>There are no labels: see the fidelity below.</p>"


def _score(evaluation: Evaluation, task: Mapping[str, Any], name: str) -> str:
    metric = evaluation.metrics.get(name)
    return "" if metric is None else f"{metric} {task[metric]:.4f}"


def _change_cells(task: Mapping[str, Any]) -> list[str]:
    low, high = task["ci95"]
    p = task.get("mcnemar_p")
    return [
        f"{task['delta']:+.4f}",
        f"{low:+.4f} to {high:+.4f}",
        task["verdict"],
        "" if p is None else f"{p:.3g}" + ("*" if task["warning"] else ""),
        worst_class(task).removeprefix("worst class ") if "worst_class" in task else "",
    ]


def _fidelity(evaluation: Evaluation) -> str:
    header = ["recipe", "cosine mean", "p5", "min", "centred cosine", "RMSE", "recall@1", "@10"]
    header += ["@100", "Spearman", "clipped"]
    rows = [[result.recipe, *_fidelity_cells(result.fidelity)] for result in evaluation.recipes]
    return html_table(header, rows)


def _fidelity_cells(fidelity: Any) -> list[str]:
    cosine, recall = fidelity["cosine"], fidelity.get("recall", {})
    clipped = fidelity["clipped_share"]
    return [
        *(f"{cosine[key]:.4f}" for key in ("mean", "p5", "min")),
        f"{fidelity['cosine_centred']['mean']:.4f}",
        f"{fidelity['rmse']['mean']:.4g}",
        *(f"{recall[k]:.4f}" if k in recall else "" for k in ("1", "10", "100")),
        f"{fidelity['spearman']:.4f}" if "spearman" in fidelity else "",
        "" if clipped is None else f"{clipped:.3%}",
    ]


def _balance(evaluation: Evaluation) -> str:
    balance = evaluation.baseline["fidelity"]["binary_balance"]
    return escape(
        f"Cut at their means, the {evaluation.dimension} dimensions have an average imbalance of "
        f"{balance['imbalance']:.3f} (0 balanced, 0.5 constant) and "
        f"{balance['entropy_bits']:.3f} bits of entropy each."
    )


def _classes(evaluation: Evaluation) -> str:
    """Draw one plot per recipe, of its first task that has classes."""
    parts = []
    for result in evaluation.recipes:
        name = next((n for n, task in result.tasks.items() if "worst_class" in task), None)
        if name is not None:
            task = result.tasks[name]
            caption = f"{result.recipe}, {name}: {worst_class(task)}"
            parts.append(_captioned(class_plot(result, name), caption))
    return "<h2>Loss per class</h2>" + "".join(parts) if parts else ""


def _map(store: str | None, source: str | Path | Source | None) -> str:
    if store is None or source is None:
        return ""
    opened = open_source(source) if isinstance(source, str | Path) else source
    image = error_map_png(error_map(opened, StoreReader.open(store)))
    picture = f'<img src="{image}" alt="Map of the error of each pixel">'
    caption = "1 − cosine between decoded and original vectors, brighter is worse; grey: no data"
    return "<h2>Error map</h2>" + _captioned(picture, caption)


def _notes(evaluation: Evaluation) -> str:
    tasks = [task for result in evaluation.recipes for task in result.tasks.values()]
    lines = [f"* {task['warning']}" for task in tasks if task.get("warning")]
    lines += [f"Left out: {count:,} {why}" for why, count in evaluation.exclusions.items()]
    lines += evaluation.messages
    items = "".join(f"<li>{escape(line)}</li>" for line in dict.fromkeys(lines))
    return f"<h2>Notes</h2><ul>{items}</ul>" if items else ""


def html_table(header: list[str], rows: list[list[str]]) -> str:
    """Return a table; the first column holds row headers."""
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _captioned(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"
