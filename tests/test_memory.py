"""Memory that is used again: by whom, and never while somebody looks at it."""

import threading

import numpy as np
import pytest

from geoembz._util import memory
from geoembz._util.memory import allocate

SHAPE = (2, 1024, 1024)


@pytest.fixture(autouse=True)
def _nothing_waits() -> None:
    while memory._waiting:
        memory._forget_oldest()


def address(array: np.ndarray) -> int:
    """Return where an array's numbers begin."""
    return int(array.__array_interface__["data"][0])


def test_memory_is_used_again_once_the_last_view_is_gone() -> None:
    """Views of every kind hold it; a type of the same size may take it."""
    array = allocate(SHAPE, np.float32)
    place = address(array)
    views = [array[0].reshape(-1)[5:], np.moveaxis(array, 0, -1), memoryview(array[1])]
    del array
    others = []
    while views:
        others.append(allocate(SHAPE, np.float32))
        assert address(others[-1]) != place
        views.pop()
    assert address(allocate(SHAPE, np.int32)) == place


@pytest.mark.parametrize("shape", [(0,), (10,), (2**27,)])
def test_small_and_huge_arrays_are_the_allocators(shape: tuple[int, ...]) -> None:
    """Nothing of them waits."""
    del_me = allocate(shape, np.uint8)
    assert del_me.shape == shape
    del del_me
    assert not memory._waiting


def test_what_waits_is_bounded() -> None:
    """Many sizes, many blocks: the oldest go."""
    for size in range(20):
        held = [allocate((2**20 + size,), np.uint8) for _ in range(9)]
        del held
    assert len(memory._waiting) == memory._KEPT_SIZES
    assert max(map(len, memory._waiting.values())) == memory._KEPT_BLOCKS


def test_threads_never_share_a_block() -> None:
    """Each writes its own number and reads it back."""
    wrong = []

    def work(number: int) -> None:
        for _ in range(300):
            array = allocate((2**20,), np.uint8)
            array[::4096] = number
            if (array[::4096] != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_reuse_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tools that watch memory then see each array for itself."""
    monkeypatch.setenv("GEOEMBZ_REUSE_MEMORY", "0")
    array = allocate(SHAPE, np.float32)
    assert array.base is None
    del array
    assert not memory._waiting
