"""How good a model is on pixels that it has not seen: scores with intervals, and warnings.

Accuracy, and recall of each class, or R² and RMSE; intervals resample whole polygons, groups or
blocks, since pixels next to each other are alike.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from geoembz._evaluate.metrics.scores import r_squared
from geoembz._evaluate.metrics.statistics import bootstrap_mean, bootstrap_statistic
from geoembz._evaluate.task import RESAMPLES
from geoembz._map.learners import Kind, features_of, fit
from geoembz._map.training import FEW_PIXELS, TrainingSet
from geoembz._text import aligned
from geoembz.errors import InvalidConfigError

type Limits = tuple[float, float]

FEW_GROUPS = 3
"""A class in fewer polygons or blocks is warned of, too: one held out leaves two to learn from."""

_TAIL = 0.05
"""Beyond a 95 % interval."""

_NAMES = {"r2": "R²", "rmse": "RMSE"}
_HEADER = ("class", "labelled", "groups", "tested", "precision", "recall", "95 % interval")


_ADVICE = "try --model ridge, or look for labels that contradict each other"


@dataclass(frozen=True)
class ClassScore:
    """How a class fared among held-out pixels.

    Parameters
    ----------
    name
        Of the class.
    labelled, groups
        Labelled pixels, and the polygons, groups or blocks that they lie in; None without groups.
    tested
        Held-out pixels of the class.
    precision, recall
        Share of the pixels given this class that have it, and of those that have it that were
        given it; None where there is none.
    recall_ci95
        Limits of the 95 % interval of `recall`; None where there are too few units for one.
    """

    name: str
    labelled: int
    groups: int | None
    tested: int
    precision: float | None
    recall: float | None
    recall_ci95: Limits | None = None


@dataclass(frozen=True)
class Score:
    """A score with the limits of its 95 % interval; None where there are too few units for one."""

    value: float | None
    ci95: Limits | None


@dataclass(frozen=True)
class HeldOutScores:
    """What held-out pixels say of a model.

    Parameters
    ----------
    split
        How pixels were divided: ``grouped``, ``blocked`` …
    folds
        Parts that were tested, one after the other.
    trained
        Pixels that the final model learned from: all of them.
    tested, units
        Held-out pixels, and the polygons, groups or blocks that they lie in, which the intervals
        resample; the pixels themselves without groups.
    scores
        ``accuracy``, or ``r2`` and ``rmse``.
    classes
        Of a classification.
    warnings
        What makes the figures doubtful.
    notes
        How the pixels were found and divided.
    left_out
        Pixels that were not used, by reason.
    """

    split: str
    folds: int
    trained: int
    tested: int
    units: int
    scores: Mapping[str, Score]
    classes: tuple[ClassScore, ...] = ()
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {
            **asdict(self),
            "scores": {
                name: {"value": score.value, "ci95": score.ci95 and list(score.ci95)}
                for name, score in self.scores.items()
            },
        }

    @classmethod
    def from_json(cls, document: Any, where: str) -> Self:
        """Read what `to_json` returned.

        Raises
        ------
        InvalidConfigError
            If it is something else.
        """
        try:
            scores = {
                name: Score(score["value"], score["ci95"] and tuple(score["ci95"]))
                for name, score in document["scores"].items()
            }
            classes = tuple(_read_class(each) for each in document["classes"])
            texts = {name: tuple(document[name]) for name in ("warnings", "notes")}
            return cls(**{**document, "scores": scores, "classes": classes, **texts})
        except (TypeError, KeyError, AttributeError, ValueError) as error:
            raise InvalidConfigError(
                f"{where}: what the model says of its accuracy is damaged ({error}); train it again"
            ) from error

    def to_table(self, model: str) -> str:
        """Return scores, classes and warnings as lines of text."""
        parts = [aligned([*self._score_rows(), ("tested on", self._tested())])]
        if self.classes:
            parts.append(aligned([_HEADER, *map(_class_row, self.classes)]))
        beside = [f"warning: {text}" for text in self.warnings]
        beside += [f"left out: {count:,} x {why}" for why, count in self.left_out.items()]
        beside += self.notes
        if beside:
            parts.append("\n".join(beside))
        return f"{model}, trained on {self.trained:,} pixels\n" + "\n\n".join(parts)

    def _score_rows(self) -> list[tuple[str, str]]:
        rows = []
        for name, score in self.scores.items():
            text = f"{'unknown' if score.value is None else f'{score.value:.4g}'}"
            if score.ci95 is not None:
                text += f", 95 % interval {score.ci95[0]:.4g} to {score.ci95[1]:.4g}"
            rows.append((_NAMES.get(name, name), text))
        return rows

    def _tested(self) -> str:
        within = "" if self.units == self.tested else f" in {self.units:,} groups or blocks"
        folds = "held out" if self.folds == 1 else f"each held out once, {self.folds} folds"
        return f"{self.tested:,} pixels{within}, {folds} ({self.split})"


def _read_class(document: Mapping[str, Any]) -> ClassScore:
    limits = document["recall_ci95"]
    return ClassScore(**{**document, "recall_ci95": limits and tuple(limits)})


def _class_row(each: ClassScore) -> tuple[str, ...]:
    shares = ("" if share is None else f"{share:.1%}" for share in (each.precision, each.recall))
    groups = "" if each.groups is None else f"{each.groups:,}"
    limits = "" if each.recall_ci95 is None else "{:.1%} to {:.1%}".format(*each.recall_ci95)
    return (each.name, f"{each.labelled:,}", groups, f"{each.tested:,}", *shares, limits)


def score_held_out(rows: TrainingSet, kind: Kind) -> HeldOutScores:
    """Fit on each fold's training rows and score the answers for its test rows."""
    division, quantities = rows.division, rows.sample.quantities
    truth = rows.labels[division.tested]
    predicted, unfinished = _predict_held_out(rows, kind)
    classes = () if quantities else _class_scores(rows, truth, predicted)
    units = division.tested_groups
    return HeldOutScores(
        split=division.kind,
        folds=len(division.folds),
        trained=len(rows.sample),
        tested=len(truth),
        units=len(truth) if units is None else len(np.unique(units)),
        scores=_scores(rows, truth, predicted),
        classes=classes,
        warnings=(
            *(text for each in classes for text in _doubts(each)),
            *_doubt_fits(unfinished, len(division.folds)),
        ),
        notes=(*rows.sample.messages, *division.messages),
        left_out={**rows.sample.exclusions, **division.exclusions},
    )


