"""Hand the items of one run out to a cluster, in batches, and collect what they return."""

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pickle import PicklingError
from typing import Any

from geoembz._util.progress import Progress
from geoembz._util.threads import RUNNING_SECONDS, within
from geoembz._version import __version__
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

STOP_SECONDS = 300.0
"""How long to wait, after a failure, for the shards that are being written; less after Ctrl-C."""

_POLL_SECONDS = 0.2
_PARTED = OSError, RuntimeError
"""What dask raises where the connection, or the client's own loop, is closed meanwhile."""

_AGAIN = "run the same command again to go on where it stopped"


@dataclass
class Run:
    """The run of one function over items."""

    client: Any
    address: str
    function: Callable[[Any], Any]
    items: Sequence[Any]
    progress: Progress | None
    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    handed: dict[Any, slice] = field(default_factory=dict)
    yielded: int = 0

    def results(self) -> list[Any]:
        """Hand batches out while some are left, and collect them in whatever order they end."""
        results: list[Any] = [None] * len(self.items)
        done = 0
        with self._stopping():
            for part, outcome in self._outcomes(len(self.items)):
                results[part] = outcome
                done += len(outcome)
                _log.debug("%d of %d done", done, len(self.items))
                if self.progress is not None:
                    self.progress(done, len(self.items))
        return results

    def in_order(self, most: int) -> Iterator[Any]:
        """Yield the results in the order of the items; `most` are handed out or wait, at most."""
        waiting: dict[int, Any] = {}
        with self._stopping():
            for part, outcome in self._outcomes(most):
                waiting.update(enumerate(outcome, part.start))
                while self.yielded in waiting:
                    result = waiting.pop(self.yielded)
                    self.yielded += 1
                    if self.progress is not None:
                        self.progress(self.yielded, len(self.items))
                    yield result

    @contextmanager
    def _stopping(self) -> Iterator[None]:
        """Stop the rest after a failure; after Ctrl-C wait for it no longer than a second."""
        try:
            yield
        except Exception:
            self._stop(STOP_SECONDS)
            raise
        except BaseException:
            within(RUNNING_SECONDS, lambda: self._stop(RUNNING_SECONDS))
            raise

    def _outcomes(self, most: int) -> Iterator[tuple[slice, list[Any]]]:
        from distributed import as_completed

        finished: Any = as_completed(  # type: ignore[no-untyped-call]
            with_results=True, raise_errors=False, loop=self.client.loop
        )
        parts = Parts(self.client, len(self.items), most)
        shared = self._share()
        while parts.left or self.handed:
            while parts.room(self.yielded) and len(self.handed) < batches_ahead(parts.n_threads()):
                part = parts.take(self.yielded)
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
        with suppress(*_PARTED):  # who is gone runs nothing; the first failure is what counts
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
