"""Whether this tree can be released: ``uv run --no-project packaging/check_release.py``.

    check_release.py [--tag vX.Y.Z] [--build DIR]

Version, changelog, promises and golden vectors are looked at in any case. With ``--build`` the
committed tree is cloned, an sdist is built from the clone and a wheel from the sdist, and what is
in them is checked and listed. docs/releasing.md says when to run it. A build needs uv, git, npm and
a package index.
"""

import argparse
import re
import sys
from pathlib import Path

import golden
from distributions import build, check_distributions

ROOT = Path(__file__).parents[1]
_FINAL = re.compile(r"\d+\.\d+\.\d+")


def main() -> int:
    """Print each check and what is wrong; return 1 if anything is."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tag", help="of the release: it must name the version")
    parser.add_argument("--build", type=Path, metavar="DIR", help="build into, and check, DIR")
    options = parser.parse_args()
    checks = {
        "version": check_version(ROOT, options.tag),
        "changelog": check_changelog(ROOT),
        "promises": check_promises(ROOT),
        "golden vectors": golden.check(),
    }
    wrong = sum(report(name, faults) for name, faults in checks.items())
    if options.build:
        build(ROOT, options.build)
        wrong += report("distributions", check_distributions(ROOT, options.build, version_of(ROOT)))
    print("not to be released" if wrong else f"{version_of(ROOT)} can be released")
    return 1 if wrong else 0


def report(name: str, faults: list[str]) -> int:
    """Print one check; return the number of faults."""
    print(f"{name}: {'WRONG' if faults else 'right'}", *(f"  {f}" for f in faults), sep="\n")
    return len(faults)


def version_of(root: Path) -> str:
    """Return the version of the package, as its module says."""
    return find(root / "geoembz" / "_version.py", r'^__version__ = "(.+)"$')


def find(path: Path, pattern: str) -> str:
    """Return what a pattern finds first in a file; a text that says so where it finds nothing."""
    match = re.search(pattern, path.read_text("utf-8"), flags=re.MULTILINE)
    return match[1] if match else "none"


def check_version(root: Path, tag: str | None = None) -> list[str]:
    """Refuse versions that differ, or are not final."""
    version = version_of(root)
    named = {
        "CITATION.cff": find(root / "CITATION.cff", r"^version: (.+)$"),
        "packaging/recipe.yaml": find(root / "packaging" / "recipe.yaml", r'^  version: "(.+)"$'),
        **({"the tag": tag.removeprefix("v")} if tag else {}),
    }
    faults = [f"{who}: {one}; expected {version}" for who, one in named.items() if one != version]
    if not _FINAL.fullmatch(version):
        faults.append(f"{version}; expected three numbers")
    return faults


def check_changelog(root: Path) -> list[str]:
    """Refuse a changelog that begins with another version, and changes that wait beside it."""
    first = find(root / "CHANGELOG.md", r"^## (\S+) \(\d{4}-\d{2}-\d{2}\)$")
    version = version_of(root)
    faults = [] if first == version else [f"CHANGELOG.md: first is {first}; expected {version}"]
    waiting = [path for path in (root / "changes").glob("*.md") if path.name != "README.md"]
    if waiting:
        faults.append(f"changes/: {len(waiting)} wait; run packaging/set_version.py")
    return faults


def check_promises(root: Path) -> list[str]:
    """Refuse former names that were to go with this release."""
    now = tuple(map(int, version_of(root).split(".")[:2]))
    faults = []
    for path in sorted((root / "geoembz").rglob("*.py")):
        if "node_modules" in path.parts:
            continue
        promises = re.finditer(r"goes with release (\d+)\.(\d+)", path.read_text("utf-8"))
        due = [found[0] for found in promises if (int(found[1]), int(found[2])) <= now]
        faults += [f"{path.relative_to(root)}: {promise}" for promise in due]
    return faults


if __name__ == "__main__":
    sys.exit(main())
