"""The tables and sentences of a report, as HTML."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

from geoembz._evaluate.result import Evaluation, RecipeResult, worst_class

_SIGNS = {"no difference found": "≈", "loss": "▼", "gain": "▲"}


def verdicts(evaluation: Evaluation) -> str:
    """Say in one sentence per recipe what it costs; nothing without tasks."""
    full = evaluation.baseline["bytes"]
    items = []
    for result in evaluation.recipes:
        if not result.tasks:
            continue
        lost = [name for name, task in result.tasks.items() if task["verdict"] == "loss"]
        what = "no difference found in " + _listed(list(result.tasks))
        if lost:
            what = "loses in " + _listed([f"{n} ({_change(result.tasks[n])})" for n in lost])
            if kept := [name for name in result.tasks if name not in lost]:
                what += "; no loss found in " + _listed(kept)
        unit = "byte" if result.bytes == 1 else "bytes"
        size = f"{result.bytes:,} {unit}, {full / result.bytes:,.0f}× smaller"
        kind = "loss" if lost else "same"
        items.append(
            f'<li class="{kind}"><strong>{escape(result.recipe)}</strong> ({size}): '
            f"{escape(what)}.</li>"
        )
    return f'<ul class="verdicts">{"".join(items)}</ul>' if items else ""


def costs(evaluation: Evaluation) -> str:
    """Return one row per recipe, and all figures of each task to unfold."""
    if not evaluation.metrics:
        return "<p>There are no labels: see the fidelity below.</p>"
    names = list(evaluation.metrics)
    header = ["recipe", "bytes", "smaller", *(f"{n} {evaluation.metrics[n]}" for n in names)]
    full = evaluation.baseline["bytes"]
    first = [("", f"{full:,}"), ("", "")]
    for name in names:
        scores = evaluation.baseline["tasks"].get(name)
        first.append(("", "" if scores is None else f"{scores[evaluation.metrics[name]]:.4f}"))
    rows = [_row("uncompressed", first)]
    for result in evaluation.recipes:
        cells = [("", f"{result.bytes:,}"), ("", f"{full / result.bytes:,.0f}×")]
        cells += [_score_cell(result, name, evaluation.metrics[name]) for name in names]
        rows.append(_row(result.recipe, cells))
    key = (
        '<p class="note">Under each score: its change against the uncompressed vectors and the '
        "95 % interval of that change. ≈ no difference found, ▼ loss, ▲ gain.</p>"
    )
    return _table(header, rows) + key + _details(evaluation)


def fidelity(evaluation: Evaluation) -> str:
    """Return what is measured without labels."""
    header = ["recipe", "cosine mean", "p5", "min", "centred cosine", "RMSE", "p95", "max"]
    header += ["recall@1", "@10", "@100", "Spearman", "clipped"]
    return html_table(
        header, [[r.recipe, *_fidelity_cells(r.fidelity)] for r in evaluation.recipes]
    )


def html_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table; the first column holds row headers."""
    return _table(header, [_row(row[0], [("", escape(cell)) for cell in row[1:]]) for row in rows])


def _details(evaluation: Evaluation) -> str:
    """Return the figures of every recipe and task: statistics, macro-F1, worst class."""
    header = ["recipe", "task", "score", "change", "95 % interval", "verdict", "McNemar p"]
    header += ["macro-F1", "worst class"]
    rows = [
        [result.recipe, name, f"{task[evaluation.metrics[name]]:.4f}", *_detail_cells(task)]
        for result in evaluation.recipes
        for name, task in result.tasks.items()
    ]
    return f"<details><summary>Every figure</summary>{html_table(header, rows)}</details>"


def _detail_cells(task: Mapping[str, Any]) -> list[str]:
    low, high = task["ci95"]
    p, macro_f1 = task.get("mcnemar_p"), task.get("macro_f1")
    return [
        f"{task['delta']:+.4f}",
        f"{low:+.4f} to {high:+.4f}",
        task["verdict"],
        "" if p is None else f"{p:.3g}" + ("*" if task["warning"] else ""),
        "" if macro_f1 is None else f"{macro_f1:.4f} ({task['macro_f1_delta']:+.4f})",
        worst_class(task).removeprefix("worst class ") if "worst_class" in task else "",
    ]


def _score_cell(result: RecipeResult, name: str, metric: str) -> tuple[str, str]:
    """Return class and content of a cell: the score, and below it what was lost."""
    if name not in result.tasks:
        return "", ""
    task = result.tasks[name]
    low, high = task["ci95"]
    kind = task["verdict"] if task["verdict"] in {"loss", "gain"} else ""
    change = f"{_SIGNS[task['verdict']]} {100 * task['delta']:+.2f}"
    interval = f"({100 * low:+.2f} to {100 * high:+.2f})"
    below = f"{change} {interval}".replace("-", "−")
    return kind, f"{task[metric]:.4f}<small>{below}</small>"


def _fidelity_cells(measured: Mapping[str, Any]) -> list[str]:
    cosine, rmse, recall = measured["cosine"], measured["rmse"], measured.get("recall", {})
    clipped = measured["clipped_share"]
    return [
        *(f"{cosine[key]:.4f}" for key in ("mean", "p5", "min")),
        f"{measured['cosine_centred']['mean']:.4f}",
        *(f"{rmse[key]:.3g}" for key in ("mean", "p95", "max")),
        *(f"{recall[k]:.3f}" if k in recall else "" for k in ("1", "10", "100")),
        f"{measured['spearman']:.4f}" if "spearman" in measured else "",
        "" if clipped is None else f"{clipped:.3%}",
    ]


def _change(task: Mapping[str, Any]) -> str:
    return f"{100 * task['delta']:+.1f} points".replace("-", "−")


def _listed(words: Sequence[str]) -> str:
    """Join words as a sentence does."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def _row(name: str, cells: Sequence[tuple[str, str]]) -> str:
    """Return a table row of cells: their class, and their content as HTML."""
    classes = (f' class="{kind}"' if kind else "" for kind, _ in cells)
    body = "".join(f"<td{kind}>{text}</td>" for kind, (_, text) in zip(classes, cells, strict=True))
    return f'<tr><th scope="row">{escape(name)}</th>{body}</tr>'


def _table(header: Sequence[str], rows: Sequence[str]) -> str:
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="wide">{table}</div>'
