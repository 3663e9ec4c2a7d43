"""The tasks that the seed article left untested: regression, segmentation, change, retrieval."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.change import change_distances, roc_auc
from geoembz._evaluate.metrics.neighbours import cosine_neighbours
from geoembz._evaluate.metrics.regression import fit_ridge, score_regression
from geoembz._evaluate.metrics.retrieval import score_retrieval
from geoembz._evaluate.metrics.segmentation import ConfusionMatrix
from geoembz._evaluate.tasks.base import (
    Answer,
    Problem,
    Truth,
    judged_mean,
    judged_statistic,
)
from geoembz._evaluate.tasks.classify import Probe
from geoembz._evaluate.views import Views
from geoembz.errors import InvalidConfigError

RETRIEVAL_DEPTHS = (1, 10, 100)


@dataclass(frozen=True)
class Regression:
    """Ridge regression of a quantity, its penalty tuned on training rows."""

    name: ClassVar[str] = "regression"
    metric: ClassVar[str] = "r2"
    baseline: ClassVar[str] = "regression"

    def applies(self, views: Views) -> bool:
        """Whether the task can be run on these views."""
        del views
        return True

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Tune and fit on training rows."""
        fold, vectors = problem.fold, views.reduced
        values = problem.train_labels.astype(np.float64)
        probe = fit_ridge(
            vectors[fold.train], values, groups=problem.train_groups, seed=problem.seed
        )
        return Answer(probe.predict(vectors[fold.test]), {"alpha": probe.alpha})

    def score(self, truth: Truth, answer: Answer) -> dict[str, Any]:
        """Return R² and RMSE."""
        scores = score_regression(truth.labels, answer.values)
        return {"r2": scores.r2, "rmse": scores.rmse, **answer.notes}

    def compare(self, truth: Truth, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare R² on the same rows."""
        values = truth.labels.astype(np.float64)

        def difference(rows: NDArray[np.int64]) -> float:
            after = score_regression(values[rows], answer.values[rows]).r2
            return after - score_regression(values[rows], baseline.values[rows]).r2

        scores = self.score(truth, answer)
        rmse_delta = scores["rmse"] - self.score(truth, baseline)["rmse"]
        judgement = judged_statistic(difference, len(values), truth)
        return {**scores, **judgement, "rmse_delta": rmse_delta}


@dataclass(frozen=True)
class Segmentation(Probe):
    """A per-pixel linear probe over whole windows: mean intersection over union."""

    name: ClassVar[str] = "segmentation"
    metric: ClassVar[str] = "miou"
    baseline: ClassVar[str] = "segmentation"

    def score(self, truth: Truth, answer: Answer) -> dict[str, Any]:
        """Return mIoU and IoU per class."""
        classes, (counts,) = _by_window(truth.labels, [answer], np.zeros(len(truth.labels)))
        total = ConfusionMatrix(tuple(range(len(classes))), counts[0])
        iou = {str(classes[code]): value for code, value in total.iou().items()}
        accuracy = float(np.mean(truth.labels == answer.values))
        return {"miou": total.mean_iou(), "iou": iou, "accuracy": accuracy, **answer.notes}

    def compare(self, truth: Truth, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare mIoU, resampling whole windows by their confusion matrices."""
        windows = np.arange(len(truth.labels)) if truth.groups is None else truth.groups
        _, (before, after) = _by_window(truth.labels, [baseline, answer], windows)

        def difference(chosen: NDArray[np.int64]) -> float:
            return _miou(after[chosen].sum(axis=0)) - _miou(before[chosen].sum(axis=0))

        judgement = judged_statistic(difference, len(after), Truth(truth.labels, None, truth.seed))
        judgement |= {"n_test": len(truth.labels), "n_groups": len(after)}
        scores, full = self.score(truth, answer), self.score(truth, baseline)
        drops = {name: full["iou"][name] - value for name, value in scores["iou"].items()}
        worst = max(drops, key=lambda name: drops[name])
        worst_class = {"worst_class": worst, "worst_drop": drops[worst]}
        return {**scores, **judgement, "iou_drop": drops, **worst_class}


@dataclass(frozen=True)
class Change:
    """Change between two dates by a threshold on cosine distance: area under the ROC curve."""

    name: ClassVar[str] = "change"
    metric: ClassVar[str] = "auc"
    baseline: ClassVar[str] = "change"

    def applies(self, views: Views) -> bool:
        """Whether the task can be run on these views."""
        return views.after is not None

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Measure how far each test row moved."""
        if views.after is None:
            raise InvalidConfigError(
                "change: needs a second date; give --after SRC, or a table with embeddings_after"
            )
        rows = problem.fold.test
        return Answer(change_distances(views.reduced[rows], views.after.reduced[rows]))

    def score(self, truth: Truth, answer: Answer) -> dict[str, Any]:
        """Return the area under the ROC curve."""
        return {"auc": roc_auc(_flags(truth.labels), answer.values), **answer.notes}

    def compare(self, truth: Truth, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare areas on the same rows."""
        flags = _flags(truth.labels)

        def difference(rows: NDArray[np.int64]) -> float:
            after = roc_auc(flags[rows], answer.values[rows])
            return after - roc_auc(flags[rows], baseline.values[rows])

        return {**self.score(truth, answer), **judged_statistic(difference, len(flags), truth)}


@dataclass(frozen=True)
class Retrieval:
    """Search all rows for those of the query's class; queries are the test rows."""

    name: ClassVar[str] = "retrieval"
    metric: ClassVar[str] = "map"
    baseline: ClassVar[str] = "retrieval"

    depths: Sequence[int] = RETRIEVAL_DEPTHS

    def applies(self, views: Views) -> bool:
        """Whether the task can be run on these views."""
        del views
        return True

    def solve(self, problem: Problem, views: Views) -> Answer:
        """Return average precision, and hits among the first k, of each query."""
        rows, vectors, labels = problem.fold.test, views.reduced, problem.labels
        scores = score_retrieval(vectors, labels, queries=rows, ks=[1], seed=problem.seed)
        depth = min(max(self.depths), len(vectors) - 1)
        found = cosine_neighbours(vectors[rows], vectors, depth, own_row=rows).indices
        hits = np.cumsum(labels[found] == labels[rows][:, np.newaxis], axis=1)
        columns = [hits[:, min(k, depth) - 1] > 0 for k in self.depths]
        return Answer(np.column_stack([scores.average_precision, *columns]))

    def score(self, truth: Truth, answer: Answer) -> dict[str, Any]:
        """Return mAP, and the share of queries with a relevant row among the first k."""
        del truth
        means = answer.values.mean(axis=0)
        recall = {str(k): float(mean) for k, mean in zip(self.depths, means[1:], strict=True)}
        return {"map": float(means[0]), "recall": recall, **answer.notes}

    def compare(self, truth: Truth, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare average precision query by query."""
        differences = answer.values[:, 0] - baseline.values[:, 0]
        return {**self.score(truth, answer), **judged_mean(differences, truth)}


def _flags(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return change flags; of two classes the second one in order means changed."""
    classes = np.unique(labels)
    if len(classes) != 2:
        raise InvalidConfigError(
            f"change: labels have {len(classes)} values; expected two: unchanged (0), changed (1)"
        )
    return np.asarray(labels == classes[1])


def _by_window(
    labels: NDArray[Any], answers: Sequence[Answer], windows: NDArray[Any]
) -> tuple[NDArray[Any], list[NDArray[np.int64]]]:
    """Return all classes, and per answer the windows' confusion matrices ``(n, classes, classes)``.

    Classes that only occur among the predictions count as mistakes, and have no score themselves.
    """
    classes = np.unique(np.concatenate([labels, *(answer.values for answer in answers)]))
    number = np.unique(windows, return_inverse=True)[1]
    truth = np.searchsorted(classes, labels)
    matrices = []
    for answer in answers:
        counts = np.zeros((number.max() + 1, len(classes), len(classes)), np.int64)
        np.add.at(counts, (number, truth, np.searchsorted(classes, answer.values)), 1)
        matrices.append(counts)
    return classes, matrices


def _miou(counts: NDArray[np.int64]) -> float:
    return ConfusionMatrix(tuple(range(len(counts))), counts).mean_iou()
