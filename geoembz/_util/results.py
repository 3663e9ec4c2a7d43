"""What every command returns: one object that prints as JSON, as a table and in a notebook."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from geoembz._text import aligned
from geoembz._util import html


class Result:
    """Base of the frozen dataclasses that the public functions return.

    A subclass says what its table holds in `_rows`, and overrides `to_json` where its fields are
    not JSON values as they are.
    """

    __slots__ = ()

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values, by the names of the fields."""
        return asdict(self)  # type: ignore[call-overload, no-any-return]  # of every subclass

    def to_table(self) -> str:
        """Return the result as lines of text."""
        return aligned(self._rows())

    def _rows(self) -> Iterable[Sequence[str]]:
        """Return the table's rows: what a figure is called, and the figure."""
        raise NotImplementedError

    def __str__(self) -> str:
        """Return the table, so that `print` shows it."""
        return self.to_table()

    def _repr_html_(self) -> str:
        """Show the result in a notebook."""
        return html.card(type(self).__name__, *self._views())

    def _views(self) -> Iterable[str]:
        """Yield pieces of HTML: the table, and whatever pictures a subclass adds."""
        is_plain = type(self).to_table is Result.to_table
        yield html.table(self._rows()) if is_plain else html.lines_of(self.to_table())
