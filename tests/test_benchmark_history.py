"""Every run of the benchmarks is kept: lines are added, none is changed."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks import history, report
from benchmarks.report import Row, Target

MACHINE = {"cpu": "fast", "cores": "2", "date": "2026-01-02"}


def table(value: float) -> list[dict[str, str]]:
    """Return the cells of one number with a target, and one without."""
    rows = [Row("a", "ratio", value, "x", Target("<=", 2.0)), Row("a", "seconds", 1.0, "s")]
    return [row.cells() for row in rows]


def test_runs_are_added(tmp_path: Path) -> None:
    """What was there stays to the byte; a line says all of its run."""
    history.add(tmp_path, "convert", table(1.5), MACHINE)
    first = (tmp_path / history.HISTORY).read_bytes()
    history.add(tmp_path, "convert", table(3.0), MACHINE)
    assert (tmp_path / history.HISTORY).read_bytes().startswith(first)
    one, other = history.read(tmp_path)
    assert one["suite"] == "convert"
    assert one["cpu"] == "fast"
    assert one["commit"]
    assert other["numbers"][0] == ["a", "ratio", "3", "x", "<= 2", "NO"]


def test_a_number_is_followed_from_run_to_run(tmp_path: Path) -> None:
    """Those with a target, apart for each machine; the picture can be drawn."""
    for value in (1.5, 3.0, 1.0):
        history.add(tmp_path, "convert", table(value), MACHINE)
    history.add(tmp_path, "convert", table(9.0), {**MACHINE, "cpu": "slow"})
    found = history.series(history.read(tmp_path))
    name = "convert: a, ratio [x <= 2] on fast, 2 cores"
    assert [value for _, value in found[name]] == [1.5, 3.0, 1.0]
    assert len(found) == 2
    assert history.describe(name, found[name]) == f"{name}: 3 runs, 1.5 -> 1 (1 to 3)"
    history.plot(tmp_path / "a.png", found)
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")


def test_what_is_published_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each CSV that is written adds a run; its rows are those of the run alone."""
    monkeypatch.setattr(report, "versions", dict)
    options = SimpleNamespace(smoke=False, out=tmp_path)
    report.publish("tiny", [Row("a", "ratio", 1.0, "x")], options, keep=True)
    report.publish("tiny", [Row("b", "ratio", 2.0, "x")], options, keep=True)
    assert (tmp_path / "tiny.csv").read_text().count("\n") == 3
    cases = [[number[0] for number in run["numbers"]] for run in history.read(tmp_path)]
    assert cases == [["a"], ["b"]]


def test_the_history_in_the_repository_is_whole(repository: Path) -> None:
    """It can be read, and names where and when each number was measured."""
    runs = history.read(repository / "benchmarks" / "results")
    assert len(runs) >= 39
    assert {"convert", "decode", "search"} <= {run["suite"] for run in runs}
    assert all({"suite", "commit", "date", "cpu", "numbers"} <= run.keys() for run in runs)
