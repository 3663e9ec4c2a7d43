"""Whatever object of a store is changed, lost, exchanged or edited: `verify` says so.

References: spec/format.md, "Digests".
"""

from pathlib import Path

import numpy as np
import pytest

from geoembz._verify import verify
from tests.disturbances.process import rounds
from tests.trees import objects
from tests.verification.kinds import KINDS, write_pair
from tests.verification.mutations import MUTATIONS, readings


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def pair(kind: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a store of one kind, and its twin."""
    return write_pair(kind, tmp_path_factory.mktemp(kind))


def restore(store: Path, content: dict[str, bytes]) -> None:
    """Make a store what it was."""
    for key in objects(store).keys() - content.keys():
        (store / key).unlink()
    for key, value in content.items():
        path = store / key
        if not path.exists() or path.read_bytes() != value:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(value)


def try_mutations(pair: tuple[Path, Path], count: int, seed: int) -> dict[str, int]:
    """Mutate a store many times; whatever changed, `verify` must say so."""
    store, twin = pair
    rng = np.random.default_rng(seed)
    whole, expected = objects(store), readings(store)
    assert verify(str(store)).problems == ()
    seen = {"tried": 0, "changed": 0, "named": 0}
    for number in range(count):
        mutate = MUTATIONS[(number + seed * count) % len(MUTATIONS)]
        what = f"{mutate.__name__} {mutate(rng, store, twin)}"
        is_other, came = objects(store) != whole, readings(store)
        names = came.keys() | expected.keys()
        differing = sorted(name for name in names if came.get(name) != expected.get(name))
        problems = verify(str(store)).problems
        assert problems or not differing, f"{what}: {differing}"
        assert problems or not is_other, f"{what}: other bytes"
        assert is_other or not problems, f"{what}: {problems}"
        seen["tried"] += 1
        seen["changed"] += bool(differing)
        seen["named"] += bool(problems)
        restore(store, whole)
    return seen


def test_verify_names_what_changes_a_reading(pair: tuple[Path, Path], kind: str) -> None:
    """A few mutations of each kind of store; together, every sort of them several times."""
    seen = try_mutations(pair, 9, seed=list(KINDS).index(kind))
    assert seen["changed"] > 1


@rounds(few=20, many=75)
def test_verify_names_what_changes_a_reading_of_many(
    pair: tuple[Path, Path], kind: str, n_rounds: int
) -> None:
    """More than 500 over all kinds of store, in the experiment."""
    seen = try_mutations(pair, n_rounds, seed=100 + list(KINDS).index(kind))
    print(kind, seen)  # noqa: T201 - for whoever runs it with -s
    assert seen["changed"] > n_rounds // 3
