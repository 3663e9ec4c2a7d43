"""A command in a process of its own, stopped by a signal at a random moment; and what it leaves.

The three experiments of this folder share it: kill -9, Ctrl-C, two publishers. A trial copies what
is there before, disturbs the command, looks, and runs the same command again.
"""

import os
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest

from geoembz.store.journal import FOLDER
from tests.conftest import EXPERIMENT
from tests.forking import Forked
from tests.trees import names

PATIENCE_S = 120.0
AGAIN = "run the same command again to go on where it stopped\n"

_OF_DASK = {"dask-scratch-space"}  # two empty files, made anew by every cluster

type Contents = dict[str, bytes]
type Holder = Callable[[], bytes | None]
"""Reads the lock of a destination."""


def rounds(few: int, many: int, always: int = 0) -> pytest.MarkDecorator:
    """Parametrise a test by its number of rounds.

    Parameters
    ----------
    few, many
        In .ci/run, and in the experiment, as docs/explanation/reliability.md claims.
    always
        In every run of the tests, if at all.
    """
    found = [(few, [pytest.mark.slow]), (many, [pytest.mark.experiment]), (always, [])]
    counts = [
        pytest.param(count, marks=marks, id=f"{count} rounds") for count, marks in found if count
    ]
    return pytest.mark.parametrize("n_rounds", counts)


def bounded(order: int) -> pytest.MarkDecorator:
    """Mark one of a list of long cases: every third one runs in .ci/run, all in the experiment."""
    return pytest.mark.experiment if order % 3 else pytest.mark.slow


@dataclass
class Pace:
    """How long a command takes that nobody disturbs; learns, as other work on the machine changes.

    Parameters
    ----------
    start_s, work_s
        Seconds from its start until it holds its destination, and from then until its end.
    """

    start_s: float
    work_s: float

    @staticmethod
    def shares(rng: np.random.Generator, count: int) -> list[float]:
        """Return random shares of the work, one in each of `count` equal parts, in any order.

        Negative ones are of the time before. Single ones are in the middle, where most is to be
        seen.
        """
        first, last = -0.05, 1.02
        margin = 0.0 if count > 2 else 0.2
        parts = (np.arange(count) + rng.uniform(margin, 1 - margin, count)) / count
        return [float(part) for part in rng.permutation(first + parts * (last - first))]


@dataclass(frozen=True)
class Ending:
    """How a process ended.

    Parameters
    ----------
    code
        As `subprocess` has it: negative for a signal.
    said
        All that it printed.
    seconds
        From its start, or from the signal, to its end.
    was_disturbed
        Whether it still ran when the signal was sent.
    """

    code: int
    said: str
    seconds: float
    was_disturbed: bool = False


@dataclass(frozen=True)
class Command:
    """Words for `geoembz`, and the folder whose ``tmp`` takes its temporary files.

    Parameters
    ----------
    words
        Of the command line.
    folder
        Where it runs.
    environment
        Further variables.
    """

    words: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def start(self) -> Forked:
        """Start it in a session of its own, as a terminal does."""
        (self.folder / "tmp").mkdir(exist_ok=True)
        with (self.folder / "said").open("wb") as said:
            return Forked(
                ["-m", "geoembz", *self.words],
                env={**os.environ, "TMPDIR": str(self.folder / "tmp"), **self.environment},
                stdout=said,
                stderr=said,
                start_new_session=True,
            )

    def run(self) -> Ending:
        """Let it come to its end."""
        return self.end(self.start(), time.monotonic())

    def measure(self, holder: Holder) -> Pace:
        """Let it come to its end, and measure how long it takes."""
        process, began = self.start(), time.monotonic()
        start_s = _wait_for_lock(process, holder)
        ending = self.end(process, began)
        assert ending.code == 0, ending.said
        return Pace(start_s, ending.seconds - start_s)

    def disturb(self, sent: signal.Signals, share: float, pace: Pace, holder: Holder) -> Ending:
        """Send it a signal after a share of its work, unless it has ended by then.

        Ctrl-C reaches every process of the session, the others the command alone.
        """
        process, began = self.start(), time.monotonic()
        try:
            if share < 0:
                process.wait((1 + share) * pace.start_s)
            else:
                _wait_for_lock(process, holder)
                held = time.monotonic()
                process.wait(share * pace.work_s)
                if process.returncode == 0:  # it may have had less to do
                    pace.work_s = max(0.7 * pace.work_s, time.monotonic() - held)
        except subprocess.TimeoutExpired:
            began = time.monotonic()
            send = os.killpg if sent == signal.SIGINT else os.kill
            send(process.pid, sent)
            return self.end(process, began, was_disturbed=True)
        return self.end(process, began)

    def end(self, process: Forked, began: float, *, was_disturbed: bool = False) -> Ending:
        """Wait until a process, and all that it started, have ended."""
        try:
            code = process.wait(PATIENCE_S)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        seconds = time.monotonic() - began
        wait_for_session(process.pid)
        return Ending(code, (self.folder / "said").read_text(), seconds, was_disturbed)

    def leftovers(self) -> list[str]:
        """Return what lies where temporary files go."""
        return [name for name in names(self.folder / "tmp") if name not in _OF_DASK]


