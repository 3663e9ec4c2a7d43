"""The tasks that compressed vectors are put to, by name."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.neighbours import (
    cosine_neighbours,
    hamming_neighbours,
    majority_vote,
)
from geoembz._evaluate.metrics.probes import fit_probe, fit_ridge
from geoembz._evaluate.metrics.scores import (
    average_precision,
    change_distances,
    class_drops,
    confusion_counts,
    iou,
    r_squared,
    roc_auc,
    score_classes,
)
from geoembz._evaluate.metrics.splits import Fold
from geoembz._evaluate.metrics.statistics import (
    bootstrap_mean,
    compare_accuracy,
    compare_interval,
)
from geoembz._evaluate.sample import Sample
from geoembz._evaluate.task import WHITEN, Answer, Problem, Task, Views, compare_statistic
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError

NEIGHBOURS = 5  # those of the seed article
RETRIEVAL_DEPTHS = (1, 10, 100)
_NO_SECOND_DATE = "change: needs a second date; give --after SRC, or a table with embeddings_after"


class Classification(Task):
    """Scores and comparison that all classifiers share."""

    metric = "accuracy"

    def score(self, problem: Problem, answer: Answer) -> dict[str, Any]:
        """Return accuracy, macro-F1 and F1 per class."""
        return {**score_classes(problem.truth, answer.values), **answer.notes}

    def compare(self, problem: Problem, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare accuracies row by row, and F1 class by class."""
        truth = problem.truth
        comparison = compare_accuracy(
            baseline.values == truth,
            answer.values == truth,
            groups=problem.groups,
            seed=problem.seed,
        )
        full, less = self.score(problem, baseline), self.score(problem, answer)
        return {
            **less,
            **comparison.to_json(),
            "macro_f1_delta": less["macro_f1"] - full["macro_f1"],
            **_drops("f1", full, less),
        }


class Knn(Classification):
    """k nearest neighbours by cosine distance, codes with codes."""

    name = "knn"
    compares_by = Metric()

    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Let the nearest training rows vote."""
        references, queries = self._compared(fold, views)
        found = cosine_neighbours(queries, references, min(NEIGHBOURS, len(fold.train)))
        return Answer(majority_vote(problem.labels[fold.train], found.indices))

    def _compared(self, fold: Fold, views: Views) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return training rows and test rows."""
        return views.reduced[fold.train], views.reduced[fold.test]


class KnnFloatQuery(Knn):
    """The same, with test rows that were not encoded: what `search` compares."""

    name = "knn_float_query"
    baseline = "knn"

    def applies(self, views: Views) -> bool:
        """Whether anything was encoded."""
        return views.encoding is not None

    def _compared(self, fold: Fold, views: Views) -> tuple[NDArray[Any], NDArray[Any]]:
        return views.reduced[fold.train], views.float_queries(fold.test)


class KnnWhitened(Knn):
    """The same as `Knn`, components divided by a power of their deviation."""

    name = "knn_whitened"
    baseline = "knn"
    compares_by = Metric("cosine", WHITEN)

    def applies(self, views: Views) -> bool:
        """Whether components can be weighed."""
        return views.can_be_whitened

    def _compared(self, fold: Fold, views: Views) -> tuple[NDArray[Any], NDArray[Any]]:
        weighed = views.whitened(self.compares_by.whiten)
        return weighed[fold.train], weighed[fold.test]


class KnnFloatQueryWhitened(KnnWhitened):
    """The same, with test rows that were not encoded: a search by ``cosine-w0.5``."""

    name = "knn_float_query_whitened"

    def _compared(self, fold: Fold, views: Views) -> tuple[NDArray[Any], NDArray[Any]]:
        power = self.compares_by.whiten
        return views.whitened(power)[fold.train], views.float_queries(fold.test, power)


class KnnSlightlyWhitened(KnnWhitened):
    """The same as `KnnWhitened`, with half the power."""

    name = "knn_slightly_whitened"
    compares_by = Metric("cosine", WHITEN / 2)


class KnnFloatQuerySlightlyWhitened(KnnFloatQueryWhitened):
    """The same as `KnnFloatQueryWhitened`, with half the power: ``cosine-w0.25``."""

    name = "knn_float_query_slightly_whitened"
    compares_by = Metric("cosine", WHITEN / 2)


