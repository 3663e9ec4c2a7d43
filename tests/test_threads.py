"""BLAS is limited and released whichever threads ask for it, in whatever order."""

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import threadpoolctl

from geoembz._util.threads import _acquire, _release, for_each, in_order, single_threaded_blas


def blas_threads() -> set[int]:
    """Return the limits of all BLAS libraries whose threads belong to the process, as NumPy's do.

    Under OpenMP each thread has a limit of its own.
    """
    np.ones((2, 2)) @ np.ones((2, 2))
    return {
        library["num_threads"]
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas" and library.get("threading_layer") != "openmp"
    }


def in_thread[Result](call: Callable[[], Result]) -> Result:
    """Return what a call in a thread of its own returns."""
    results: list[Result] = []
    thread = threading.Thread(target=lambda: results.append(call()))
    thread.start()
    thread.join()
    return results[0]


def limited() -> set[int]:
    """Return the limits inside a block."""
    with single_threaded_blas():
        return blas_threads()


def test_every_thread_can_limit() -> None:
    """After another one has, and inside a limit that the user set."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        for _ in range(2):
            assert limited() == {1}
            assert blas_threads() == before
            assert in_thread(limited) == {1}
            assert blas_threads() == before


def test_another_thread_may_be_the_last() -> None:
    """The former limit returns when the last block ends, wherever that is."""
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas_threads()
        in_thread(_acquire)
        _acquire()
        in_thread(_release)
        assert blas_threads() == {1}
        in_thread(_release)
        assert blas_threads() == before


def test_a_users_own_limit_ends_as_it_should() -> None:
    """Ours inside it leaves nothing behind."""
    before = blas_threads()
    with threadpoolctl.threadpool_limits(1, user_api="blas"):
        in_thread(limited)
    assert blas_threads() == before


def test_the_first_failure_is_raised_whatever_was_kept_from_beginning() -> None:
    """An item that a later one kept from beginning does not hide why."""
    failed = threading.Event()

    def act(item: int) -> int:
        if item == 1:
            failed.set()
            raise ValueError("item 1")
        assert failed.wait(10)
        time.sleep(0.05)
        return item

    with pytest.raises(ValueError, match="item 1"):
        for_each([0, 1, 2, 3, 4], act, workers=2)


def test_items_are_taken_as_they_are_needed() -> None:
    """A stream of any length: a few ahead of what is yielded, in order, whichever ends first."""
    taken: list[int] = []

    def stream() -> Iterator[int]:
        for number in range(1_000_000):
            taken.append(number)
            yield number

    def act(number: int) -> int:
        time.sleep(0.002 * (number % 3))
        return number

    results = in_order(stream(), act, workers=3, ahead=5)
    assert [next(results) for _ in range(20)] == list(range(20))
    assert taken == list(range(25))
    results.close()
    assert len(taken) == 25


def test_a_stream_that_fails_waits_for_what_has_begun() -> None:
    """Nobody reads on from files that the one who gave the items lets go."""
    begun, ended = [], []

    def stream() -> Iterator[int]:
        yield from range(4)
        raise OSError("the disk is gone")

    def act(number: int) -> None:
        begun.append(number)
        time.sleep(0.05)
        ended.append(number)

    with pytest.raises(OSError, match="gone"):
        list(in_order(stream(), act, workers=2, ahead=8))
    assert sorted(begun) == sorted(ended)
    assert len(begun) < 4
