"""A stranger's first minutes: ``uv run --no-project packaging/rehearse.py WHEEL PYTHON…``.

For each Python a bare environment in an empty folder: install the wheel, run the demo from outside
the repository, and print what came and how long it took. Needs uv and a package index.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from install_sizes import weigh


def rehearse(wheel: Path, python: str, folder: Path) -> str:
    """Return a row of the table."""
    environment = folder / "environment"
    started = time.monotonic()
    packages, size = weigh(str(wheel), python, environment)
    installed = time.monotonic()
    command = [str(environment / "bin" / "geoembz"), "demo", "scene"]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    took = time.monotonic() - installed
    (smaller,) = [line for line in run.stdout.splitlines() if "times smaller" in line]
    version = subprocess.run(
        [str(environment / "bin" / "python"), "--version"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]
    return (
        f"| {version} | {packages} | {size:.0f} MB | {installed - started:.0f} s "
        f"| {took:.0f} s | {smaller} |"
    )


def main(wheel: str, *pythons: str) -> None:
    """Print the table."""
    print(
        "| Python | packages | size | install | demo | the demo says |\n|---|---|---|---|---|---|"
    )
    for python in pythons:
        with tempfile.TemporaryDirectory() as scratch:
            print(rehearse(Path(wheel).resolve(), python, Path(scratch)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
