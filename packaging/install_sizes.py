"""Print what an install weighs: ``uv run --no-project packaging/install_sizes.py WHEEL [PYTHON]``.

One environment for the core and one for each extra: distributions, and megabytes of their files
without byte code. The table is in docs/howto/install.md. Needs uv and a package index.
"""

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def weigh(requirement: str, python: str, folder: Path) -> tuple[int, float]:
    """Install into a bare environment; return the number of distributions and their MB."""
    uv("venv", "--quiet", "--python", python, str(folder))
    uv("pip", "install", "--quiet", "--python", str(folder), requirement)
    (packages,) = folder.glob("lib/python*/site-packages")
    files = (path for path in packages.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum(path.stat().st_size for path in files if path.suffix != ".pyc")
    return len(list(packages.glob("*.dist-info"))), size / 1e6


def uv(*words: str) -> None:
    """Run a command of uv."""
    subprocess.run(["uv", *words], check=True)


def main(wheel: str, python: str = "3.12") -> None:
    """Print the table."""
    path = Path(wheel).resolve()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = [name for name in project["optional-dependencies"] if name != "dev"]
    with tempfile.TemporaryDirectory() as scratch:
        count, size = weigh(str(path), python, Path(scratch) / "core")
        print(f"| `geoembz` | {count} | {size:.0f} |")
        for extra in extras:
            more, heavier = weigh(f"{path}[{extra}]", python, Path(scratch) / extra)
            print(f"| `{extra}` | +{more - count} | +{heavier - size:.0f} |", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
