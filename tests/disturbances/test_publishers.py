"""Publishers that are killed or interrupted, and two at one URL: whole, or invisible.

References: docs/explanation/reliability.md, which has the figures.
"""

import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest

import geoembz
from tests import products
from tests.disturbances.process import (
    PATIENCE_S,
    Command,
    Contents,
    Ending,
    Pace,
    Tally,
    check_answer,
    phase,
    read_file,
    repeat,
    rounds,
    shown,
)
from tests.publish.conftest import Server
from tests.trees import objects

LONGEST_S = 8.0
ROOT = "out.zarr/zarr.json"
LOCK = "out.zarr/.geoembz/lock.json"
SERVER = pytest.mark.server


class Place(Protocol):
    """Where stores are published to."""

    name: str
    environment: dict[str, str]

    def url(self, number: int | str) -> str:
        """Return the destination of a trial."""
        ...

    def contents(self, number: int | str) -> Contents:
        """Return what is there, and beside it."""
        ...

    def find(self, key: str) -> bytes | None:
        """Return an object, such as the root's metadata, which make a store visible."""
        ...


@dataclass
class Folder:
    """Folders on this machine."""

    path: Path
    name = "a folder"

    def __post_init__(self) -> None:
        self.environment: dict[str, str] = {}

    def url(self, number: int | str) -> str:
        """Return the destination of a trial."""
        return str(self.path / str(number) / "out.zarr")

    def contents(self, number: int | str) -> Contents:
        """Return what is there, and beside it."""
        return objects(self.path / str(number))

    def find(self, key: str) -> bytes | None:
        """Return an object, None where there is none."""
        return read_file(self.path / key)()


class Bucket:
    """Prefixes of the gateway."""

    name = "the gateway"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.environment = {"AWS_ENDPOINT_URL": server.endpoint}

    def url(self, number: int | str) -> str:
        """Return the destination of a trial."""
        return f"s3://{self.server.bucket}/{number}/out.zarr"

    def contents(self, number: int | str) -> Contents:
        """Return what is there, and beside it."""
        return self.server.contents(str(number))

    def find(self, key: str) -> bytes | None:
        """Return an object, None where there is none."""
        return self.server.find(key)


