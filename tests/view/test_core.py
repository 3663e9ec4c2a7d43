"""The viewer's TypeScript, run in Node: against the specification, and against Python."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import MakeRaster
from tests.view.cases import RECIPES, write_cases

pytestmark = pytest.mark.viewer

SPEC_VECTORS = Path(__file__).parents[2] / "spec" / "vectors"


def run_npm(folder: Path, *arguments: str, **environment: str) -> str:
    """Run npm and return what it printed; fail with that where it fails."""
    command = ["npm", "run", "--silent", *arguments]
    surroundings = {**os.environ, **environment}
    done = subprocess.run(
        command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_scripts_have_sound_types(view_folder: Path) -> None:
    run_npm(view_folder, "check")


def test_core_agrees_with_specification_and_python(
    view_folder: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """Golden stores decode; scores, classes and changes of every recipe are those of Python."""
    write_cases(tmp_path / "cases", make_raster)
    printed = run_npm(
        view_folder,
        "test",
        GEOEMBZ_VECTORS=str(SPEC_VECTORS),
        GEOEMBZ_VIEW_CASES=str(tmp_path / "cases"),
    )
    passed = re.search(r"^\S+ pass (\d+)$", printed, re.MULTILINE)
    skipped = re.search(r"^\S+ skipped (\d+)$", printed, re.MULTILINE)
    assert passed is not None
    assert int(passed[1]) > 5 * len(RECIPES)
    assert skipped is not None
    assert int(skipped[1]) == 0
