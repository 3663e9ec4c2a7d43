"""Stopped, overtaken, continued: no conversion ever writes into another's store."""

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

import geoembz
from geoembz._verify import verify
from geoembz.errors import DestinationExistsError
from tests.conversion.stopped import OPTIONS, SHARDS
from tests.disturbances.process import Tally, bounded, rounds
from tests.forking import Forked
from tests.trees import names, objects

PATIENCE_S = 120.0


def begin(
    name: str, place: str, number: int, raster: Path, store: Path, options: Mapping[str, Any]
) -> Forked:
    """Convert in a process that sends itself a signal at a place."""
    given = [f"{key}={json.dumps(value)}" for key, value in options.items()]
    words = ["-m", "tests.conversion.stopped", name, place, str(number), str(raster), str(store)]
    with (store.parent / "errors").open("ab") as errors:
        return Forked([*words, *given], stdout=errors, stderr=errors)


def begin_and_stop(place: str, number: int, raster: Path, store: Path, **options: Any) -> Forked:
    """Return a conversion that has stopped at a place; whoever asks sends it SIGCONT."""
    process = begin("SIGSTOP", place, number, raster, store, options)
    while psutil.Process(process.pid).status() != psutil.STATUS_STOPPED:
        assert process.poll() is None, (store.parent / "errors").read_text()
        time.sleep(0.01)
    return process


def run(place: str, number: int, raster: Path, store: Path, **options: Any) -> int:
    """Convert in a process that is killed at a place (``never`` for not at all)."""
    return begin("SIGKILL", place, number, raster, store, options).wait(PATIENCE_S)


def go_on(process: Forked) -> int:
    """Let a stopped conversion continue to its end."""
    process.send_signal(signal.SIGCONT)
    return process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def clean(
    raster: Path, raster_with_holes: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, bytes]]:
    """Return the objects of A's and B's store, each converted without disturbance."""
    folder = tmp_path_factory.mktemp("clean")
    geoembz.convert(raster, folder / "a", **OPTIONS)
    geoembz.convert(raster_with_holes, folder / "b", **{**OPTIONS, "seed": 1})
    return {name: objects(folder / name) for name in "ab"}


ROUNDS = [
    ("object", 9, "ends"),
    *(
        pytest.param(place, number, how, marks=bounded(order))
        for order, (place, number, how) in enumerate(
            [
                ("plan", 1, "is killed"),
                ("shard", 7, "is killed"),
                ("fit", 1, "ends"),
                ("fit", 1, "is killed"),
                ("plan", 1, "ends"),
                ("shard", 1, "ends"),
                ("shard", 1, "is killed"),
                ("shard", 21, "ends"),
                ("shard", SHARDS - 2, "is killed"),
                ("object", 1, "is killed"),
                ("object", 15, "is killed"),
                ("object", SHARDS - 2, "ends"),
                ("record", 1, "ends"),
                ("record", 12, "is killed"),
                ("record", SHARDS - 2, "is killed"),
                ("root", 1, "ends"),
                ("root", 1, "is killed"),
                ("complete", 1, "ends"),
                ("place", 1, "ends"),
            ]
        )
    ),
]
assert len(ROUNDS) == 20


@pytest.mark.parametrize(("place", "number", "how"), ROUNDS)
def test_taken_over_and_continued(
    place: str,
    number: int,
    how: str,
    raster: Path,
    raster_with_holes: Path,
    clean: dict[str, dict[str, bytes]],
    tmp_path: Path,
) -> None:
    """A stops; B takes its destination with another source and seed; A continues, then runs again.

    The store is always that of the one whose command ended with 0, bit for bit.
    """
    store = tmp_path / "out"
    first = begin_and_stop(place, number, raster, store)
    try:
        second = run(
            "never" if how == "ends" else "record",
            21,
            raster_with_holes,
            store,
            seed=1,
            overwrite=True,
            break_lock=True,
        )
        assert second == (0 if how == "ends" else -signal.SIGKILL)
    finally:
        assert go_on(first) == 1
    if how == "ends":
        assert objects(store) == clean["b"]
    assert run("never", 0, raster, store) == (1 if how == "ends" else 0)
    assert objects(store) == clean["b" if how == "ends" else "a"]
    assert verify(str(store)).problems == ()
    assert names(tmp_path) == ["errors", "out"]


def test_a_second_owner_dies_and_the_first_comes_back(
    raster: Path, raster_with_holes: Path, clean: dict[str, dict[str, bytes]], tmp_path: Path
) -> None:
    """Without --overwrite too, while A has no plan yet: B's command ends what B began."""
    store = tmp_path / "out"
    first = begin_and_stop("plan", 1, raster, store)
    assert run("record", 21, raster_with_holes, store, seed=1, break_lock=True) != 0
    assert go_on(first) == 1
    assert run("never", 0, raster, store) == 1  # B's work is there, and says so
    assert "unfinished conversion" in (tmp_path / "errors").read_text()
    assert run("never", 0, raster_with_holes, store, seed=1) == 0
    assert objects(store) == clean["b"]


@rounds(2, 20, always=1)
def test_overwriting_what_is_being_converted_is_refused(
    n_rounds: int,
    raster: Path,
    raster_with_holes: Path,
    clean: dict[str, dict[str, bytes]],
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    """One of two who start together is refused; the store of the other is whole."""
    rng, tally = np.random.default_rng(1), Tally("convert and convert --overwrite at once")
    for number in range(n_rounds):
        store = tmp_path / str(number) / "out"
        store.parent.mkdir()
        first = begin("SIGKILL", "never", 0, raster, store, {})
        if n_rounds == 1:
            while not (store / ".geoembz" / "lock.json").exists():
                assert first.poll() is None
                time.sleep(0.01)
        else:
            time.sleep(rng.uniform(0, 2))
        options = {"seed": 1, "overwrite": True}
        second = begin("SIGKILL", "never", 0, raster_with_holes, store, options)
        ended = first.wait(PATIENCE_S), second.wait(PATIENCE_S)
        assert min(ended) == 0, (store.parent / "errors").read_text()
        if sum(ended):  # else B began after A had ended
            assert DestinationExistsError.__name__ in (store.parent / "errors").read_text()
        assert objects(store) == clean["a" if ended[1] else "b"]
        tally.add("one refused" if sum(ended) else "one after the other")
    tally.report(request)


def test_a_live_lock_holds_whatever_the_flags(raster: Path, tmp_path: Path) -> None:
    """Rasters, tables, several grids and dates ask for the same lock; --break-lock takes it."""
    store = tmp_path / "out"
    (tmp_path / "rows.csv").write_text("lat,lon,X_0,X_1\n" + "1.5,2.5,3.5,4.5\n" * 20)
    first = begin_and_stop("shard", 3, raster, store)
    try:
        for source in (raster, tmp_path / "rows.csv"):
            for overwrite in (False, True):
                with pytest.raises(DestinationExistsError, match=f"process {first.pid}"):
                    geoembz.convert(source, store, overwrite=overwrite)
        geoembz.convert(tmp_path / "rows.csv", store, overwrite=True, break_lock=True)
    finally:
        assert go_on(first) == 1
    assert geoembz.open(store).sizes["sample"] == 20
