"""Run one command and take note of what it took, its children included.

Processor time is the kernel's; memory and open files are looked at a few times a second, and a
short peak between two looks is missed.
"""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_LOOK_S = 0.2


@dataclass(frozen=True)
class Took:
    """What one command took.

    Parameters
    ----------
    exit_code
        Negative where a signal ended it.
    wall_s, cpu_s
        Time on the clock; user and system time of all its processes.
    peak_rss_bytes
        Largest sum of the resident memory of its processes.
    peak_files
        Largest number of files that they had open at once.
    """

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_rss_bytes: int
    peak_files: int


def watch(command: Sequence[str], log: Path, kill_after_s: float | None = None) -> Took:
    """Run a command to its end, or kill it as a power cut would.

    Parameters
    ----------
    command
        Program and arguments.
    log
        Gets what it prints: output and errors.
    kill_after_s
        Seconds after which it and its children are killed; None for never.
    """
    started = time.perf_counter()
    with log.open("ab") as file:
        child = subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT)
    watcher = _Watcher(child.pid, kill_after_s)
    watcher.start()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    watcher.ended.set()
    watcher.join()
    return Took(
        child.returncode,
        time.perf_counter() - started,
        usage.ru_utime + usage.ru_stime,
        watcher.rss,
        watcher.files,
    )


class _Watcher(threading.Thread):
    """Looks at a process and its children until it is told that they ended."""

    def __init__(self, pid: int, kill_after_s: float | None) -> None:
        super().__init__(daemon=True)
        self.ended = threading.Event()
        self.rss = self.files = 0
        self._pid, self._kill_after_s = pid, kill_after_s

    def run(self) -> None:
        """Look, wait, look again."""
        started = time.perf_counter()
        while not self.ended.wait(_LOOK_S):
            family = self._family()
            self.rss = max(self.rss, sum(map(_rss, family)))
            self.files = max(self.files, sum(map(_files, family)))
            late = time.perf_counter() - started
            if self._kill_after_s is not None and late > self._kill_after_s:
                for process in family:
                    _kill(process)

    def _family(self) -> list[psutil.Process]:
        try:
            parent = psutil.Process(self._pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:  # it has just ended
            return []


def _rss(process: psutil.Process) -> int:
    try:
        return int(process.memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


def _files(process: psutil.Process) -> int:
    try:
        return int(process.num_fds())
    except (psutil.NoSuchProcess, psutil.AccessDenied):  # denied: of one that is just ending
        return 0


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        return
