"""Ctrl-C and SIGTERM: one line, the lock released, and the same command goes on."""

import os
import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

import geoembz
from geoembz._cli import main
from geoembz._cli.signals import Interruption, interruptible
from geoembz._util import threads
from geoembz._work import executors
from tests.forking import Forked
from tests.trees import names, objects

PROGRAM = """
import os, sys, time
from geoembz._cli import main
if sys.argv[1] == "open":
    from geoembz.sources.raster import RasterSource
    def slow(*_):
        os.write(1, b"there\\n")  # whole, whichever thread is first
        time.sleep(60)
    RasterSource.__init__ = slow
elif sys.argv[1] == "fit":
    from geoembz._convert.raster_conversion import RasterConversion
    def slow(*_):
        os.write(1, b"there\\n")  # whole, whichever thread is first
        time.sleep(60)
    RasterConversion.fit_encoding = slow
else:
    from geoembz.store.writer import StoreWriter
    write = StoreWriter.write_shard
    def slow(self, *arguments):
        write(self, *arguments)
        os.write(1, b"there\\n")  # whole, whichever thread is first
        time.sleep(0.5)
    StoreWriter.write_shard = slow
del sys.argv[1]
main()
"""
WORDS = ("--pca", "5", "--chunk", "8", "--shard", "16", "--quiet")


def interrupt(
    place: str, sent: signal.Signals, raster: Path, store: Any, *words: str
) -> tuple[int, str, float]:
    """Convert, send a signal once it is at a place; return exit code, last words and seconds."""
    command = ["-c", PROGRAM, place, "convert", str(raster), str(store), *WORDS, *words]
    read, write = os.pipe()
    with os.fdopen(read) as answers, tempfile.TemporaryFile() as said:
        with os.fdopen(write, "wb") as output:
            process = Forked(command, stdout=output, stderr=said)
        assert answers.readline() == "there\n"
        began = time.monotonic()
        process.send_signal(sent)
        code, seconds = process.wait(60), time.monotonic() - began
        said.seek(0)
        return code, said.read().decode(), seconds


@pytest.mark.parametrize(
    ("place", "sent", "code"),
    [
        ("open", signal.SIGTERM, 143),
        ("fit", signal.SIGINT, 130),
        ("shards", signal.SIGINT, 130),
        ("shards", signal.SIGTERM, 143),
    ],
)
def test_a_signal_is_answered_in_one_line(
    place: str, sent: signal.Signals, code: int, raster: Path, tmp_path: Path
) -> None:
    """It says what to do, and that works; no lock stays, and of a fit that did not end, nothing."""
    returned, said, seconds = interrupt(place, sent, raster, tmp_path / "out")
    assert returned == code
    name = {130: "interrupted", 143: "terminated"}[code]
    assert said == f"geoembz: {name}; run the same command again to go on where it stopped\n"
    assert seconds < 5
    assert not (tmp_path / "out/.geoembz/lock.json").exists()
    assert (tmp_path / "out").exists() == (place == "shards")
    with pytest.raises(SystemExit) as caught:
        main(["convert", str(raster), str(tmp_path / "out"), *WORDS])
    assert caught.value.code == 0
    geoembz.convert(raster, tmp_path / "fresh", pca=5, chunk=8, shard=16)
    assert objects(tmp_path / "out") == objects(tmp_path / "fresh")


def test_ctrl_c_while_a_store_is_to_be_replaced(raster: Path, tmp_path: Path) -> None:
    """The old store is as it was, and nothing lies beside it."""
    geoembz.convert(raster, tmp_path / "out", pca=3)
    before = objects(tmp_path / "out")
    assert interrupt("fit", signal.SIGINT, raster, tmp_path / "out", "--overwrite")[0] == 130
    assert objects(tmp_path / "out") == before
    assert names(tmp_path) == ["out"]
    assert names(tmp_path / "out") == [name for name in names(tmp_path / "out") if name[0] != "."]


def test_an_empty_folder_of_the_user_s_stays(
    raster: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Interrupted or failed, a conversion removes what it made and nothing else."""
    (tmp_path / "out").mkdir()

    def interrupted(*_: object) -> None:
        (tmp_path / "out" / "notes.txt").write_text("mine")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(
            "geoembz._convert.raster_conversion.RasterConversion.fit_encoding", interrupted
        )
        with pytest.raises(KeyboardInterrupt):
            geoembz.convert(raster, tmp_path / "out")
    assert names(tmp_path / "out") == ["notes.txt"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_whatever_the_command(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Typer keeps Ctrl-C to itself; we do not."""

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt if number == signal.SIGINT else Interruption(number)

    monkeypatch.setattr("geoembz.info", interrupted)
    with pytest.raises(SystemExit) as caught:
        main(["info", "a.zarr"])
    assert caught.value.code == 128 + number
    assert "run the same command again" in capsys.readouterr().err


def test_the_second_signal_ends_the_process(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Whatever it waits for; one that comes with the first, as from `timeout`, is the first."""

    class Ended(BaseException):
        """Stands for the end of the process."""

    def exit_at_once(code: int) -> None:
        assert code == 143
        raise Ended

    monkeypatch.setattr("os._exit", exit_at_once)
    with interruptible():
        with pytest.raises(Interruption):
            signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        assert capfd.readouterr().err == ""
        time.sleep(0.25)
        with pytest.raises(Ended):
            signal.raise_signal(signal.SIGTERM)
    assert "terminated; run the same command again" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_running_tasks_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Interrupted, no task begins, and those that run end before anybody lets go of anything."""
    begun, ended = [], []

    def task(number: int) -> None:
        begun.append(number)
        if number == 1:
            os.kill(os.getpid(), signal.SIGINT)  # to the process, as Ctrl-C: not to this thread
        time.sleep(0.2)
        ended.append(number)

    with pytest.raises(KeyboardInterrupt):
        executors.run_tasks(task, range(50), workers=2)
    assert begun
    assert len(begun) < 50
    assert sorted(begun) == sorted(ended)
    count = len(begun)
    time.sleep(0.3)
    assert len(begun) == count


def test_tasks_that_never_end_are_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that does not answer keeps nobody from ending."""
    monkeypatch.setattr(threads, "RUNNING_SECONDS", 0.1)
    answered = threading.Event()

    def task(number: int) -> None:
        if number == 0:
            answered.wait(30)
        else:
            signal.raise_signal(signal.SIGINT)

    began = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            executors.run_tasks(task, range(2), workers=2)
        assert time.monotonic() - began < 5
    finally:
        answered.set()