@pytest.fixture(params=["folder", pytest.param("gateway", marks=SERVER)])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """Return a place on this machine, and one on a server."""
    if request.param == "folder":
        return Folder(tmp_path / "places")
    return Bucket(request.getfixturevalue("gateway"))


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return two stores of 500 objects with the same names and other content."""
    folder = tmp_path_factory.mktemp("stores")
    for name, seed in (("one", 1), ("two", 2)):
        values = products.unit_vectors(128, 112, 8, seed=seed)
        path = products.write_raster(folder / f"{name}.tif", values, block=16)
        geoembz.convert(path, folder / f"{name}.zarr", recipe="pca5-int8", chunk=8, shard=8)
    return folder / "one.zarr", folder / "two.zarr"


def _publish(store: Path, place: Place, number: int | str, folder: Path, *more: str) -> Command:
    folder.mkdir(exist_ok=True)
    words = ["publish", str(store), place.url(number), "--no-stac", *more]
    return Command(words, folder, place.environment)


def _look(contents: Contents, *stores: Contents) -> bool:
    """Return whether a store is visible; it is one of some, and whole."""
    if ROOT not in contents:
        return False
    found = {key.removeprefix("out.zarr/"): value for key, value in contents.items()}
    assert {key: found[key] for key in shown(found) if "/" in key or key == "zarr.json"} in stores
    return True


@pytest.mark.parametrize(
    ("sent", "replaces"),
    [
        pytest.param(signal.SIGKILL, False, id="new-SIGKILL"),
        pytest.param(signal.SIGINT, False, id="new-SIGINT", marks=pytest.mark.experiment),
        pytest.param(signal.SIGKILL, True, id="--overwrite-SIGKILL", marks=pytest.mark.experiment),
        pytest.param(signal.SIGINT, True, id="--overwrite-SIGINT"),
    ],
)
@rounds(1, 6)
def test_disturbed_publishers(
    n_rounds: int,
    replaces: bool,
    sent: signal.Signals,
    place: Place,
    stores: tuple[Path, Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """Nothing is seen before the end but, where one is replaced, the old store whole."""
    one, two = (objects(store) for store in stores)
    more = ["--overwrite"] if replaces else []
    tally = Tally(f"{sent.name}, publish{' --overwrite' * replaces} to {place.name}")
    rng = np.random.default_rng(len(place.name) + 10 * replaces + 100 * sent)
    measured = _publish(stores[0], place, "fresh", tmp_path / "fresh")
    pace = measured.measure(lambda: place.find(f"fresh/{LOCK}"))
    fresh = place.contents("fresh")
    assert _look(fresh, one)
    for number, share in enumerate(Pace.shares(rng, n_rounds)):
        folder = tmp_path / str(number)
        if replaces:
            assert _publish(stores[1], place, number, folder).run().code == 0
        command, found = _publish(stores[0], place, number, folder, *more), place.contents(number)
        holder = lambda: place.find(f"{number}/{LOCK}")  # noqa: B023, E731
        ending = command.disturb(sent, share, pace, holder)
        came = place.contents(number)
        is_new, is_untouched = came == fresh, came == found
        if _look(came, one, two) and not is_new:
            tally.add("old store visible, whole")
        if sent == signal.SIGINT and ending.was_disturbed:
            check_answer(ending, is_new=is_new, is_untouched=is_untouched)
            tally.time(ending, LONGEST_S)
        tally.add(phase(ending, is_new=is_new, is_untouched=is_untouched))
        repeat(command, lambda: place.contents(number), fresh, repeatable=True)  # noqa: B023
        tally.add("identical after the same command")
    tally.report(request)


@pytest.mark.parametrize("are_same", [True, False], ids=["one store", "two stores"])
@rounds(1, 8)
def test_two_publishers(
    n_rounds: int,
    are_same: bool,
    place: Place,
    stores: tuple[Path, Path],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """One is refused, or comes after the other; what anybody sees meanwhile is one of them."""
    one, two = (objects(store) for store in stores)
    second = stores[0] if are_same else stores[1]
    tally = Tally(f"two publishers of {'one store' if are_same else 'two'} to {place.name}")
    rng = np.random.default_rng(len(place.name) + are_same)
    fresh = _publish(stores[0], place, "fresh", tmp_path / "a")
    pace = fresh.measure(lambda: place.find(f"fresh/{LOCK}"))
    for number, share in enumerate(Pace.shares(rng, n_rounds)):
        commands = [
            _publish(stores[0], place, number, tmp_path / "a"),
            _publish(second, place, number, tmp_path / "b", "--overwrite"),
        ]
        endings = _run_both(commands, share * pace.work_s, place, number, (one, two), tally)
        codes = [ending.code for ending in endings]
        assert min(codes) == 0, [ending.said for ending in endings]
        _check_refusal(endings[0], "writes there", "holds another store")  # the other's, complete
        _check_refusal(endings[1], "writes there")
        tally.add("both ended, one after the other" if max(codes) == 0 else "one refused")
        last = one if codes[1] or are_same else two
        assert _look(place.contents(number), last)
        assert LOCK not in place.contents(number)
    tally.report(request)


def _check_refusal(ending: Ending, *reasons: str) -> None:
    """Check that who did not publish was told one of the reasons."""
    assert ending.code == 0 or any(reason in ending.said for reason in reasons), ending.said


def _run_both(
    commands: list[Command],
    delay_s: float,
    place: Place,
    number: int,
    stores: tuple[Contents, Contents],
    tally: Tally,
) -> list[Ending]:
    """Run two commands, the second a while later, and look all the time."""
    processes = [commands[0].start()]
    began, deadline = time.monotonic(), time.monotonic() + PATIENCE_S
    try:
        while len(processes) < 2 or any(process.poll() is None for process in processes):
            assert time.monotonic() < deadline
            if len(processes) < 2 and time.monotonic() - began >= delay_s:
                processes.append(commands[1].start())
            if _is_whole(place, number, stores):
                tally.add("looks at a visible store, each whole")
            time.sleep(0.02)
    finally:
        for process in processes:
            if process.poll() is None:
                process.kill()
    return [
        command.end(process, began) for command, process in zip(commands, processes, strict=True)
    ]


def _is_whole(place: Place, number: int, stores: tuple[Contents, Contents]) -> bool:
    """Return whether a store is visible, and stays so while all of it is read; it is whole."""
    key = f"{number}/{ROOT}"
    root = place.find(key)
    if root is None:
        return False
    seen = place.contents(number)
    return place.find(key) == root == seen.get(ROOT) and _look(seen, *stores)
