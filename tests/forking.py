"""Processes that begin at once, as copies of one that has imported all that they need.

Python takes a second and a half of processor time to import what converts, and tests start
hundreds of processes. Here one process for each worker of pytest imports it and forks the others.
Each is a process like any other: number, session, signals, memory, exit code, and how Python ends.
What depends on how Python begins is for `subprocess`.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import types
import warnings
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Any

REPOSITORY = Path(__file__).resolve().parents[1]
_LATER = (
    "dask.delayed",
    "dask.multiprocessing",
    "pyarrow.parquet",
    "pydantic",
    "pyproj",
    "rasterio.warp",
    "s3fs",
    "scipy.stats",
    "sklearn.linear_model",
    "tblib.pickling_support",
)
"""What commands import when they need it."""

_LONGEST_REQUEST = 2**18

spent_s = [0.0]
"""Processor time of all processes that have ended, which `resource` does not know of."""


class Forked:
    """A running process, with the methods of `subprocess.Popen` that tests use.

    Parameters
    ----------
    words
        What follows ``python`` on a command line: ``-m MODULE`` or ``-c PROGRAM``, and arguments.
    cwd, env, start_new_session
        As for `subprocess.Popen`.
    stdout, stderr
        Open files; nowhere if None.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        cwd: Path = REPOSITORY,
        env: Mapping[str, str] | None = None,
        stdout: IO[bytes] | None = None,
        stderr: IO[bytes] | None = None,
        start_new_session: bool = False,
    ) -> None:
        job = {
            "words": list(words),
            "folder": str(cwd),
            "environment": dict(os.environ if env is None else env),
            "leads": start_new_session,
        }
        self.returncode: int | None = None
        self._words = list(words)
        read, write = os.pipe()
        self._answers = os.fdopen(read)
        with Path(os.devnull).open("wb") as nowhere:
            files = [(file or nowhere).fileno() for file in (stdout, stderr)]
            socket.send_fds(_server(), [json.dumps(job).encode()], [*files, write])
        os.close(write)
        self.pid = int(self._answers.readline())

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code once it has ended.

        Raises
        ------
        subprocess.TimeoutExpired
            If it still runs after so many seconds.
        """
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self._words, timeout or 0.0)
            with self._answers as answers:
                code, seconds = answers.readline().split()
            spent_s[0] += float(seconds)
            self.returncode = int(code)
        return self.returncode

    def poll(self) -> int | None:
        """Return the exit code, None while it runs."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(0.0)
        return self.returncode

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill it with -9, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def run(words: Sequence[str], **options: Any) -> int:
    """Return the exit code of a process; see `Forked`."""
    return Forked(words, **options).wait()


@cache
def _server() -> socket.socket:
    """Start the process that forks, once, and end it with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.forking", str(theirs.fileno())],
            cwd=REPOSITORY,
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for whoever asked
        )

    @atexit.register
    def end() -> None:
        ours.close()
        process.wait()

    return ours


def _serve(requests: socket.socket) -> dict[str, Any] | None:
    """Fork whatever is asked for; return in the new process, with what it is to be."""
    while True:
        content, files, _, _ = socket.recv_fds(requests, _LONGEST_REQUEST, 3)
        if not content:
            return None
        if _fork() == 0:
            requests.close()
            return _watch(json.loads(content), files)
        for file in files:
            os.close(file)


def _watch(job: dict[str, Any], files: list[int]) -> dict[str, Any]:
    """Fork the process and tell its exit code; return in the new one."""
    *output, answers = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    child = _fork()
    if child:
        _, status, used = os.wait4(child, 0)
        seconds = used.ru_utime + used.ru_stime
        os.write(answers, f"{os.waitstatus_to_exitcode(status)} {seconds}\n".encode())
        os._exit(0)
    if job["leads"]:
        os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for number, file in enumerate(output, start=1):
        os.dup2(file, number)
    os.write(answers, b"%d\n" % os.getpid())
    for file in files:
        os.close(file)
    return job


def _fork() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # OpenBLAS ends its threads before, and starts them again
        return os.fork()


def _become(folder: str, environment: dict[str, str], words: list[str]) -> None:
    """Run a module or a program as Python does."""
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None
    option, what, *arguments = words
    sys.argv = [option, *arguments]
    if option == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    assert option == "-c"
    module = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), module.__dict__)  # noqa: S102 - a test's program


def _import_everything() -> None:
    import geoembz

    for found in pkgutil.walk_packages(geoembz.__path__, "geoembz."):
        if not found.name.endswith("__main__"):
            importlib.import_module(found.name)
    for name in _LATER:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()  # what all share stays shared


def main() -> None:
    """Serve, or be what was asked for."""
    _import_everything()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # whoever watches a process is not waited for
    job = _serve(socket.socket(fileno=int(sys.argv[1])))
    if job is not None:
        _become(job["folder"], job["environment"], job["words"])


if __name__ == "__main__":
    main()
