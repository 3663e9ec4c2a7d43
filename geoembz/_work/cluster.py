"""Run tasks on a dask.distributed cluster: in batches, a bounded number handed out at a time.

The cluster needs no shared memory with us: a task is pickled once, opens its files by itself and
returns a few numbers. dask moves the batch of a lost worker to another one.
"""

import logging
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, ClassVar

from geoembz._util.dry_run import is_dry
from geoembz._util.progress import Progress, listener
from geoembz._util.threads import PARTING_SECONDS, within
from geoembz._work.executors import LOCAL, ThreadWorkers, Workers
from geoembz._work.handing import Run
from geoembz.errors import SchedulerError

_log = logging.getLogger("geoembz.cluster")

CONNECT_SECONDS, WORKER_SECONDS = 10.0, 60.0
"""How long to wait for the scheduler's answer, and for its first worker."""

_LEFT_TO_TRACKER = "ignore:resource_tracker:UserWarning"
"""After Ctrl-C multiprocessing's tracker removes semaphores that we left, which is its purpose."""


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
        return Run(self.client, self.address, function, items, progress or listener()).results()

    def each(
        self, function: Callable[[Any], Any], items: Iterable[Any], *, most: int
    ) -> Iterator[Any]:
        """Yield what `function` returns for every item; see `Workers.each`.

        Raises
        ------
        SchedulerError, InvalidConfigError
            As `run`.
        """
        return Run(self.client, self.address, function, [*items], listener()).in_order(most)


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
    if scheduler is None or is_dry():
        yield ThreadWorkers(count)
        return
    with open_cluster(scheduler, count) as workers:
        yield workers
