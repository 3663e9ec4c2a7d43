"""Run tasks on a dask.distributed cluster: in batches, a bounded number handed out at a time.

The cluster needs no shared memory with us: a task is pickled once, opens its files by itself and
returns a few numbers. dask moves the batch of a lost worker to another one.
"""

import logging
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pickle import PicklingError
from typing import Any, ClassVar

from geoembz._util.progress import Progress, listener
from geoembz._util.threads import PARTING_SECONDS, RUNNING_SECONDS, within
from geoembz._version import __version__
from geoembz._work.executors import LOCAL, ThreadWorkers, Workers
from geoembz._work.scheduling import (
    Parts,
    batches_ahead,
    count_running,
    forbid,
    restore,
    run_batch,
)
from geoembz.errors import InvalidConfigError, MissingPackageError, SchedulerError

_log = logging.getLogger("geoembz.cluster")

CONNECT_SECONDS, WORKER_SECONDS = 10.0, 60.0
"""How long to wait for the scheduler's answer, and for its first worker."""

STOP_SECONDS = 300.0
"""How long to wait, after a failure, for the shards that are being written; less after Ctrl-C."""

_LEFT_TO_TRACKER = "ignore:resource_tracker:UserWarning"
"""After Ctrl-C multiprocessing's tracker removes semaphores that we left, which is its purpose."""

_POLL_SECONDS = 0.2
_AGAIN = "run the same command again to go on where it stopped"


@contextmanager
def open_cluster(scheduler: str, count: int) -> Iterator["ClusterWorkers"]:
    """Connect to a scheduler, or start one with `count` processes; part at the end.

    Raises
    ------
    SchedulerError
        If no scheduler answers, or it has no workers.
    """
    with ExitStack() as stack:
        try:
            yield _connect(scheduler, count, stack)
        except Exception:
            raise
        except BaseException:  # Ctrl-C: workers that are not gone by then see us go
            within(PARTING_SECONDS, stack.pop_all().close)
            raise


def _connect(scheduler: str, count: int, stack: ExitStack) -> "ClusterWorkers":
    """Return the workers of a cluster, which `stack` leaves again."""
    from distributed import Client, LocalCluster

    address = scheduler
    if scheduler == LOCAL:
        with _inherit_warnings(_LEFT_TO_TRACKER):
            cluster = LocalCluster(  # type: ignore[no-untyped-call]
                n_workers=count,
                threads_per_worker=1,
                processes=True,
                dashboard_address="127.0.0.1:0",  # it has no password: for this machine alone
                memory_limit=0,  # what threads would take, processes may take
                silence_logs=logging.CRITICAL,
                preload=["geoembz._work.scheduling"],  # its `dask_setup`
            )
        address = stack.enter_context(cluster).scheduler_address
    try:
        client = stack.enter_context(
            Client(address, timeout=CONNECT_SECONDS, set_as_default=False)  # type: ignore[no-untyped-call]
        )
    except OSError as error:
        raise SchedulerError(
            f"{address}: no scheduler answers within {CONNECT_SECONDS:.0f} s ({error}); start "
            "one with `dask scheduler`, or correct the address"
        ) from error
    try:
        client.wait_for_workers(1, timeout=WORKER_SECONDS)
    except TimeoutError as error:
        raise SchedulerError(
            f"{address}: the scheduler has no worker after {WORKER_SECONDS:.0f} s; start some "
            f"with `dask worker {address}`"
        ) from error
    _log.info("cluster %s, %d threads%s", address, *_size_and_link(client))
    return ClusterWorkers(client, address)


def _size_and_link(client: Any) -> tuple[int, str]:
    """Return how many threads a cluster has, and where to watch it, if it shows that anywhere."""
    link = client.dashboard_link if "dashboard" in client.scheduler_info()["services"] else None
    return sum(client.nthreads().values()), f"; watch it at {link}" if link else ""


@contextmanager
def _inherit_warnings(option: str) -> Iterator[None]:
    """Give the processes that begin meanwhile an option ``-W``."""
    sys.warnoptions.append(option)
    try:
        yield
    finally:
        sys.warnoptions.remove(option)


@dataclass(frozen=True)
class ClusterWorkers:
    """The workers of a cluster.

    Parameters
    ----------
    client
        Connected to the scheduler.
    address
        The scheduler's.
    """

    client: Any
    address: str
    may_repeat: ClassVar[bool] = True

    @property
    def count(self) -> int:
        """The threads of all workers, as of now."""
        with suppress(OSError):  # a scheduler that is lost shows in the batches
            return int(sum(self.client.nthreads().values()))
        return 1

    def run(
        self,
        function: Callable[[Any], Any],
        items: Sequence[Any],
        *,
        progress: Progress | None = None,
    ) -> list[Any]:
        """Apply `function` to every item; see `Workers.run`.

        Raises
        ------
        SchedulerError
            If the scheduler is lost, or several workers die on the same tasks.
        InvalidConfigError
            If the function cannot be pickled.
        """
        return _Run(self.client, self.address, function, items, progress or listener()).results()


