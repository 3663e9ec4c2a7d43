"""Which table it is and which of its columns are its vector: by product, by name, or by shape.

Published tables are recognised by their columns; adding one is adding an entry (docs/howto/tables).
A table may hold several vectors: lists beside a run of numbered columns. Guessing among them would
make another embedding than the user's, in silence; so what is not plain is asked.
"""

import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from geoembz._util.arrow import pa
from geoembz.errors import InvalidConfigError, SourceError
from geoembz.sources import aef
from geoembz.sources.base import SourceTraits
from geoembz.sources.tables.columns import is_list, is_real, value_type

_CERTAIN = ("embedding", "embeddings")
"""Names that say it all: such a column is the vector, whatever stands beside it."""

_USUAL = (*_CERTAIN, "emb", "embs", "vector", "vectors", "features", "feature")
"""Names of lists that make other lists of numbers no candidates."""

_NO_VECTORS = {"bbox", "bounds", "bounding_box", "centroid", "coordinates", "geometry"}
_NUMBERED = re.compile(r"(.*?)(\d+)", re.DOTALL)
_FEWEST_BESIDE = 3
"""Two numbered columns beside another candidate are rather `x1` and `x2` than a vector."""


@dataclass(frozen=True)
class Product(SourceTraits):
    """What is known of a product that comes as tables.

    Parameters
    ----------
    columns
        Columns that tell the product; the vector is among them.
    gsd
        Size of an image's pixel, in metres, that chips are counted in.
    grid_id
        Name of the grid of chips, where there is one.
    """

    columns: tuple[str, ...] = ()
    gsd: float | None = None
    grid_id: str | None = None

    def matches(self, columns: Sequence[str]) -> bool:
        """Whether a table with these columns is this product."""
        return set(self.columns) <= set(columns)


EARTH_ENGINE = Product(
    "earth-engine",
    columns=aef.BAND_NAMES,
    model=aef.MODEL,
    gsd=10.0,
    recipe="aef",
    unit_norm=True,
)
MOSAIKS = Product("mosaiks", columns=("lat", "lon", "X_0", "X_1"), model="https://www.mosaiks.org")
CLAY_V1_5 = Product(
    "clay-v1.5",
    columns=("embedding", "chips_id"),
    model="https://huggingface.co/made-with-clay/Clay/tree/main/v1.5",
    gsd=10.0,
    grid_id="majortom-2560m",
)
CLAY_V0 = Product(
    "clay-v0",
    columns=("embeddings", "source_url"),
    model="https://huggingface.co/made-with-clay/Clay/tree/main/v0.1",
    gsd=10.0,
)
MAJOR_TOM = Product(
    "major-tom", columns=("unique_id", "embedding", "grid_cell"), gsd=10.0, grid_id="majortom-10km"
)
EARTH_INDEX = Product("earth-index", columns=("id", "embedding", "geometry"), gsd=10.0)
PLAIN = Product("plain")

PRODUCTS = (EARTH_ENGINE, MOSAIKS, CLAY_V1_5, CLAY_V0, MAJOR_TOM, EARTH_INDEX, PLAIN)


def recognise(columns: Sequence[str]) -> Product:
    """Return the first product that the columns match; `PLAIN` matches all.

    Examples
    --------
    >>> recognise(["unique_id", "embedding", "grid_cell"]).product
    'major-tom'
    """
    return next(product for product in PRODUCTS if product.matches(columns))


@dataclass(frozen=True)
class Run:
    """Columns that share a prefix and go on with a number.

    Parameters
    ----------
    prefix
        What stands before the number; may be empty.
    columns
        Names in the order of their numbers.
    fault
        Why they are no vector: a gap, or a number that occurs twice; empty if they are one.
    """

    prefix: str
    columns: tuple[str, ...]
    fault: str = ""

    def __str__(self) -> str:
        """Return the run as messages show it."""
        first, last = self.columns[0], self.columns[-1]
        return f"{first} … {last} ({len(self.columns)} columns)"


def find_vector(
    where: str,
    schema: "pa.Schema",
    product: Product,
    *,
    wanted: str | None = None,
    places: Collection[str] = (),
) -> tuple[str, ...]:
    """Return the columns of the vector: one of lists, or a run of numbered ones in order.

    Parameters
    ----------
    where
        The table, for messages.
    schema
        Its columns, with plain types.
    product
        What the table was recognised as.
    wanted
        Column of lists, or what numbered columns begin with, that the user named.
    places
        Columns that say where a row lies: no candidates.

    Raises
    ------
    SourceError
        If there is no vector, or there are several and none is named.
    InvalidConfigError
        If the one that is named is not there.

    Examples
    --------
    >>> import pyarrow as pa
    >>> schema = pa.schema([("f2", pa.float32()), ("id", pa.int64()), ("f1", pa.float32())])
    >>> find_vector("t.parquet", schema, PLAIN)
    ('f1', 'f2')
    """
    if wanted is not None:
        return _named(where, schema, wanted)
    runs = numbered_runs(name for name in _real_columns(schema) if name not in places)
    certain = _certain(schema, runs, product)
    lists = _lists(schema, places)
    found = certain or [*lists, *_likely(schema, runs, beside=bool(lists))]
    if len(found) > 1:
        raise SourceError(
            f"{where}: several columns may be the vector: {', '.join(map(_text, found))}; "
            f"expected one: say which, such as --vector {_handle(found[0])!r}"
        )
    if not found:
        raise _nothing(where, schema)
    return _columns(where, schema, found[0])


