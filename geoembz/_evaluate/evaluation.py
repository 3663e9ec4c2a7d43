"""What an evaluation found: JSON for machines, a table for people, a summary in the store."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from geoembz._objects.tree import ObjectTree
from geoembz._text import aligned, printable
from geoembz._util import html
from geoembz._util.results import Result
from geoembz.errors import StoreError
from geoembz.store.digests import ROOT, read_seal, root_content
from geoembz.store.grids import grid_names, write_root


@dataclass(frozen=True)
class RecipeResult:
    """What one recipe costs and loses.

    Parameters
    ----------
    recipe
        Name of the recipe.
    bytes
        Nominal size of one vector.
    tasks
        Scores and comparison with the uncompressed vectors, by task.
    fidelity
        What is measured without labels.
    """

    recipe: str
    bytes: int
    tasks: Mapping[str, Mapping[str, Any]]
    fidelity: Mapping[str, Any]


@dataclass(frozen=True)
class Evaluation(Result):
    """An evaluation of recipes against uncompressed vectors.

    Parameters
    ----------
    name
        What was evaluated.
    software
        What evaluated it.
    dimension
        Length of an uncompressed vector.
    n_rows
        Rows evaluated.
    seed
        Seed of every random choice.
    split
        How rows were divided: ``{"kind", "folds", "n_train", "n_test", "n_groups"}``.
    exclusions
        Rows left out, by reason.
    messages
        What a user should know about all this.
    metrics
        The score that decides each task, by task.
    baseline
        ``{"bytes", "tasks", "fidelity"}`` of the uncompressed vectors.
    recipes
        One result per recipe, in the order asked for.
    """

    name: str
    software: str
    dimension: int
    n_rows: int
    seed: int
    split: Mapping[str, Any]
    exclusions: Mapping[str, int]
    messages: tuple[str, ...]
    metrics: Mapping[str, str]
    baseline: Mapping[str, Any]
    recipes: tuple[RecipeResult, ...]

    def to_table(self) -> str:
        """Return the evaluation as text: a table of scores, then the judgement of each recipe."""
        parts = [self._heading(), aligned(self._rows())]
        judged = [
            (f"  {result.recipe}", name, self._judgement(task))
            for result in self.recipes
            for name, task in result.tasks.items()
        ]
        if judged:
            parts.append("Against the uncompressed vectors:\n" + aligned(judged))
        else:
            parts += ["Fidelity of the test rows:\n" + aligned(self._fidelity()), self._spectrum()]
        return "\n\n".join([*parts, *self._notes()])

    def _views(self) -> Iterable[str]:
        """Yield the text, and the plots of a report where matplotlib is installed."""
        yield from super()._views()
        if find_spec("matplotlib") is not None:
            from geoembz._evaluate.plots import pareto_plot, spectrum_plot

            yield html.picture(pareto_plot(self))
            yield html.picture(spectrum_plot(self.baseline["fidelity"]["spectrum"]))

    def _heading(self) -> str:
        split = self.split
        groups = "" if split["n_groups"] is None else f" in {split['n_groups']:,} groups or blocks"
        return (
            f"{printable(self.name)}: {self.n_rows:,} vectors of {self.dimension} numbers; "
            f"{split['kind']} split, {split['n_train']:,} training and {split['n_test']:,} test "
            f"rows{groups}"
        )

    def _rows(self) -> list[tuple[str, ...]]:
        metrics = self.metrics.items()
        titles = [f"{name} {metric}" for name, metric in metrics]
        full = [_cell(self.baseline["tasks"].get(name, {}).get(m)) for name, m in metrics]
        rows: list[tuple[str, ...]] = [
            ("recipe", "bytes", *titles, "cosine", "recall@10", "Spearman"),
            ("uncompressed", f"{self.baseline['bytes']:,}", *full, "", "", ""),
        ]
        for result in self.recipes:
            measured = result.fidelity
            recall, rank = measured.get("recall", {}).get("10"), measured.get("spearman")
            scores = [_cell(result.tasks.get(name, {}).get(metric)) for name, metric in metrics]
            kept = (_cell(measured["cosine"]["mean"]), _cell(recall), _cell(rank))
            rows.append((result.recipe, f"{result.bytes:,}", *scores, *kept))
        return rows

    def _judgement(self, task: Mapping[str, Any]) -> str:
        text = str(task["text"])
        if (p := task.get("mcnemar_p")) is not None:
            text += f"; McNemar p = {p:.3g}" + (" (see warning)" if task["warning"] else "")
        if "worst_class" in task:
            text += f"; {worst_class(task)}"
        return text

    def _fidelity(self) -> list[tuple[str, ...]]:
        """Return what is measured without labels, in full."""
        header = ("  recipe", "cosine p5", "min", "centred", "RMSE", "p5", "min", "p95", "max")
        rows: list[tuple[str, ...]] = [(*header, "recall@1", "@100", "clipped")]
        for result in self.recipes:
            measured = result.fidelity
            cosine, rmse, recall = (measured.get(k, {}) for k in ("cosine", "rmse", "recall"))
            clipped = measured["clipped_share"]
            cells = [cosine["p5"], cosine["min"], measured["cosine_centred"]["mean"]]
            cells += [rmse[key] for key in ("mean", "p5", "min", "p95", "max")]
            cells += [recall.get("1"), recall.get("100")]
            shares = "" if clipped is None else f"{clipped:.3%}"
            rows.append((f"  {result.recipe}", *map(_cell, cells), shares))
        return rows

    def _spectrum(self) -> str:
        """Say how many components hold the variance, and how balanced bits would be."""
        known = self.baseline["fidelity"]
        shares = ", ".join(f"{share:.1%} in {k}" for k, share in known["spectrum"].items())
        balance = known["binary_balance"]
        return (
            f"Variance by principal components: {shares}.\nBits cut at the means: imbalance "
            f"{balance['imbalance']:.3f} (0 balanced, 0.5 constant), {balance['entropy_bits']:.3f} "
            "bits of entropy, on average over the dimensions."
        )

    def _notes(self) -> list[str]:
        tasks = [task for result in self.recipes for task in result.tasks.values()]
        warnings = list(dict.fromkeys(str(t["warning"]) for t in tasks if t.get("warning")))
        left_out = [f"left out: {count:,} {why}" for why, count in self.exclusions.items()]
        lines = [f"warning: {text}" for text in warnings] + left_out + list(self.messages)
        return ["\n".join(map(printable, lines))] if lines else []


def worst_class(task: Mapping[str, Any]) -> str:
    """Name the class that lost most, if one did."""
    if task["worst_drop"] <= 0:
        return "no class lost"
    return f"worst class {task['worst_class']} ({-task['worst_drop']:+.3f})"


def _cell(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


_KEPT = ("delta", "ci95", "mcnemar_p", "verdict", "n_test", "n_groups", "worst_class", "worst_drop")


def summarise(evaluation: Evaluation) -> dict[str, Any]:
    """Return what a store keeps of an evaluation: scores and judgements, no per-class tables."""
    result = evaluation.recipes[0]
    tasks = {}
    for name, task in result.tasks.items():
        metric = evaluation.metrics[name]
        baseline = evaluation.baseline["tasks"].get(name, {}).get(metric)
        kept = {key: task[key] for key in _KEPT if task.get(key) is not None}
        tasks[name] = {metric: task[metric], "baseline": baseline, **kept}
    measured = ("cosine", "cosine_centred", "rmse", "recall", "spearman")
    return {
        "recipe": result.recipe,
        "software": evaluation.software,
        "seed": evaluation.seed,
        "n_rows": evaluation.n_rows,
        "split": dict(evaluation.split),
        "tasks": tasks,
        "fidelity": {key: result.fidelity[key] for key in measured if key in result.fidelity},
    }


def record_in_store(evaluation: Evaluation, store: str) -> list[str]:
    """Write the summary into a local store's attributes; return what to tell the user.

    `geoembz:report` holds the summary, `geoemb:benchmark` its URN (spec/format.md, "Attributes").
    Stores elsewhere are left as they are: publishing is another command.

    Raises
    ------
    StoreError
        If the store's metadata cannot be written.
    """
    tree = ObjectTree(store)
    if not tree.is_local:
        return [f"{store}: not a local store; the summary was not recorded in it"]
    document = tree.read_json(ROOT)
    found = summarise(evaluation)
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    document["attributes"]["geoembz:report"] = found
    document["attributes"]["geoemb:benchmark"] = [f"urn:geoembz:report:sha256:{digest}"]
    try:
        tree.write(ROOT, root_content(document, read_seal(document)))
    except OSError as error:
        raise StoreError(
            f"{store}: the summary cannot be recorded ({error.strerror}); pass --no-record"
        ) from error
    _repeat_in_root(tree)
    return ["recorded in the store: geoembz:report"]


def _repeat_in_root(grid: ObjectTree) -> None:
    """Write the root that holds a grid anew: it repeats the grid's metadata, and their digest."""
    path = grid.local_path.resolve()
    root = ObjectTree(path.parent)
    document = root.read_json(ROOT)
    attributes = document.get("attributes", {}) if isinstance(document, dict) else {}
    names = grid_names(root.url, attributes)
    if path.name in names:
        write_root(root.url, names)