@dataclass
class _Run:
    client: Any
    address: str
    function: Callable[[Any], Any]
    items: Sequence[Any]
    progress: Progress | None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    handed: dict[Any, slice] = field(default_factory=dict)

    def results(self) -> list[Any]:
        """Hand batches out while some are left, and collect them in whatever order they end."""
        results: list[Any] = [None] * len(self.items)
        done = 0
        try:
            for part, outcome in self._outcomes():
                results[part] = outcome
                done += len(outcome)
                _log.debug("%d of %d done", done, len(self.items))
                if self.progress is not None:
                    self.progress(done, len(self.items))
        except BaseException as error:
            if isinstance(error, Exception):
                self._stop(STOP_SECONDS)
            else:
                within(RUNNING_SECONDS, lambda: self._stop(RUNNING_SECONDS))
            raise
        return results

    def _outcomes(self) -> Iterator[tuple[slice, list[Any]]]:
        from distributed import as_completed

        finished: Any = as_completed(  # type: ignore[no-untyped-call]
            with_results=True, raise_errors=False, loop=self.client.loop
        )
        parts = Parts(self.client, len(self.items))
        shared = self._share()
        while parts.left or self.handed:
            while parts.left and len(self.handed) < batches_ahead(parts.n_threads()):
                part = parts.take()
                future = self._submit(shared, part)
                self.handed[future] = part
                finished.add(future)
            future, outcome = next(finished)
            part = self.handed.pop(future)
            if future.status != "finished":
                raise self._failure(future)
            yield part, outcome

    def _share(self) -> Any:
        """Send what all batches need, once; a task, so that dask can make it again."""
        import dask
        from distributed.protocol.pickle import dumps

        try:
            content: bytes = dumps(self.function)  # type: ignore[no-untyped-call]
        except (TypeError, AttributeError, ValueError, PicklingError) as error:
            raise InvalidConfigError(
                f"the input cannot be sent to other processes ({error}); name it by its path or "
                "URL, or do without a scheduler"
            ) from error
        key = f"geoembz-input-{self.token}"
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}):
            return self.client.submit(restore, content, key=key, pure=False)

    def _submit(self, shared: Any, part: slice) -> Any:
        key = f"geoembz-shards-{self.token}-{part.start}"
        arguments = (shared, self.items[part], self.token, __version__)
        return self.client.submit(run_batch, *arguments, key=key, pure=False)

    def _failure(self, future: Any) -> BaseException:
        """Return the error to raise for a batch that did not finish."""
        from distributed import KilledWorker

        if future.status != "error":
            return SchedulerError(
                f"{self.address}: the connection to the scheduler was lost; {_AGAIN}"
            )
        error: BaseException = future.exception()
        if isinstance(error, KilledWorker):
            return SchedulerError(
                f"{self.address}: {error.allowed_failures + 1} workers died over the same shards, "
                "the last of them "
                f"{error.last_worker.address}; they may lack memory: give them more, or fewer "
                f"threads; {_AGAIN}"
            )
        missing = next(filter(_is_missing, _causes(error)), None)
        if missing is not None:
            return SchedulerError(
                f"{self.address}: a worker cannot import what it needs ({missing}); expected "
                f"geoembz {__version__} and its dependencies on every worker; install them there"
            )
        return error

    def _stop(self, seconds: float) -> None:
        """Let no further shard begin, and wait for those that are being written."""
        if self.client.status != "running":
            return
        self.client.cancel([*self.handed], reason="geoembz: another batch failed")
        self.client.run(forbid, self.token, on_error="ignore")
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            counts = self.client.run(count_running, self.token, on_error="ignore")
            if not any(counts.values()):
                return
            time.sleep(_POLL_SECONDS)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_missing(error: BaseException) -> bool:
    return isinstance(error, ImportError) and not isinstance(error, MissingPackageError)


@contextmanager
def open_workers(scheduler: str | None, count: int) -> Iterator[Workers]:
    """Yield the workers of a command, and let go of them afterwards.

    Parameters
    ----------
    scheduler
        None for threads; else see `check_scheduler`.
    count
        Threads, or processes where `scheduler` is ``local``.

    Raises
    ------
    SchedulerError
        If no scheduler answers, or it has no workers.
    """
    if scheduler is None:
        yield ThreadWorkers(count)
        return
    with open_cluster(scheduler, count) as workers:
        yield workers
