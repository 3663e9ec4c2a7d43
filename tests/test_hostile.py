"""Stores made to do harm are refused: no code runs, nothing is written outside, memory is bounded.

One process tries every command on every store of `tests.hostile`, so that its peak memory counts.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.hostile import CANARY, HOSTILE

MOST_BYTES = 500 * 10**6

# What must not be believed even far enough to open it; the others open, and lose what is wrong.
REFUSED = sorted(HOSTILE.keys() - {"links_in_circles", "inflating_layer"})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the stores are made."""
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def report(folder: Path) -> dict[str, Any]:
    """Try everything, in one process."""
    ended = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.hostile", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=Path(__file__).parents[1],
    )
    assert ended.returncode == 0, ended.stderr
    return dict(json.loads(ended.stdout))


def test_nothing_crashes(report: dict[str, Any]) -> None:
    """Every attempt on every store ended, well or in an error of ours."""
    assert report.keys() == HOSTILE.keys()
    crashes = [
        (name, attempt, said)
        for name, result in report.items()
        for attempt, said in result["said"].items()
        if said.startswith("CRASHED")
    ]
    assert crashes == []


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused_and_named(name: str, report: dict[str, Any]) -> None:
    """Opening and converting end in an error, and verify has something to say."""
    said = report[name]["said"]
    for attempt in ("open", "open codes", "convert"):
        assert said[attempt].startswith("refused: "), attempt
    assert "nothing wrong" not in said["verify"]


def test_what_a_layer_claims_is_checked_before_it_is_read(report: dict[str, Any]) -> None:
    """To open a store reads no number of it; to convert it does."""
    said = report["inflating_layer"]["said"]
    assert said["open"] == "fine"
    assert "a chunk says that it holds 1073741824 bytes; expected 64" in said["convert"]


def test_memory_is_bounded(report: dict[str, Any]) -> None:
    """A few kilobytes of hostile input never cost half a gigabyte."""
    peaks = {name: result["peak_bytes"] for name, result in report.items()}
    assert max(peaks.values()) < MOST_BYTES, peaks


def test_links_are_not_published(report: dict[str, Any]) -> None:
    """A link in a store could publish what is private; it could lead in circles."""
    said = report["links_in_circles"]["said"]
    assert "symbolic link" in said["publish"]
    assert said["verify"].endswith("nothing wrong")


def test_no_code_ran_and_nothing_was_written_outside(folder: Path, report: dict[str, Any]) -> None:
    """Beside each store there is what was made there, and the copies that were asked for."""
    assert list(folder.rglob(CANARY)) == []
    assert {path.name for path in folder.iterdir()} == report.keys()
    for name in report:
        made = {path.name for path in (folder / name).iterdir()}
        assert made <= {"s.zarr", "copies", "outside"}
        outside = {p.name for p in (folder / name / "outside").rglob("*") if p.is_file()}
        assert outside <= {"zarr.json", "0"}
        copies = {path.name for path in (folder / name / "copies").glob("*")}
        assert copies <= {
            "published.zarr", "published.zarr.manifest.json", "converted.zarr"
        }  # fmt: skip
