"""What a plan found: a Pareto table with costs, a recommendation and its command."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self

from geoembz._cost.estimate import FLAT_USD_PER_GB_MONTH, GB
from geoembz._cost.report import format_usd
from geoembz._evaluate.metrics.scores import pareto_front
from geoembz._text import aligned, format_bytes, printable
from geoembz._util import html
from geoembz._util.results import Result

UNLABELLED = {"cosine": "centred cosine", "rank": "rank correlation of distances"}
"""Measures that need no labels: mean over the test rows, and Spearman over pairs of them."""

_MONTHS = 12


@dataclass(frozen=True)
class Loss:
    """What a recipe loses on one split: `loss` > 0 is worse; `ci95` bounds it where known.

    `by` is the task that it was measured with, of those that measure the use.
    """

    by: str
    score: float
    baseline: float
    loss: float
    ci95: tuple[float, float] | None = None
    verdict: str | None = None

    @classmethod
    def of(cls, by: str, scores: Mapping[str, Any], metric: str, baseline: float) -> Self:
        """Turn a task's comparison into a loss."""
        low, high = scores["ci95"]
        return cls(by, scores[metric], baseline, -scores["delta"], (-high, -low), scores["verdict"])

    def to_text(self) -> str:
        """Return the loss in percentage points, with its interval."""
        text = f"{100 * self.loss:.2f} %"
        if self.ci95 is None:
            return text
        low, high = (100 * end for end in self.ci95)
        return f"{text} ({low:.2f} to {high:.2f})"


@dataclass(frozen=True)
class Option:
    """One recipe that was tried.

    Parameters
    ----------
    recipe, bytes
        Name and nominal size of a vector.
    selection
        Loss on the split that the choice is made on.
    confirmation
        Loss on the other split, for recipes that were considered there.
    on_frontier
        Whether no recipe of at most its size scores as well.
    """

    recipe: str
    bytes: int
    selection: Loss
    confirmation: Loss | None = None
    on_frontier: bool = False


