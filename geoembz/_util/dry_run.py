"""Dry runs: a command looks at everything, says what it would do, and does nothing.

The command itself looks, by the code that it always runs: where it would begin to change something,
it asks `is_dry` and raises what it `Foreseen` instead.
"""

from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

from geoembz._text import format_bytes
from geoembz._util.results import Result
from geoembz.errors import InvalidConfigError

_DRY = ("convert", "append", "update", "publish")

_dry: ContextVar[bool] = ContextVar("dry", default=False)


@dataclass(frozen=True, kw_only=True)
class DryRun(Result):
    """What a command would do.

    Parameters
    ----------
    command
        ``convert``, ``append``, ``update`` or ``publish``.
    destination
        Where it would write.
    state
        What is there now, and what would become of it.
    inputs
        What it would read.
    input_bytes
        Size of their files; None where nobody knows.
    unit
        What is counted: ``pixel``, ``row`` or ``object``.
    count
        How many of them there are to read.
    bytes_read
        Their size, uncompressed; of objects, as they are.
    recipe
        How they would be encoded; None where nothing is.
    bytes_per_embedding
        Nominal size of one code.
    grids
        How many grids there are.
    shards
        Stored shards to write, at most: those without data are not stored.
    shards_done
        Those that an interrupted run of the command has written already.
    objects
        Objects of data to write, at most; metadata are some dozen more.
    bytes_written
        Their size before compression, which takes something off.
    memory_bytes
        What the work holds at once, about, beside Python and its libraries; None where that is
        little.
    notes
        What a reader may want to know.
    """

    command: str
    destination: str
    state: str
    inputs: tuple[str, ...]
    input_bytes: int | None
    unit: str
    count: int
    bytes_read: int
    recipe: str | None = None
    bytes_per_embedding: int | None = None
    grids: int = 1
    shards: int = 0
    shards_done: int = 0
    objects: int
    bytes_written: int
    memory_bytes: int | None = None
    notes: tuple[str, ...] = ()

    def _rows(self) -> Iterable[Sequence[str]]:
        yield "dry run", f"{self.command}: nothing was written"
        yield "destination", f"{self.destination}: {self.state}"
        files = "" if self.input_bytes is None else f", {format_bytes(self.input_bytes)}"
        first, others = self.inputs[0], f" and {len(self.inputs) - 1:,} more"
        yield "inputs", f"{first}{others if len(self.inputs) > 1 else ''}{files}"
        uncompressed = "" if self.unit == "object" else " uncompressed"
        counted = f"{_some(self.count, self.unit)}, {format_bytes(self.bytes_read)}{uncompressed}"
        yield "reads", counted + (f", in {self.grids} grids" if self.grids > 1 else "")
        if self.recipe is not None:
            yield "recipe", f"{self.recipe}  ({self.bytes_per_embedding} bytes per embedding)"
        yield "writes", ", ".join(self._written())
        if self.memory_bytes is not None:
            yield "memory", f"about {format_bytes(self.memory_bytes)}, beside Python itself"
        yield from (("note", note) for note in self.notes)

    def _written(self) -> Iterable[str]:
        if self.shards_done:
            yield f"{self.shards - self.shards_done:,} of {_some(self.shards, 'shard')}"
        elif self.shards:
            yield _some(self.shards, "shard")
        most = "" if self.unit == "object" else "at most "
        yield most + _some(self.objects, "object")
        yield format_bytes(self.bytes_written) + (
            "" if self.unit == "object" else " before compression"
        )


def _some(count: int, unit: str) -> str:
    return f"{count:,} {unit}{'s' * (count != 1)}"


class Foreseen(BaseException):
    """Carries what a command would do out of it; no error, so that nobody handles it as one."""

    def __init__(self, outlook: DryRun) -> None:
        super().__init__()
        self.outlook = outlook


def is_dry() -> bool:
    """Whether nothing may be changed."""
    return _dry.get()


def dry_run[**P](function: Callable[P, Any], *args: P.args, **kwargs: P.kwargs) -> DryRun:
    """Say what a call would do, and do nothing.

    What is wrong with the call is raised as ever: an input that cannot be opened, a destination
    that is taken, an option that does not fit. No file is made, no lock is taken and no cluster
    started. Inputs are opened, and tables are read for the places of their rows, but no vectors.

    Parameters
    ----------
    function
        `geoembz.convert`, `geoembz.append`, `geoembz.update` or `geoembz.publish`.
    *args, **kwargs
        What it is called with.

    Returns
    -------
    outlook
        What it would read and write.

    Raises
    ------
    InvalidConfigError
        If the function is another one.
    GeoembzError
        What the call would raise before it changes anything.

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> found = geoembz.dry_run(geoembz.convert, files.embedding, tmp_path / "dry.zarr", pca=16)
    >>> found.count, found.shards, found.bytes_written
    (4096, 1, 65536)
    >>> (tmp_path / "dry.zarr").exists()
    False
    """
    name = getattr(function, "__name__", str(function))
    if name not in _DRY or not function.__module__.startswith("geoembz."):
        raise InvalidConfigError(f"dry_run of {name}; expected one of {', '.join(_DRY)}")
    token = _dry.set(True)
    try:
        function(*args, **kwargs)
    except Foreseen as foreseen:
        return foreseen.outlook
    finally:
        _dry.reset(token)
    raise RuntimeError(f"{name} foresaw nothing")
