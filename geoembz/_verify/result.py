"""What a verification found."""

from dataclasses import dataclass

from geoembz._publish import Problem
from geoembz._text import printable
from geoembz._util.results import Result


@dataclass(frozen=True)
class Verification(Result):
    """What was read, and what is wrong.

    Parameters
    ----------
    store
        Where it is.
    shards
        Shards of all its grids and dates, or of its table; those that are stored were read.
    problems
        By key; empty if all is well.
    notes
        What is below ``.geoembz/``, which is no part of the store, and does it no harm.
    """

    store: str
    shards: int
    problems: tuple[Problem, ...]
    notes: tuple[str, ...] = ()

    def to_table(self) -> str:
        """Return it as lines of text, one per problem."""
        notes = [printable(f"note: {note}") for note in self.notes]
        if not self.problems:
            return "\n".join([*notes, f"{self.store}: {self.shards:,} shards read, nothing wrong"])
        lines = [printable(f"{problem.key}: {problem.what}") for problem in self.problems]
        return "\n".join([*notes, *lines, f"{self.store}: {len(lines)} problems"])


@dataclass(frozen=True)
class Part:
    """What was found in one part of a store: a grid, or a table.

    Parameters
    ----------
    shards
        How many shards it has.
    problems
        By key relative to that part.
    notes
        See `Verification`.
    """

    shards: int
    problems: frozenset[Problem]
    notes: tuple[str, ...] = ()

    def below(self, name: str) -> "Part":
        """Return the same with keys relative to the root that holds it as `name`."""
        found = (Problem(f"{name}/{problem.key}", problem.what) for problem in self.problems)
        return Part(self.shards, frozenset(found), self.notes)
