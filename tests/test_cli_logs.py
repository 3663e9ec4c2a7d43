"""What a command does is said once, through `logging`: with -v, in a log, and on a bar."""

import io
import logging
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz._cli.output import Output
from geoembz._cli.progress import LINE_SECONDS, LogLines
from geoembz._util.progress import Bar, Rate, listened, told
from tests.conftest import MakeRaster

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def source(tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator) -> Path:
    return make_raster(tmp_path / "a.tif", rng.normal(size=(6, 20, 20)).astype("float32"))


def ran(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run a command; return its exit code and both streams."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    return int(left.value.code or 0), *capsys.readouterr()


def test_verbose_says_what_begins(
    capsys: pytest.CaptureFixture[str], source: Path, tmp_path: Path
) -> None:
    """On standard error, a line for each phase; twice, also for each task; without, nothing."""
    code, out, err = ran(capsys, "convert", source, tmp_path / "a.zarr", "--pca", 2, "-v")
    assert code == 0
    said = [line.split(" ", 3)[2:] for line in err.splitlines()]
    assert ["geoembz.convert:", f"sampling {source}"] in said
    assert ["geoembz.convert:", "fitting pca2-int8"] in said
    assert ["geoembz.work:", "writing 1 shards"] in said
    assert "geoembz.work" not in out
    assert "1 of 1 done" not in err
    assert "1 of 1 done" in ran(capsys, "convert", source, tmp_path / "b.zarr", "-v", "-v")[2]
    assert ran(capsys, "convert", source, tmp_path / "c.zarr")[2] == ""
    assert ran(capsys, "convert", source, tmp_path / "d.zarr", "-v", "--quiet")[1:] == ("", "")
    assert not logging.getLogger("geoembz").handlers
    assert logging.getLogger("geoembz").level == logging.NOTSET


def test_a_log_has_all_of_a_job(
    capsys: pytest.CaptureFixture[str],
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """How it began and ended, phases, how far it was, warnings, errors; appended, no secrets."""
    monkeypatch.setattr("geoembz._cli.progress.LINE_SECONDS", 0.0)
    monkeypatch.setattr(sys, "argv", ["geoembz", "convert", "https://me:secret@host/a.tif"])
    log, store = tmp_path / "job.log", tmp_path / "a.zarr"
    words = ["convert", source, store, "--pca", 2, "--log-file", log]
    assert ran(capsys, *words, "--quiet") == (0, "", "")
    text = log.read_text("utf-8")
    assert "INFO geoembz.cli: begun: geoembz convert https://***@host/a.tif" in text
    assert "INFO geoembz.convert: sampling" in text
    assert re.search(r"geoembz\.cli: shards 1 of 1 \(100\.0%\), \S+/s, 0:00:00 left", text)
    assert text.endswith("INFO geoembz.cli: finished\n")
    assert ran(capsys, *words)[0] == 2
    assert f"ERROR geoembz.cli: DestinationExistsError: {store}: holds" in log.read_text("utf-8")
    other = ran(capsys, "convert", source, tmp_path / "b.zarr", "--basis", store, *words[-2:])
    for line in re.findall(r"geoembz: warning: (.*)", other[2]):
        assert f"WARNING geoembz.cli: {line}" in log.read_text("utf-8")


def test_a_log_that_cannot_be_written(
    capsys: pytest.CaptureFixture[str], source: Path, tmp_path: Path
) -> None:
    """Before anything is done."""
    words = ["convert", source, tmp_path / "a.zarr", "--log-file", tmp_path / "none" / "job.log"]
    code, _, err = ran(capsys, *words)
    assert code == 2
    assert "job.log: cannot be written" in err
    assert not (tmp_path / "a.zarr").exists()


def test_python_hears_the_same(
    source: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Under names of the package, at level INFO."""
    with caplog.at_level("INFO", "geoembz"):
        geoembz.convert(source, tmp_path / "a.zarr", pca=2)
    assert "fitting pca2-int8" in caplog.messages
    assert {record.name.partition(".")[0] for record in caplog.records} == {"geoembz"}


class Terminal(io.StringIO):
    """Takes a bar."""

    def isatty(self) -> bool:
        """Return what terminals do."""
        return True


def test_a_bar_shows_phase_count_rate_and_time_left(
    monkeypatch: pytest.MonkeyPatch, source: Path, tmp_path: Path
) -> None:
    """The phase before there is anything to count, then how many, how fast, and how long yet."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    shown = []
    told_before = Bar.__call__

    def record(self: Bar, done: int, total: int) -> None:
        told_before(self, done, total)
        (task,) = self._bar.tasks
        shown.append((task.description, task.completed, task.total, {**task.fields}))

    monkeypatch.setattr(Bar, "__call__", record)
    with Output().progress("shards") as progress:
        geoembz.convert(source, tmp_path / "a.zarr", pca=2, progress=progress)
    *_, (description, done, total, more) = shown
    assert (description, done, total) == ("writing 1 shards", 1, 1)
    assert more["rate"].endswith("/s")
    assert more["left"] == "0:00:00 left"


def test_rate_begins_with_the_work() -> None:
    """A minute of fitting before is no part of it; a log says a line a minute."""
    now = [0.0]
    lines: list[str] = []
    log = LogLines("shards", lines.append, lambda: now[0])
    with told([log]) as tell:
        now[0] = 600.0
        logging.getLogger("geoembz.convert").info("writing 100 shards")
        now[0] += 10
        tell(20, 100)
        now[0] += LINE_SECONDS - 1
        tell(99, 100)  # too soon
        now[0] += 31
        tell(50, 100)  # of the next grid: what was done before counts no more
    assert lines[0] == "shards 20 of 100 (20.0%), 2/s, 0:00:40 left"
    assert len(lines) == 2
    assert lines[1].startswith("shards 50 of 100 (50.0%)")


def test_quiet_and_json_draw_nothing() -> None:
    """Nobody is told of progress then, but the log, if there is one."""
    for output in (Output(quiet=True), Output(as_json=True)):
        with output.progress("shards") as progress:
            assert progress is None


def test_whoever_listens_hears_of_every_long_call(source: Path, tmp_path: Path) -> None:
    """Also of those that take no `progress`: blocks, each once, to the last one."""
    store = tmp_path / "a.zarr"
    geoembz.convert(source, store, pca=2, chunk=8, shard=8)
    dataset = geoembz.open(store)
    points = [(float(x), float(y)) for x in dataset.x[::8] for y in dataset.y[::8]]
    calls: tuple[tuple[str, Callable[[], object]], ...] = (
        ("search", lambda: geoembz.search(store, np.ones(6, np.float32), k=2, workers=2)),
        ("verify", lambda: geoembz.verify(store, workers=2)),
        ("index", lambda: geoembz.index(store, tmp_path / "a.parquet")),
        ("export", lambda: geoembz.export(store, tmp_path / "out.tif")),
        ("sample", lambda: geoembz.sample(store, points, crs="EPSG:32632")),
        ("preview", lambda: geoembz.preview(store, tmp_path / "a.png")),
    )
    for name, call in calls:
        heard: list[tuple[int, int]] = []
        with listened(lambda done, total, to=heard: to.append((done, total))):  # type: ignore[misc]
            call()
        total = heard[0][1]
        assert sorted(heard) == [(done, total) for done in range(1, total + 1)], name
        assert total == 9 or name in {"export", "preview"}, name  # which read many at once


def test_a_bar_in_python(
    monkeypatch: pytest.MonkeyPatch,
    source: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Round whatever is called, and gone afterwards."""
    shown: list[tuple[int, int]] = []
    monkeypatch.setattr(Bar, "__call__", lambda _, done, total: shown.append((done, total)))
    with geoembz.show_progress():
        geoembz.convert(source, tmp_path / "a.zarr", pca=2, chunk=8, shard=8)
    assert (9, 9) in shown
    shown.clear()
    geoembz.verify(tmp_path / "a.zarr")
    assert not shown
    assert capsys.readouterr().out == ""


def test_rate_is_that_of_the_phase() -> None:
    """A phase that counts on, as the next level does, is as fast as it is; so is one from 1."""
    now = [0.0]
    rate = Rate(lambda: now[0])
    now[0] = 10
    assert rate(100) == 10
    rate.restart()
    now[0] = 12
    assert rate(104) == 2  # of a count that goes on
    rate.restart()
    now[0] = 16
    assert rate(8) == 2  # of one that begins anew with its phase
    now[0] = 20
    assert rate(1) == 0  # and of one that begins anew without: nothing is known yet
    now[0] = 21
    assert rate(4) == 4