def _predict_held_out(rows: TrainingSet, kind: Kind) -> tuple[NDArray[Any], int]:
    """Return what a model says of each test row, fold by fold, everything fitted anew in each.

    The number counts the folds whose fit did not come to its end.
    """
    features, groups = features_of(rows.encoding, rows.codes), rows.division.groups
    answers, unfinished = [], 0
    for fold in rows.division.folds:
        found = fit(
            kind,
            features[fold.train],
            rows.labels[fold.train],
            None if groups is None else groups[fold.train],
            quantities=rows.sample.quantities,
            seed=rows.seed,
        )
        answers.append(found.predict(features[fold.test]))
        unfinished += not found.converged
    return np.concatenate(answers), unfinished


def _scores(rows: TrainingSet, truth: NDArray[Any], predicted: NDArray[Any]) -> dict[str, Score]:
    groups, seed = rows.division.tested_groups, rows.seed
    if not rows.sample.quantities:
        return {"accuracy": _mean_score(truth == predicted, groups, seed)}
    values = truth.astype(np.float64)

    def explained(chosen: NDArray[np.int64]) -> float:
        return r_squared(values[chosen], predicted[chosen])

    squared = _mean_score((values - predicted) ** 2, groups, seed)
    limits = squared.ci95 and (math.sqrt(squared.ci95[0]), math.sqrt(squared.ci95[1]))
    rmse = Score(math.sqrt(squared.value or 0.0), limits)
    if limits is None:
        share = explained(np.arange(len(values)))
        return {"r2": Score(None if np.isnan(share) else share, None), "rmse": rmse}
    r2 = bootstrap_statistic(explained, len(values), groups=groups, resamples=RESAMPLES, seed=seed)
    return {"r2": Score(r2.estimate, r2.ci95), "rmse": rmse}


def _mean_score(values: NDArray[Any], groups: NDArray[Any] | None, seed: int) -> Score:
    """Return the mean with its interval, where there are two units to resample, or more."""
    units = len(values) if groups is None else len(np.unique(groups))
    if units < 2:
        return Score(float(values.mean()) if len(values) else None, None)
    if values.dtype == np.bool_ and values.all() == values.any():
        # No resample has another mean. The exact (Clopper-Pearson) limit, of whole units.
        limit = (_TAIL / 2) ** (1 / units)
        return Score(1.0, (limit, 1.0)) if values.all() else Score(0.0, (0.0, 1 - limit))
    interval = bootstrap_mean(values, groups=groups, seed=seed)
    return Score(interval.estimate, interval.ci95)


def _class_scores(
    rows: TrainingSet, truth: NDArray[Any], predicted: NDArray[Any]
) -> tuple[ClassScore, ...]:
    groups, tested = rows.division.groups, rows.division.tested_groups
    scores = []
    for label in np.unique(rows.labels):
        here, has, given = rows.labels == label, truth == label, predicted == label
        recall = _mean_score(given[has], None if tested is None else tested[has], rows.seed)
        scores.append(
            ClassScore(
                name=rows.legend.name(label),
                labelled=int(here.sum()),
                groups=None if groups is None else len(np.unique(groups[here])),
                tested=int(has.sum()),
                precision=float(has[given].mean()) if given.any() else None,
                recall=recall.value,
                recall_ci95=recall.ci95,
            )
        )
    return tuple(scores)


def _doubt_fits(unfinished: int, folds: int) -> list[str]:
    """Say that models were fitted which are not the best of their kind."""
    if not unfinished:
        return []
    folds_text = f"{unfinished} of {folds} folds"
    return [f"the fit did not converge in {folds_text}, so another model may be better: {_ADVICE}"]


def _doubts(each: ClassScore) -> list[str]:
    """Say what is too little of a class for its figures to mean much."""
    few = []
    if each.labelled < FEW_PIXELS:
        few.append(f"{each.labelled} labelled pixels")
    if each.groups is not None and each.groups < FEW_GROUPS:
        few.append(
            f"{each.groups} polygon or block"
            if each.groups == 1
            else f"{each.groups} polygons or blocks"
        )
    if not each.tested:
        few.append("none of them held out")
    if not few:
        return []
    advice = "label more of it, in more places, before its figures and its map are trusted"
    return [f"class {each.name!r} has {', '.join(few)}: {advice}"]
