"""What a plan found: a Pareto table with costs, a recommendation and its command."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from geoembz._cost.estimate import FLAT_USD_PER_GB_MONTH, GB
from geoembz._cost.report import format_bytes, format_usd
from geoembz._evaluate.choice import UNLABELLED, Loss, Option
from geoembz._text import aligned, printable
from geoembz._util.results import Result

_MONTHS = 12


@dataclass(frozen=True)
class Plan(Result):
    """A recommendation and what it rests on.

    Parameters
    ----------
    name
        What was sampled.
    dimension
        Length of a vector.
    task, metric
        What recipes were judged by.
    max_loss, budget
        The goal: one of them is None.
    options
        The recipes tried, dear ones first.
    chosen
        The recommendation, with its loss on both splits.
    passed_over
        Recipes that met the goal on the selection split, but not on the confirmation split.
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
    task: str
    metric: str
    max_loss: float | None
    budget: int | None
    options: tuple[Option, ...]
    chosen: Option
    passed_over: tuple[str, ...]
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
        full = self.options[0].selection.baseline if self.options else 1.0
        size, cost = self._cost_text(4 * self.dimension)
        header = ("", "recipe", "bytes", "ratio", self._title(), "loss", *_costs(size))
        rows = [header, ("", "uncompressed", f"{4 * self.dimension:,}", "1 x", f"{full:.4f}", "")]
        rows[1] = (*rows[1], size, cost) if size else rows[1]
        rows += [self._row(option) for option in self.options]
        split = self.split
        heading = (
            f"{printable(self.name)}: vectors of {self.dimension} numbers; {split['kind']} split, "
            f"{split['n_train']:,} rows to train, {split['n_selection']:,} to choose, "
            f"{split['n_confirmation']:,} to confirm"
        )
        notes = "\n".join(
            map(
                printable,
                [*(f"left out: {n:,} {why}" for why, n in self.exclusions.items()), *self.messages],
            )
        )
        parts = [heading, aligned(rows) + "\n* on the Pareto frontier", self._recommendation()]
        return "\n\n".join([*parts, notes] if notes else parts)

    def _row(self, option: Option) -> tuple[str, ...]:
        size, cost = self._cost_text(option.bytes)
        cells = (
            "*" if option.on_frontier else "",
            option.recipe,
            f"{option.bytes:,}",
            f"{4 * self.dimension / option.bytes:.0f} x",
            f"{option.selection.score:.4f}",
            _loss(option.selection),
        )
        return (*cells, size, cost) if size else cells

    def _recommendation(self) -> str:
        chosen = self.chosen
        goal = (
            f"a loss of at most {self.max_loss:.2%}"
            if self.max_loss is not None
            else f"at most {self.budget} bytes"
        )
        confirmation = "" if chosen.confirmation is None else _loss(chosen.confirmation)
        headline = (
            f"For {goal} of {self._title()}: {chosen.recipe}, {chosen.bytes:,} bytes, "
            f"{4 * self.dimension / chosen.bytes:.0f} times smaller"
        )
        lines = [
            headline,
            f"  loss where it was chosen:   {_loss(chosen.selection)}",
            f"  loss where it is confirmed: {confirmation}",
        ]
        lines += self._doubts()
        if self.passed_over:
            lines.append(f"  not confirmed, so passed over: {', '.join(self.passed_over)}")
        if self.task in UNLABELLED:
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
        return UNLABELLED.get(self.task, f"{self.task} {self.metric}")

    def _cost(self, size: int) -> tuple[int | None, float | None]:
        """Return bytes, and US dollars a year, of all pixels."""
        if self.n_pixels is None:
            return None, None
        total = self.n_pixels * size
        return total, total / GB * FLAT_USD_PER_GB_MONTH * _MONTHS

    def _cost_text(self, size: int) -> tuple[str, str]:
        total, usd = self._cost(size)
        if total is None or usd is None:
            return "", ""
        return format_bytes(total), format_usd(usd)


def _costs(size: str) -> tuple[str, ...]:
    return ("stored", "per year") if size else ()


def _loss(loss: Loss) -> str:
    """Return a loss in percentage points, with its interval."""
    text = f"{100 * loss.loss:.2f} %"
    if loss.ci95 is None:
        return text
    low, high = (100 * end for end in loss.ci95)
    return f"{text} ({low:.2f} to {high:.2f})"
