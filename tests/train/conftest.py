"""The store of the tests of maps, made once, and what stands for PyTorch's loader."""

import multiprocessing
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz.store import StoreReader
from tests.conftest import MakeRaster
from tests.map.conftest import make_store, scene  # noqa: F401 - the same fixture


@pytest.fixture(scope="session")
def store(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> StoreReader:
    """Return a store of pca8-int8 in shards of 32 pixels, which tests only read."""
    folder = tmp_path_factory.mktemp("train")
    source = make_raster(folder / "scene.tif", scene(np.random.default_rng(0)))
    geoembz.convert(source, folder / "store.zarr", pca=8, chunk=16, shard=32)
    return StoreReader.open(str(folder / "store.zarr"))


def collate(samples: Sequence[Any]) -> Any:
    """Stack samples as PyTorch's `default_collate` does: arrays, numbers and tuples of them."""
    if isinstance(samples[0], tuple):
        return tuple(collate(column) for column in zip(*samples, strict=True))
    return np.stack([np.asarray(sample) for sample in samples])


def _work(dataset: Any, tasks: Any, results: Any) -> None:
    while (task := tasks.get()) is not None:
        number, index = task
        try:
            answer = collate(dataset.__getitems__(index))
        except Exception as error:  # noqa: BLE001 - as PyTorch does, raised by who asked
            answer = error
        results.put((number, answer))


def load(
    dataset: Any, batches: Any, workers: int, method: str | None = None
) -> Iterator[tuple[int, Any]]:
    """Yield the worker of each batch, and the batch, as PyTorch's `DataLoader` makes them.

    Batch after batch goes to the workers in turn, each of which has a pickle, or by ``fork`` a
    copy, of the dataset, asks it for all samples of a batch with `__getitems__`, and stacks them.
    """
    context: Any = multiprocessing.get_context(method)
    results = context.Queue()
    queues = [context.Queue() for _ in range(workers)]
    processes = [context.Process(target=_work, args=(dataset, tasks, results)) for tasks in queues]
    for process in processes:
        process.start()
    try:
        count = 0
        for number, index in enumerate(batches):
            queues[number % workers].put((number, index))
            count += 1
        answers = dict(results.get(timeout=60) for _ in range(count))
    finally:
        for tasks in queues:
            tasks.put(None)
        for process in processes:
            process.join(60)
    for number in range(count):
        if isinstance(answers[number], Exception):
            raise answers[number]
        yield number % workers, answers[number]