def numbered_runs(names: Iterable[str]) -> list[Run]:
    """Return runs of numbered columns that begin at 0 or 1, with and without faults.

    Examples
    --------
    >>> [str(run) for run in numbered_runs(["lat", "X_2", "X_1", "year2020", "year2021"])]
    ['X_1 … X_2 (2 columns)']
    """
    numbered: dict[str, list[tuple[int, str]]] = {}
    for name in names:
        if match := _NUMBERED.fullmatch(name):
            numbered.setdefault(match[1], []).append((int(match[2]), name))
    runs = (_run(prefix, sorted(members)) for prefix, members in numbered.items())
    return [run for run in runs if run is not None]


def _run(prefix: str, members: list[tuple[int, str]]) -> Run | None:
    """Return a run; None where numbers do not count components, as those of years do not."""
    numbers, columns = [n for n, _ in members], tuple(name for _, name in members)
    first, last = numbers[0], numbers[-1]
    if len(members) < 2 or first > 1 or 2 * len(set(numbers)) < last - first + 1:
        return None
    twice = next((n for n, after in pairwise(numbers) if n == after), None)
    if twice is not None:
        same = [name for number, name in members if number == twice]
        return Run(prefix, columns, f"{same[0]!r} and {same[1]!r} have one number")
    if len(numbers) < last - first + 1:
        gap = next(number for number in range(first, last) if number not in numbers)
        return Run(prefix, columns, f"number {gap} is missing")
    return Run(prefix, columns)


def _certain(schema: "pa.Schema", runs: list[Run], product: Product) -> list[str | Run]:
    """Return the columns whose names leave no doubt, of well-known products included."""
    prefixes = {EARTH_ENGINE.product: "A", MOSAIKS.product: "X_"}
    known = prefixes.get(product.product)
    certain: list[str | Run] = [
        field.name for field in schema if field.name.lower() in _CERTAIN and is_list(field.type)
    ]
    certain += [
        run for run in runs if run.prefix.lower().rstrip("_-.") in _CERTAIN or run.prefix == known
    ]
    return certain


def _lists(schema: "pa.Schema", places: Collection[str]) -> list[str | Run]:
    """Return lists of usual names, whatever numbers they hold, or else all lists of floats."""
    lists = [
        field
        for field in schema
        if is_list(field.type)
        and field.name not in places
        and field.name.lower() not in _NO_VECTORS
    ]
    usual = [field.name for field in lists if field.name.lower() in _USUAL]
    return [*(usual or (f.name for f in lists if pa.types.is_floating(value_type(f.type))))]


def _likely(schema: "pa.Schema", runs: list[Run], *, beside: bool) -> list[Run]:
    """Return the runs that may be vectors: short or whole ones only where there is nothing else."""
    likely = [
        run
        for run in runs
        if len(run.columns) >= _FEWEST_BESIDE
        and not all(pa.types.is_integer(schema.field(name).type) for name in run.columns)
    ]
    return likely or ([] if beside else runs)


def _named(where: str, schema: "pa.Schema", wanted: str) -> tuple[str, ...]:
    """Return the vector that was named: a list, a run by its prefix, or by one of its columns."""
    if wanted in schema.names and is_list(schema.field(wanted).type):
        return (wanted,)
    runs = numbered_runs(_real_columns(schema))
    for run in runs:
        if wanted == run.prefix or wanted in run.columns:
            return _columns(where, schema, run)
    if wanted in schema.names:
        raise SourceError(
            f"{where}: --vector {wanted!r}: a column of {schema.field(wanted).type}; expected "
            "lists of numbers, or what numbered columns begin with"
        )
    lists = [field.name for field in schema if is_list(field.type)]
    there = ", ".join(map(_text, [*lists, *runs])) or "neither"
    raise InvalidConfigError(
        f"{where}: --vector {wanted!r}: no such column; expected a column of lists, or what "
        f"numbered columns begin with; there is: {there}"
    )


def _columns(where: str, schema: "pa.Schema", found: str | Run) -> tuple[str, ...]:
    if isinstance(found, str):
        return (found,)
    if found.fault:
        others = [
            f"{field.name!r} is a column of {field.type}"
            for field in schema
            if not is_real(field.type)
            and (match := _NUMBERED.fullmatch(field.name))
            and match[1] == found.prefix
        ]
        raise SourceError(
            f"{where}: columns {found}: {', '.join([found.fault, *others[:3]])}; expected every "
            "number from 0 or 1 on once; name another vector with --vector, or mend the columns"
        )
    return found.columns


def _nothing(where: str, schema: "pa.Schema") -> SourceError:
    """Return the error for a table without a vector, or with one that holds something else."""
    usual = next((field for field in schema if field.name.lower() in _USUAL), None)
    if usual is not None:
        return SourceError(
            f"{where}, column {usual.name!r}: a column of {usual.type}; expected lists of numbers"
        )
    columns = ", ".join(schema.names[:12])
    return SourceError(
        f"{where}: columns {columns}; expected 'embedding' or 'embeddings' (lists of numbers), "
        "or numbered columns such as A00 … A63 or X_0 … X_3999; name the vector with --vector"
    )


def _real_columns(schema: "pa.Schema") -> list[str]:
    return [field.name for field in schema if is_real(field.type)]


def _text(found: str | Run) -> str:
    return f"lists in {found!r}" if isinstance(found, str) else str(found)


def _handle(found: str | Run) -> str:
    """Return what to pass to ``--vector``."""
    return found if isinstance(found, str) else found.prefix or found.columns[0]
