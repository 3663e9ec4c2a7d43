"""One self-contained HTML page about an evaluation, and its numbers as JSON beside it."""

import json
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from geoembz._evaluate.errormap import error_map
from geoembz._evaluate.figures import class_plot, error_map_png, spectrum_plot
from geoembz._evaluate.pareto import pareto_plot
from geoembz._evaluate.report_tables import costs, fidelity, verdicts
from geoembz._evaluate.result import Evaluation, worst_class
from geoembz._util.output import output_faults, output_file
from geoembz.errors import InvalidConfigError
from geoembz.sources import Source, open_source
from geoembz.sources.wrappers import reorder_bands
from geoembz.store import StoreReader

INTERVALS = "Bars are 95 % intervals of the difference from the uncompressed vectors."
MOST_PANELS = 12
"""Recipes whose losses per class are drawn."""


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
    >>> from geoembz._evaluate.run import evaluate_sample
    >>> vectors = np.random.default_rng(0).normal(size=(200, 16)).astype("float32")
    >>> evaluation = evaluate_sample(geoembz._evaluate.Sample(vectors), ["int8", "pca4-int8"])
    >>> write_report(evaluation, tmp_path / "report").name
    'report.html'
    """
    directory = Path(directory)
    if directory.exists() and not directory.is_dir():
        raise InvalidConfigError(f"{directory}: is a file; expected a directory for the report")
    with output_faults(directory):
        directory.mkdir(parents=True, exist_ok=True)
    template = Template(files("geoembz._evaluate").joinpath("report.html").read_text("utf-8"))
    page = directory / "report.html"
    text = template.substitute(_parts(evaluation, store, source))
    numbers = json.dumps(evaluation.to_json(), indent=2)
    with output_file(page) as partial:
        partial.write_text(text, encoding="utf-8")
    with output_file(directory / "report.json") as partial:
        partial.write_text(numbers + "\n", encoding="utf-8")
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
        "verdicts": verdicts(evaluation),
        "table": costs(evaluation),
        "pareto": pareto_plot(evaluation),
        "bars": INTERVALS if evaluation.metrics else "",
        "spectrum": spectrum_plot(evaluation.baseline["fidelity"]["spectrum"]),
        "balance": _balance(evaluation),
        "classes": _classes(evaluation),
        "fidelity": fidelity(evaluation),
        "map": _map(store, source),
        "notes": _notes(evaluation),
    }


def _balance(evaluation: Evaluation) -> str:
    balance = evaluation.baseline["fidelity"]["binary_balance"]
    return escape(
        f"Cut at their means, the {evaluation.dimension} dimensions have an average imbalance of "
        f"{balance['imbalance']:.3f} (0 balanced, 0.5 constant) and "
        f"{balance['entropy_bits']:.3f} bits of entropy each."
    )


def _classes(evaluation: Evaluation) -> str:
    """Draw what classes lost by the first task that has classes, one panel per recipe."""
    for name in evaluation.metrics:
        tasks = {r.recipe: r.tasks[name] for r in evaluation.recipes if name in r.tasks}
        kind = "iou_drop" if name == "segmentation" else "f1_drop"
        if not tasks or any(kind not in task for task in tasks.values()):
            continue
        drops = {recipe: task[kind] for recipe, task in tasks.items()}
        worst = "; ".join(f"{recipe}: {worst_class(task)}" for recipe, task in tasks.items())
        most = list(dict.fromkeys(tasks))[:MOST_PANELS]
        plot = class_plot({recipe: drops[recipe] for recipe in most}, kind[:-5].upper())
        left_out = f" Not drawn: {len(tasks) - len(most)} more." if len(tasks) > len(most) else ""
        caption = f"By {name}; classes in the order of their mean loss. {worst}.{left_out}"
        return "<h2>Loss per class</h2>" + _captioned(plot, caption)
    return ""


def _map(store: str | None, source: str | Path | Source | None) -> str:
    if store is None or source is None:
        return ""
    opened = open_source(source) if isinstance(source, str | Path) else source
    reader = StoreReader.open(store)
    ordered = reorder_bands(opened, reader.attributes.band_names, store)
    image = error_map_png(error_map(ordered, reader))
    picture = f'<img src="{image}" alt="Map of the error of each pixel">'
    caption = "1 − cosine between decoded and original vectors, brighter is worse; grey: no data."
    return "<h2>Error map</h2>" + _captioned(picture, caption)


def _notes(evaluation: Evaluation) -> str:
    tasks = [task for result in evaluation.recipes for task in result.tasks.values()]
    lines = [f"* {task['warning']}" for task in tasks if task.get("warning")]
    lines += [f"Left out: {count:,} {why}" for why, count in evaluation.exclusions.items()]
    lines += evaluation.messages
    items = "".join(f"<li>{escape(line)}</li>" for line in dict.fromkeys(lines))
    return f"<h2>Notes</h2><ul>{items}</ul>" if items else ""


def _captioned(content: str, caption: str) -> str:
    return f"<figure>{content}<figcaption>{escape(caption)}</figcaption></figure>"
