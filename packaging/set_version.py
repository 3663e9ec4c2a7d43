"""Make this tree a release: ``uv run --extra dev packaging/set_version.py X.Y.Z [YYYY-MM-DD]``.

Writes the version where it is named, and moves the changes that wait into CHANGELOG.md. What to
commit and run next is in docs/releasing.md.
"""

import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parents[1]
PLACES = {
    "geoembz/_version.py": r'(?m)^__version__ = "(.+)"$',
    "CITATION.cff": r"(?m)^version: (.+)$",
    "packaging/recipe.yaml": r'(?m)^  version: "(.+)"$',
}
"""Where the version is named, once in each file."""


def set_version(root: Path, version: str) -> None:
    """Write the version into each of `PLACES`.

    Raises
    ------
    ValueError
        If it is not three numbers, or a file does not name one version.
    """
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        raise ValueError(f"{version}; expected three numbers, such as 0.2.0")
    for name, pattern in PLACES.items():
        text = (root / name).read_text("utf-8")
        found = list(re.finditer(pattern, text))
        if len(found) != 1:
            raise ValueError(f"{name}: names {len(found)} versions; expected one")
        (start, end) = found[0].span(1)
        (root / name).write_text(text[:start] + version + text[end:], "utf-8")


def main(version: str, date: str | None = None) -> None:
    """Write the version and build the changelog."""
    set_version(ROOT, version)
    date = date or datetime.now(UTC).strftime("%Y-%m-%d")
    command = ["towncrier", "build", "--yes", "--version", version, "--date", date]
    subprocess.run([sys.executable, "-m", *command], cwd=ROOT, check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
