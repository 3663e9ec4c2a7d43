"""Tasks that compressed vectors are put to, by name."""

from collections.abc import Sequence

from geoembz._evaluate.sample import Sample
from geoembz._evaluate.tasks.base import Answer, Problem, Task, Truth, joined
from geoembz._evaluate.tasks.classify import Hamming, Knn, Probe
from geoembz._evaluate.tasks.pixels import Change, Regression, Retrieval, Segmentation
from geoembz.errors import InvalidConfigError

__all__ = ["TASKS", "Answer", "Problem", "Task", "Truth", "choose_tasks", "joined"]

TASKS: dict[str, Task] = {
    task.name: task
    for task in (Knn(), Hamming(), Probe(), Regression(), Segmentation(), Change(), Retrieval())
}
"""All tasks, by name."""

_OF_CLASSES = ("knn", "hamming", "probe")


def choose_tasks(sample: Sample, names: Sequence[str] | None) -> tuple[Task, ...]:
    """Return the tasks asked for, or those that suit the labels.

    Raises
    ------
    InvalidConfigError
        If a name is unknown, or the sample has not what the task needs.
    """
    if names is None:
        return tuple(TASKS[name] for name in _usual(sample))
    if unknown := [name for name in names if name not in TASKS]:
        raise InvalidConfigError(f"tasks {', '.join(unknown)}; expected any of {', '.join(TASKS)}")
    if names and sample.labels is None:
        raise InvalidConfigError(
            f"tasks {', '.join(names)} need labels; give --labels, or leave --tasks out"
        )
    if "change" in names and sample.after is None:
        raise InvalidConfigError(
            "change: needs a second date; give --after SRC, or a table with embeddings_after"
        )
    if not sample.has_classes and (wrong := [name for name in names if name != "regression"]):
        raise InvalidConfigError(
            f"tasks {', '.join(wrong)} need classes, but the labels are quantities; use "
            "--tasks regression"
        )
    if "hamming" in names and "knn" not in names:
        names = ["knn", *names]
    return tuple(TASKS[name] for name in dict.fromkeys(names))


def _usual(sample: Sample) -> tuple[str, ...]:
    if sample.labels is None:
        return ()
    if sample.after is not None:
        return ("change",)
    return _OF_CLASSES if sample.has_classes else ("regression",)
