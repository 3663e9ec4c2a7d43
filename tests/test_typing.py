"""Programs of users type-check strictly, and editors learn what calls return."""

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from typing import assert_type

import geoembz
from geoembz.errors import GeoembzError

summary = geoembz.convert("a.tif", "a.zarr", pca=64, quantizer="int8", nodata=0, chunk=256)
assert_type(summary, geoembz.ConvertSummary)
assert_type(summary.ratio, float)
assert_type(geoembz.append("a.zarr", "b.tif", time="2025"), geoembz.AppendSummary)
assert_type(geoembz.dry_run(geoembz.convert, "a.tif", "a.zarr", pca=64), geoembz.DryRun)
assert_type(geoembz.dry_run(geoembz.publish, "a.zarr", "s3://b/a.zarr"), geoembz.DryRun)
found = geoembz.search("a.zarr", [0.0, 1.0], k=5)
assert_type(found, geoembz.SearchResult)
assert_type(found.to_table(), str)
assert_type(geoembz.evaluate("a.zarr", source="a.tif"), geoembz.Evaluation)
assert_type(geoembz.plan("a.tif", max_loss=0.01), geoembz.Plan)
assert_type(geoembz.Encoding.fit([[1.0]], geoembz.Recipe.parse("int8")), geoembz.Encoding)
with geoembz.show_progress():
    dataset = geoembz.open("a.zarr", chunks={})
    window = dataset["embedding"].isel(y=slice(0, 4))
try:
    geoembz.verify("a.zarr")
except GeoembzError as error:
    print(error.exit_code)
"""

WRONG = """
import geoembz

geoembz.convert("a.tif", "a.zarr", pca="sixty")
geoembz.dry_run(geoembz.convert, "a.tif")
geoembz.no_such_name
"""


def check(program: str, folder: Path) -> str:
    """Return what mypy says of a program, in a folder of its own."""
    (folder / "program.py").write_text(program)
    (folder / "mypy.ini").write_text(
        "[mypy]\nstrict = True\n[mypy-rasterio.*,pyarrow.*]\nignore_missing_imports = True\n"
    )
    run = subprocess.run(
        [sys.executable, "-m", "mypy", "program.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout + run.stderr


@pytest.mark.slow
def test_a_program_type_checks(tmp_path: Path) -> None:
    """Every call says what it returns; misspelt or missing arguments are found."""
    pytest.importorskip("mypy", reason="mypy is not installed")
    assert check(PROGRAM, tmp_path).startswith("Success")
    said = check(WRONG, tmp_path)
    for number in (4, 5, 6):
        assert f"program.py:{number}: error" in said