class Hamming(Classification):
    """k nearest neighbours by the number of differing bits, against cosine on uncompressed."""

    name = "hamming"
    baseline = "knn"
    compares_by = Metric("hamming")

    def applies(self, views: Views) -> bool:
        """Whether the codes are bits."""
        return views.packed_bits is not None

    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Let the nearest training rows vote."""
        bits, k = views.packed_bits, min(NEIGHBOURS, len(fold.train))
        if bits is None:
            raise InvalidConfigError(f"hamming: the codes of {views.name} are no bits")
        found = hamming_neighbours(bits[fold.test], bits[fold.train], k)
        return Answer(majority_vote(problem.labels[fold.train], found.indices))


class Probe(Classification):
    """A linear probe, C tuned by cross-validation on training rows."""

    name = "probe"

    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Tune and fit on training rows."""
        vectors, labels = views.reduced, problem.labels[fold.train]
        groups = problem.train_groups(fold)
        probe = fit_probe(vectors[fold.train], labels, groups=groups, seed=problem.seed)
        notes = {"c": probe.c, "converged": probe.converged}
        return Answer(probe.predict(vectors[fold.test]), notes)


class Segmentation(Probe):
    """A per-pixel linear probe over whole windows: mean intersection over union."""

    name = "segmentation"
    metric = "miou"

    def score(self, problem: Problem, answer: Answer) -> dict[str, Any]:
        """Return mIoU and IoU per class."""
        truth = problem.truth
        classes = np.unique(np.concatenate([truth, answer.values]))
        (counts,) = confusion_counts(truth, answer.values, classes, np.zeros(len(truth)))
        each = iou(counts)
        return {
            "miou": _mean(each),
            "iou": {
                str(name): float(value)
                for name, value in zip(classes, each, strict=True)
                if not np.isnan(value)
            },
            "accuracy": float(np.mean(truth == answer.values)),
            **answer.notes,
        }

    def compare(self, problem: Problem, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare mIoU, resampling whole windows by their confusion matrices.

        A class that occurs only among the predictions counts as a mistake, and has no score.
        """
        truth = problem.truth
        windows = np.arange(len(truth)) if problem.groups is None else problem.groups
        classes = np.unique(np.concatenate([truth, baseline.values, answer.values]))
        before, after = (
            confusion_counts(truth, each.values, classes, windows) for each in (baseline, answer)
        )

        def difference(chosen: NDArray[np.int64]) -> float:
            miou = [_mean(iou(counts[chosen].sum(axis=0))) for counts in (after, before)]
            return miou[0] - miou[1]

        judgement = compare_statistic(difference, len(after), problem, None)
        full, less = self.score(problem, baseline), self.score(problem, answer)
        sizes = {"n_test": len(truth), "n_groups": len(after)}
        return {**less, **judgement, **sizes, **_drops("iou", full, less)}


class Regression(Task):
    """Ridge regression of a quantity, its penalty tuned on training rows."""

    name = "regression"
    metric = "r2"

    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Tune and fit on training rows."""
        vectors, values = views.reduced, problem.labels[fold.train].astype(np.float64)
        groups = problem.train_groups(fold)
        probe = fit_ridge(vectors[fold.train], values, groups=groups, seed=problem.seed)
        return Answer(probe.predict(vectors[fold.test]), {"alpha": probe.alpha})

    def score(self, problem: Problem, answer: Answer) -> dict[str, Any]:
        """Return R² and RMSE, the latter in units of the quantity."""
        values = problem.truth.astype(np.float64)
        rmse = float(np.sqrt(np.mean((values - answer.values) ** 2)))
        return {"r2": r_squared(values, answer.values), "rmse": rmse, **answer.notes}

    def compare(self, problem: Problem, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare R² on the same rows."""
        values = problem.truth.astype(np.float64)
        judgement = _compare_scores(r_squared, values, problem, baseline, answer)
        full, less = self.score(problem, baseline), self.score(problem, answer)
        return {**less, **judgement, "rmse_delta": less["rmse"] - full["rmse"]}


class Change(Task):
    """Change between two dates by a threshold on cosine distance: area under the ROC curve."""

    name = "change"
    metric = "auc"

    def applies(self, views: Views) -> bool:
        """Whether there is a second date."""
        return views.after is not None

    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Measure how far each test row moved."""
        del problem
        if views.after is None:
            raise InvalidConfigError(_NO_SECOND_DATE)
        rows = fold.test
        return Answer(change_distances(views.reduced[rows], views.after.reduced[rows]))

    def score(self, problem: Problem, answer: Answer) -> dict[str, Any]:
        """Return the area under the ROC curve."""
        return {"auc": roc_auc(_change_flags(problem.truth), answer.values), **answer.notes}

    def compare(self, problem: Problem, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare areas on the same rows."""
        flags = _change_flags(problem.truth)
        judgement = _compare_scores(roc_auc, flags, problem, baseline, answer)
        return {**self.score(problem, answer), **judgement}


class Retrieval(Task):
    """Search all rows for those of the query's class; queries are the test rows."""

    name = "retrieval"
    metric = "map"

    def solve(self, problem: Problem, fold: Fold, views: Views) -> Answer:
        """Return average precision, and hits among the first k, of each query."""
        rows, vectors, labels = fold.test, views.reduced, problem.labels
        precision = average_precision(vectors, labels, queries=rows, seed=problem.seed)
        depth = min(max(RETRIEVAL_DEPTHS), len(vectors) - 1)
        found = cosine_neighbours(vectors[rows], vectors, depth, own_row=rows).indices
        hits = np.cumsum(labels[found] == labels[rows][:, np.newaxis], axis=1)
        columns = [hits[:, min(k, depth) - 1] > 0 for k in RETRIEVAL_DEPTHS]
        return Answer(np.column_stack([precision, *columns]))

    def score(self, problem: Problem, answer: Answer) -> dict[str, Any]:
        """Return mAP, and the share of queries with a relevant row among the first k."""
        del problem
        mean, *shares = answer.values.mean(axis=0).tolist()
        recall = {str(k): share for k, share in zip(RETRIEVAL_DEPTHS, shares, strict=True)}
        return {"map": mean, "recall": recall, **answer.notes}

    def compare(self, problem: Problem, baseline: Answer, answer: Answer) -> dict[str, Any]:
        """Compare average precision query by query."""
        differences = answer.values[:, 0] - baseline.values[:, 0]
        interval = bootstrap_mean(differences, groups=problem.groups, seed=problem.seed)
        judgement = compare_interval(interval, len(differences), problem.groups).to_json()
        return {**self.score(problem, answer), **judgement}


_TASKS = (
    *(Knn(), KnnFloatQuery(), KnnWhitened(), KnnFloatQueryWhitened(), KnnSlightlyWhitened()),
    *(KnnFloatQuerySlightlyWhitened(), Hamming(), Probe()),
    *(Regression(), Segmentation(), Change(), Retrieval()),
)

TASKS: dict[str, Task] = {task.name: task for task in _TASKS}
"""All tasks, by name."""


def choose_tasks(sample: Sample, names: Sequence[str] | None) -> tuple[Task, ...]:
    """Return the tasks asked for, or those that suit the labels.

    Raises
    ------
    InvalidConfigError
        If a name is unknown, or the sample has not what the task needs.
    """
    if names is None:
        return tuple(TASKS[name] for name in _usual_tasks(sample))
    if unknown := [name for name in names if name not in TASKS]:
        raise InvalidConfigError(f"tasks {', '.join(unknown)}; expected any of {', '.join(TASKS)}")
    if names and sample.labels is None:
        raise InvalidConfigError(
            f"tasks {', '.join(names)} need labels; give --labels, or leave --tasks out"
        )
    if "change" in names and sample.after is None:
        raise InvalidConfigError(_NO_SECOND_DATE)
    if not sample.has_classes and (wrong := [name for name in names if name != "regression"]):
        raise InvalidConfigError(
            f"tasks {', '.join(wrong)} need classes, but the labels are quantities; use "
            "--tasks regression"
        )
    baselines = [name for name in (TASKS[name].baseline for name in names) if name is not None]
    names = [*(name for name in baselines if name not in names), *names]
    return tuple(TASKS[name] for name in dict.fromkeys(names))


def _usual_tasks(sample: Sample) -> tuple[str, ...]:
    if sample.labels is None:
        return ()
    if sample.after is not None:
        return ("change",)
    return ("knn", "knn_float_query", "hamming", "probe") if sample.has_classes else ("regression",)


def _compare_scores(
    score: Callable[[NDArray[Any], NDArray[Any]], float],
    truth: NDArray[Any],
    problem: Problem,
    baseline: Answer,
    answer: Answer,
) -> dict[str, Any]:
    """Compare scores that are no means, on the same rows."""

    def difference(rows: NDArray[np.int64]) -> float:
        after = score(truth[rows], answer.values[rows])
        return after - score(truth[rows], baseline.values[rows])

    return compare_statistic(difference, len(truth), problem, problem.groups)


def _drops(kind: str, full: dict[str, Any], less: dict[str, Any]) -> dict[str, Any]:
    """Return what each class lost of its F1 or IoU, and which one lost most."""
    drops = class_drops(full[kind], less[kind])
    worst = next(iter(drops))
    return {f"{kind}_drop": drops, "worst_class": worst, "worst_drop": drops[worst]}


def _mean(each: NDArray[np.float64]) -> float:
    """Return the mean IoU over the classes that occur; nan without pixels."""
    known = each[~np.isnan(each)]
    return float(known.mean()) if len(known) else float("nan")


def _change_flags(labels: NDArray[Any]) -> NDArray[np.bool_]:
    """Return change flags; of two classes the second one in order means changed."""
    classes = np.unique(labels)
    if len(classes) != 2:
        raise InvalidConfigError(
            f"change: labels have {len(classes)} values; expected two: unchanged (0), changed (1)"
        )
    return np.asarray(labels == classes[1])
