"""What a plan is for: a limit on the loss, or a budget of bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

from geoembz._evaluate.choice import Option
from geoembz.errors import InvalidConfigError


@dataclass(frozen=True)
class Goal:
    """A limit on the loss, or a budget in bytes per vector: exactly one of them.

    Raises
    ------
    InvalidConfigError
        If both are given, or one cannot be met by anything.
    """

    max_loss: float | None = None
    budget: int | None = None

    def __post_init__(self) -> None:
        """Refuse two goals, and impossible ones."""
        if self.max_loss is not None and self.budget is not None:
            raise InvalidConfigError("plan: --max-loss and --bytes exclude each other; give one")
        if self.max_loss is not None and not 0 <= self.max_loss < 1:
            hint = f"; did you mean {self.max_loss:g}%?" if 1 <= self.max_loss <= 100 else ""
            raise InvalidConfigError(
                f"plan: a loss of at most {self.max_loss}; expected less than 1, for example 1% "
                f"or 0.01{hint}"
            )
        if self.budget is not None and self.budget < 1:
            raise InvalidConfigError(f"plan: {self.budget} bytes; expected 1 or more")

    def candidates(self, options: Sequence[Option]) -> list[Option]:
        """Return what meets the goal on the selection split, the best first.

        Under a loss limit that is the cheapest, within a budget the one that loses least.
        """
        if self.budget is not None:
            fitting = [option for option in options if option.bytes <= self.budget]
            return sorted(fitting, key=lambda option: (option.selection.loss, option.bytes))
        limit = self.max_loss or 0.0
        fitting = [option for option in options if option.selection.loss <= limit]
        return sorted(fitting, key=lambda option: (option.bytes, option.selection.loss))

    def confirms(self, option: Option) -> bool:
        """Whether the confirmation split agrees; a budget needs no agreement."""
        if self.max_loss is None or option.confirmation is None:
            return option.confirmation is not None
        return option.confirmation.loss <= self.max_loss