@dataclass(frozen=True)
class Plan(Result):
    """A recommendation and what it rests on.

    Parameters
    ----------
    name
        What was sampled.
    dimension
        Length of a vector.
    use, metric
        What recipes were judged by: what the vectors are for, and the score.
    max_loss, budget
        The goal: one of them is None.
    options
        The recipes tried, largest first.
    chosen
        The recommendation, with its loss on both splits.
    passed_over
        Recipes that met the goal on the selection split, but not on the confirmation split.
    compared_by
        Metric that searches of it should compare by; None where the use is no search.
    command
        What makes the store.
    n_pixels
        Pixels to be stored; None for a table.
    split
        How rows were divided.
    seed
        Seed of every random choice.
    exclusions, messages
        As in `Evaluation`.
    """

    name: str
    dimension: int
    use: str
    metric: str
    max_loss: float | None
    budget: int | None
    options: tuple[Option, ...]
    chosen: Option
    passed_over: tuple[str, ...]
    compared_by: str | None
    command: str
    n_pixels: int | None
    split: Mapping[str, Any]
    seed: int
    exclusions: Mapping[str, int] = field(default_factory=dict)
    messages: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return the plan as JSON values."""
        document = super().to_json()
        document["usd_per_gb_month"] = FLAT_USD_PER_GB_MONTH
        for option in [*document["options"], document["chosen"]]:
            option["total_bytes"], option["usd_per_year"] = self._cost(option["bytes"])
        return document

    def to_table(self) -> str:
        """Return the Pareto table and the recommendation as text."""
        tried = aligned(self._rows()) + "\n* on the Pareto frontier"
        parts = [self._heading(), tried, self._recommendation(), self._notes()]
        return "\n\n".join(part for part in parts if part)

    def _views(self) -> Iterable[str]:
        """Yield the recommendation, what was tried, and what a user should know."""
        yield html.lines_of(self._recommendation())
        yield html.table(self._rows(), has_header=True)
        yield html.lines_of(f"* on the Pareto frontier\n{self._heading()}\n{self._notes()}")

    def _rows(self) -> list[tuple[str, ...]]:
        full = self.options[0].selection.baseline if self.options else 1.0
        size = 4 * self.dimension
        costs = ("stored", "per year") if self.n_pixels else ()
        return [
            ("", "recipe", "bytes", "ratio", self._title(), "loss", *costs),
            ("", "uncompressed", f"{size:,}", "1 x", f"{full:.4f}", "", *self._cost_cells(size)),
            *(self._row(option) for option in self.options),
        ]

    def _heading(self) -> str:
        split = self.split
        return (
            f"{printable(self.name)}: vectors of {self.dimension} numbers; {split['kind']} split, "
            f"{split['n_train']:,} rows to train, {split['n_selection']:,} to choose, "
            f"{split['n_confirmation']:,} to confirm"
        )

    def _notes(self) -> str:
        left_out = [f"left out: {n:,} {why}" for why, n in self.exclusions.items()]
        return "\n".join(map(printable, [*left_out, *self.messages]))

    def _row(self, option: Option) -> tuple[str, ...]:
        return (
            "*" if option.on_frontier else "",
            option.recipe,
            f"{option.bytes:,}",
            f"{4 * self.dimension / option.bytes:.0f} x",
            f"{option.selection.score:.4f}",
            option.selection.to_text(),
            *self._cost_cells(option.bytes),
        )

    def _recommendation(self) -> str:
        chosen = self.chosen
        goal = (
            f"a loss of at most {self.max_loss:.2%}"
            if self.max_loss is not None
            else f"at most {self.budget} bytes"
        )
        confirmation = "" if chosen.confirmation is None else chosen.confirmation.to_text()
        headline = (
            f"For {goal} of {self._title()}: {chosen.recipe}, {chosen.bytes:,} bytes, "
            f"{4 * self.dimension / chosen.bytes:.0f} times smaller"
        )
        lines = [
            headline,
            f"  loss where it was chosen:   {chosen.selection.to_text()}",
            f"  loss where it is confirmed: {confirmation}",
        ]
        if self.compared_by is not None:
            lines.append(f"  vectors compared by:        {self.compared_by}")
        lines += self._doubts()
        if self.passed_over:
            lines.append(f"  not confirmed, so passed over: {', '.join(self.passed_over)}")
        if self.use in UNLABELLED:
            lines.append("  (not the loss of a task: with --labels, more compression may pass)")
        return "\n".join([*lines, f"  {self.command}"])

    def _doubts(self) -> list[str]:
        """Say where an interval reaches beyond the limit: a larger loss cannot be excluded."""
        losses = [self.chosen.selection, self.chosen.confirmation]
        highest = max((x.ci95[1] for x in losses if x is not None and x.ci95), default=0.0)
        if self.max_loss is None or highest <= self.max_loss:
            return []
        reach = f"an interval reaches to {highest:.2%}, beyond the limit"
        return [f"  {reach}: more labelled rows or groups would tell"]

    def _title(self) -> str:
        return UNLABELLED.get(self.use, f"{self.use} {self.metric}")

    def _cost(self, size: int) -> tuple[int | None, float | None]:
        """Return bytes, and US dollars a year, of all pixels."""
        if self.n_pixels is None:
            return None, None
        total = self.n_pixels * size
        return total, total / GB * FLAT_USD_PER_GB_MONTH * _MONTHS

    def _cost_cells(self, size: int) -> tuple[str, ...]:
        total, usd = self._cost(size)
        return () if total is None or usd is None else (format_bytes(total), format_usd(usd))


def mark_frontier(options: Sequence[Option]) -> tuple[Option, ...]:
    """Mark what lies on the Pareto frontier, and sort by size, largest first."""
    by_size = sorted(options, key=lambda option: (option.bytes, option.selection.loss))
    front = pareto_front([o.bytes for o in by_size], [-o.selection.loss for o in by_size])
    marked = (replace(o, on_frontier=bool(best)) for o, best in zip(by_size, front, strict=True))
    return tuple(marked)[::-1]