def _wait_for_lock(process: Forked, holder: Holder) -> float:
    """Return once a process holds its destination or has ended, and after how many seconds."""
    began = time.monotonic()
    while process.poll() is None:
        if f'"pid": {process.pid},'.encode() in (holder() or b""):
            break
        time.sleep(0.005)
    return time.monotonic() - began


def read_file(path: Path) -> Holder:
    """Return what reads a file, if it is there."""

    def read() -> bytes | None:
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None

    return read


def wait_for_session(session: int) -> None:
    """Return once no process of a session is left: workers notice by themselves."""
    deadline = time.monotonic() + PATIENCE_S
    while orphans := [pid for pid in psutil.pids() if _session(pid) == session]:
        assert time.monotonic() < deadline, f"orphans: {orphans}"
        time.sleep(0.02)


def _session(pid: int) -> int:
    try:
        return 0 if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE else os.getsid(pid)
    except (psutil.NoSuchProcess, ProcessLookupError):
        return 0


@dataclass
class Tally:
    """Counts what came of the rounds of an experiment, and times; says so in the summary."""

    name: str
    counts: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def add(self, *what: str) -> None:
        """Count."""
        self.counts.update(what)

    def time(self, ending: Ending, longest_s: float) -> None:
        """Remember how long a process took to end that a signal met, and bound it."""
        if ending.was_disturbed:
            self.seconds.append(ending.seconds)
            assert ending.seconds < longest_s

    def report(self, request: pytest.FixtureRequest) -> None:
        """Give the figures to the summary that pytest prints at its end."""
        said = ", ".join(f"{count} {what}" for what, count in self.counts.items())
        if self.seconds:
            middle, longest = np.median(self.seconds), max(self.seconds)
            said += f"; ended {middle:.2f} s after the signal (median), {longest:.2f} s at most"
        request.node.user_properties.append((EXPERIMENT, f"{self.name}: {said}"))


def phase(ending: Ending, *, is_new: bool, is_untouched: bool) -> str:
    """Say when a signal came."""
    if not ending.was_disturbed:
        return "ended before it came"
    if is_new:
        return "when all was done"
    return "before anything was" if is_untouched else "midway"


def copy_of(before: Path, folder: Path) -> Path:
    """Return a new folder that holds what was there before."""
    shutil.copytree(before, folder)
    return folder


def repeat(
    command: Command, contents: Callable[[], Contents], new: Contents, *, repeatable: bool
) -> None:
    """Run the same command again, undisturbed: what is there then are the bytes of `new`.

    Where there was nothing left to do, a command that is not repeatable may say so.
    """
    left = difference(shown(contents()), new)  # a server may still be told to remove a journal
    ending = command.run()
    is_refused = not repeatable and not left and " already" in ending.said
    assert ending.code == 0 or is_refused, f"{ending.said}{left}"
    assert difference(contents(), new) == []
    assert command.leftovers() == []


def check_answer(ending: Ending, *, is_new: bool, is_untouched: bool) -> None:
    """Check the answer to Ctrl-C or SIGTERM: its exit code, and one line."""
    if ending.code == 0:
        assert is_new, ending.said  # it came when all was done
    elif ending.code < 0:  # Python had not begun to run our code, or had ended it
        assert is_untouched or is_new, ending.said
        assert "geoembz:" not in ending.said
    else:
        assert ending.code in (130, 143), ending.said
        *_, last = ending.said.splitlines(keepends=True)
        assert last.endswith(AGAIN), ending.said
        assert "Traceback" not in ending.said or "distributed/nanny" in ending.said  # it began


def shown(contents: Contents) -> Contents:
    """Return what readers of a store look at: all but locks and journals."""
    return {key: value for key, value in contents.items() if not key.startswith(FOLDER)}


def difference(came: Contents, expected: Contents) -> list[str]:
    """Return the names of objects that are not what they should be."""
    keys = sorted(came.keys() | expected.keys())
    return [key for key in keys if came.get(key) != expected.get(key)]
