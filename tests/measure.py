"""Measure what every test costs, and which cases are too long for the default run.

    python -m tests.measure

runs all tests but slow ones as README does, and writes `long_cases.txt`: of each test function the
first case stays in the default run, and so do others that take less than `CHEAP_S` of processor
time; all that take more than `LONG_S` are long, first or not. `conftest.py` marks the first case
of a test and every fourth one of the list ``slow``, which `.ci/run` runs too, and the others
``long``. Processor time counts, child processes included, since waiting depends on what else the
machine does.
"""

import os
import resource
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Generator
from pathlib import Path

import pytest

from tests import forking

CHEAP_S, LONG_S = 0.05, 2.0
LIST = Path(__file__).with_name("long_cases.txt")
_COSTS = "GEOEMBZ_TEST_COSTS"


def long_cases() -> dict[str, int]:
    """Return the cases that the default run leaves out: their places in the list, by node id."""
    text = LIST.read_text(encoding="utf-8") if LIST.exists() else ""
    return {case: number for number, case in enumerate(text.splitlines())}


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Append what a test took to the file of costs; used as a plugin (``-p tests.measure``)."""
    before = _processor_seconds()
    outcome = yield
    with Path(os.environ[_COSTS]).open("a", encoding="utf-8") as costs:
        costs.write(f"{_processor_seconds() - before:.3f} {item.nodeid}\n")
    return outcome


def _processor_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages) + forking.spent_s[0]


def choose_long(costs: dict[str, float]) -> list[str]:
    """Return the cases that are too long; `costs` in the order in which tests are defined."""
    functions: dict[str, list[str]] = defaultdict(list)
    for case in costs:
        functions[case.partition("[")[0]].append(case)
    return sorted(
        case
        for cases in functions.values()
        for number, case in enumerate(cases)
        if costs[case] > (LONG_S if number == 0 else CHEAP_S)
    )


def main() -> int:
    """Run the tests and write the list."""
    LIST.unlink(missing_ok=True)
    pytest_command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    collected = subprocess.run(
        [*pytest_command, "--collect-only"], capture_output=True, text=True, check=True
    ).stdout.splitlines()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "costs.txt"
        command = [*pytest_command, "-n", "logical", "-p", "tests.measure"]
        ended = subprocess.run(command, env={**os.environ, _COSTS: str(file)}, check=False)
        lines = file.read_text(encoding="utf-8").splitlines()
    measured = {case: float(cost) for cost, _, case in (line.partition(" ") for line in lines)}
    ordered = {case: measured[case] for case in collected if case in measured}
    chosen = choose_long(ordered)
    LIST.write_text("".join(f"{case}\n" for case in chosen), encoding="utf-8")
    saved, total = sum(ordered[case] for case in chosen), sum(ordered.values())
    print(  # noqa: T201 - a command
        f"{len(chosen)} of {len(ordered)} cases are long: {saved:.0f} of {total:.0f} s"
    )
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main())
