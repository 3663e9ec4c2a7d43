"""Record an evaluation's summary in the store that it judged (spec/format.md, "Attributes")."""

import hashlib
import json
from typing import Any

from geoembz._evaluate.evaluation import Evaluation
from geoembz.errors import StoreError
from geoembz.store import ObjectTree, write_root
from geoembz.store.digests import ROOT, root_content, sealed_objects
from geoembz.store.grids import grid_names

_KEPT = ("delta", "ci95", "mcnemar_p", "verdict", "n_test", "n_groups", "worst_class", "worst_drop")


def summary(evaluation: Evaluation) -> dict[str, Any]:
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

    `geoembz:report` holds the summary and `geoemb:benchmark` its URN. Stores elsewhere are left
    as they are: publishing is another command.

    Raises
    ------
    StoreError
        If the store's metadata cannot be written.
    """
    tree = ObjectTree(store)
    if not tree.is_local:
        return [f"{store}: not a local store; the summary was not recorded in it"]
    document = tree.read_json(ROOT)
    found = summary(evaluation)
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    document["attributes"]["geoembz:report"] = found
    document["attributes"]["geoemb:benchmark"] = [f"urn:geoembz:report:sha256:{digest}"]
    try:
        tree.write(ROOT, root_content(document, sealed_objects(document)))
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
