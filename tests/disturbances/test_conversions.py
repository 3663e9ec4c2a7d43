"""Conversions of every kind, killed or interrupted at random moments, here and to a server.

References: docs/explanation/reliability.md, which has the figures.
"""

import signal
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import geoembz
from geoembz.errors import GeoembzError
from geoembz.store.journal import LOCK
from tests.disturbances.conversions import KINDS, Kind
from tests.disturbances.process import (
    Command,
    Contents,
    Ending,
    Pace,
    Tally,
    check_answer,
    copy_of,
    phase,
    read_file,
    repeat,
    shown,
)
from tests.publish.conftest import Server
from tests.trees import names, objects
from tests.verification.mutations import readings

LONGEST_S = 8.0
"""That a machine with other work may take to end after Ctrl-C; the page has the figures."""


def trials(
    many: Callable[[Kind], int], few: Callable[[Kind], int], *marks: pytest.MarkDecorator
) -> pytest.MarkDecorator:
    """Parametrise a test by the kind of conversion and the number of its trials."""
    found = [
        pytest.param(name, number, marks=[mark, *marks], id=f"{name}-{number}")
        for name, kind in KINDS.items()
        for number, mark in ((few(kind), pytest.mark.slow), (many(kind), pytest.mark.experiment))
        if number
    ]
    return pytest.mark.parametrize(("name", "n_rounds"), found)


@dataclass(frozen=True)
class Undisturbed:
    """A conversion that nobody disturbed: what it reads, found and made, and how long it took."""

    kind: Kind
    source: Path
    before: Path
    old: Contents
    new: Contents
    read: tuple[Mapping[str, str], ...]  # of the old store, if there is one, and of the new
    pace: Pace


type Find = Callable[[str], Undisturbed]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Find:
    """Return what converts once, and remembers."""
    known: dict[str, Undisturbed] = {}

    def find(name: str) -> Undisturbed:
        if name not in known:
            known[name] = _convert(KINDS[name], tmp_path_factory.mktemp("undisturbed"))
        return known[name]

    return find


def _convert(kind: Kind, folder: Path) -> Undisturbed:
    source, before = kind.prepare(folder)
    fresh = copy_of(before, folder / "fresh")
    command = Command(kind.command(source, fresh / "out"), fresh)
    pace = command.measure(read_file(fresh / "out" / LOCK))
    found = [readings(place / "out") for place in (before, fresh) if (place / "out").exists()]
    old, new = objects(before / "out"), objects(fresh / "out")
    assert new
    assert new != old
    return Undisturbed(kind, source, before, old, new, tuple(found), pace)


class Trial:
    """A conversion that is disturbed, on this machine."""

    def __init__(self, known: Undisturbed, folder: Path, tally: Tally) -> None:
        self.known, self.tally = known, tally
        self.folder = copy_of(known.before, folder)
        self.store = folder / "out"
        self.command = Command(known.kind.command(known.source, self.store), folder)

    def disturb(self, sent: signal.Signals, share: float) -> Ending:
        """Send a signal, look, and count when it came."""
        found = objects(self.store)
        holder = read_file(self.store / LOCK)
        ending = self.command.disturb(sent, share, self.known.pace, holder)
        self._look()
        came, known = objects(self.store), self.known
        is_new, is_untouched = came == known.new, came in (found, known.old)
        self.tally.add(phase(ending, is_new=is_new, is_untouched=is_untouched))
        if sent != signal.SIGKILL and ending.was_disturbed:
            check_answer(ending, is_new=is_new, is_untouched=is_untouched)
            assert LOCK not in came
        return ending

    def _look(self) -> None:
        """Whatever is there is the old store, the new one, or refused in words."""
        if (self.store / "zarr.json").exists():
            assert readings(self.store) in self.known.read
            return
        assert self.known.kind.before is None  # else the old store has gone
        with pytest.raises((GeoembzError, FileNotFoundError)):
            geoembz.open(self.store)

    def repeat(self) -> None:
        """Run the same command again: the bytes are those of an undisturbed one, and no more."""
        known = self.known
        is_repeatable = known.kind.is_repeatable
        repeat(self.command, lambda: objects(self.store), known.new, repeatable=is_repeatable)
        assert names(self.folder) == ["out", "said", "tmp"]
        self.tally.add("byte-identical after the same command")


@trials(lambda kind: kind.kills, lambda kind: kind.kills_in_ci)
def test_killed_at_random_moments(
    name: str,
    n_rounds: int,
    undisturbed: Find,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """Every third one is killed twice; the same command gives the bytes of an undisturbed one."""
    known, tally = undisturbed(name), Tally(f"kill -9, {name}")
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    for number, share in enumerate(Pace.shares(rng, n_rounds)):
        trial = Trial(known, tmp_path / str(number), tally)
        trial.disturb(signal.SIGKILL, share)
        if number % 3 == 0:
            trial.disturb(signal.SIGKILL, Pace.shares(rng, 1)[0] / 2)
        trial.repeat()
    tally.report(request)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM], ids=lambda sent: sent.name)
@trials(lambda kind: kind.interruptions, lambda kind: int(kind.interruptions > 3))
def test_interrupted_at_random_moments(
    name: str,
    n_rounds: int,
    sent: signal.Signals,
    undisturbed: Find,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """It ends soon, with one line that says what to do, and its lock has gone."""
    known, tally = undisturbed(name), Tally(f"{sent.name}, {name}")
    rng = np.random.default_rng(zlib.crc32(f"{name} {sent}".encode()))
    for number, share in enumerate(Pace.shares(rng, n_rounds)):
        trial = Trial(known, tmp_path / str(number), tally)
        ending = trial.disturb(sent, share)
        trial.repeat()
        tally.time(ending, LONGEST_S)
    tally.report(request)


@trials(lambda kind: kind.to_server, lambda kind: int(kind.to_server > 5), pytest.mark.server)
def test_interrupted_on_the_way_to_a_server(
    name: str,
    n_rounds: int,
    undisturbed: Find,
    gateway: Server,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """The same, where shards are in flight; nobody sees a store before it is whole."""
    known, tally = undisturbed(name), Tally(f"Ctrl-C, {name} to the gateway")
    pace = _on_server(known, gateway, "fresh", tmp_path).measure(
        lambda: gateway.find(f"fresh/{LOCK}")
    )
    assert gateway.contents("fresh") == known.new
    rng = np.random.default_rng(zlib.crc32(f"{name} server".encode()))
    for number, share in enumerate(Pace.shares(rng, n_rounds)):
        place = f"{number}/out"
        command = _on_server(known, gateway, place, tmp_path)
        holder = lambda: gateway.find(f"{place}/{LOCK}")  # noqa: B023, E731
        ending = command.disturb(signal.SIGINT, share, pace, holder)
        came = gateway.contents(place)
        is_new = came == known.new
        assert "zarr.json" not in came or shown(came) == known.new
        if ending.was_disturbed:
            check_answer(ending, is_new=is_new, is_untouched=not came)
        tally.add(phase(ending, is_new=is_new, is_untouched=not came))
        if LOCK in came:
            tally.add("locks left, of a dead process")
        repeat(command, lambda: gateway.contents(place), known.new, repeatable=False)  # noqa: B023
        tally.add("byte-identical after the same command")
        tally.time(ending, LONGEST_S)
    tally.report(request)


def _on_server(known: Undisturbed, server: Server, place: str, folder: Path) -> Command:
    words = known.kind.command(known.source, f"s3://{server.bucket}/{place}")
    return Command(words, folder, {"AWS_ENDPOINT_URL": server.endpoint})
