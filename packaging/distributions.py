"""The sdist and the wheel of a release: build them from what is committed, and look inside."""

import email
import email.message
import hashlib
import os
import re
import subprocess
import tarfile
import tempfile
import tomllib
import zipfile
from pathlib import Path, PurePosixPath

_PAGE = ("index.html", "main.js", "worker.js", "main.css", "LICENSES.txt")
_WHEEL = (
    "geoembz/py.typed",
    "geoembz/store.schema.json",
    "geoembz/_evaluate/report.html",
    "geoembz/_cost/prices.json",
    *(f"geoembz/_view/dist/{name}" for name in _PAGE),
)
"""What a wheel must hold, beside Python, its licence and entry points."""

_SDIST = (
    "LICENSE", "README.md", "CHANGELOG.md", "CITATION.cff", "pyproject.toml", "hatch_build.py",
    "constraints.txt", "conftest.py", "spec/schema/store.schema.json", "tests/conftest.py",
    "docs/index.md", "geoembz/_view/package.json", "geoembz/_view/src",
    *(f"geoembz/_view/dist/{name}" for name in _PAGE),
)  # fmt: skip
"""What an sdist must hold: files, or folders that are not empty."""

_STRAY = re.compile(
    r"(^|/)(node_modules|__pycache__|_build|\.[^/]+|uv\.lock|package-lock\.json)(/|$)"
    r"|\.(map|pyc|orig|rej|tmp)$"
)
_KEPT = re.compile(r"(^|/)\.(gitignore|gitattributes|npmrc)$|^spec/vectors/.*\.zarr/\.geoembz/")
MOST_WHEEL_BYTES, MOST_SDIST_BYTES = 3_000_000, 12_000_000


def build(root: Path, out: Path) -> None:
    """Build both from a clone: nothing that is only in the folder gets in, the viewer must."""
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "geoembz"
        subprocess.run(["git", "clone", "--quiet", str(root), str(clone)], check=True)
        environment = {**os.environ, "GEOEMBZ_REQUIRE_VIEWER": "1"}
        command = ["uv", "build", "--quiet", "--clear", "--out-dir", str(out.resolve())]
        subprocess.run(command, cwd=clone, env=environment, check=True)


def check_distributions(root: Path, folder: Path, version: str) -> list[str]:
    """Return what is wrong with a wheel and an sdist; print what is in them."""
    wheel = folder / f"geoembz-{version}-py3-none-any.whl"
    sdist = folder / f"geoembz-{version}.tar.gz"
    missing = [f"{path.name}: not in {folder}" for path in (wheel, sdist) if not path.is_file()]
    if missing:
        return missing
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(f"geoembz-{version}.dist-info/METADATA").decode()
    with tarfile.open(sdist) as tar:
        sources = [m.name.partition("/")[2] for m in tar.getmembers() if m.isfile()]
    print_contents(wheel, names)
    print_contents(sdist, sources)
    return [
        *check_wheel(names, version),
        *check_sdist(sources),
        *check_size(wheel, MOST_WHEEL_BYTES),
        *check_size(sdist, MOST_SDIST_BYTES),
        *check_metadata(root, metadata),
        *check_with_twine(wheel, sdist),
    ]


def check_wheel(names: list[str], version: str) -> list[str]:
    """Refuse a wheel of anything but the package and what it ships."""
    info = f"geoembz-{version}.dist-info"
    wanted = [*_WHEEL, f"{info}/licenses/LICENSE", f"{info}/entry_points.txt"]
    faults = [f"wheel: no {name}" for name in wanted if name not in names]
    stray = [
        name
        for name in names
        if not name.startswith(("geoembz/", f"{info}/"))
        or _STRAY.search(name)
        or name.endswith((".ts", ".mjs"))
    ]
    return faults + [f"wheel: stray {name}" for name in stray]


def check_sdist(names: list[str]) -> list[str]:
    """Refuse an sdist without what packagers need, or with what a build or a test leaves."""
    folders = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    faults = [f"sdist: no {name}" for name in _SDIST if name not in names and name not in folders]
    stray = [name for name in names if _STRAY.search(name) and not _KEPT.search(name)]
    return faults + [f"sdist: stray {name}" for name in stray]


def check_size(path: Path, most: int) -> list[str]:
    """Refuse what is too large for what it is."""
    size = path.stat().st_size
    return [] if size <= most else [f"{path.name}: {size:,} bytes; expected {most:,} at most"]


def check_metadata(root: Path, text: str) -> list[str]:
    """Refuse metadata that are not those of pyproject.toml, and a page of relative links."""
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    found = email.message_from_string(text)
    page = str(found.get_payload())
    expected = {
        "Name": ["geoembz"],
        "License-Expression": [project["license"]],
        "Requires-Python": [project["requires-python"]],
        "Description-Content-Type": ["text/markdown"],
        "Project-URL": [f"{name}, {url}" for name, url in project["urls"].items()],
        "Classifier": sorted(project["classifiers"]),
        "Provides-Extra": sorted(project["optional-dependencies"]),
    }
    faults = [
        f"metadata: {name} {values(found, name)}; expected {wanted}"
        for name, wanted in expected.items()
        if sorted(values(found, name)) != sorted(wanted)
    ]
    relative = re.findall(r"\]\((?!https?://|#)([^)]+)\)", page)
    return faults + [f"metadata: the page links to {link}" for link in relative]


def values(message: email.message.Message, name: str) -> list[str]:
    """Return the values of a field that may stand several times."""
    return [str(value) for value in message.get_all(name, [])]


def check_with_twine(*paths: Path) -> list[str]:
    """Ask the tool that uploads whether an index would take them."""
    command = ["uv", "tool", "run", "--quiet", "twine", "check", "--strict", *map(str, paths)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    return [] if run.returncode == 0 else [f"twine: {run.stdout}{run.stderr}"]


def print_contents(path: Path, names: list[str]) -> None:
    """Print size, digest and files: those beside Python by name, of Python how many a folder."""
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"{path.name}: {path.stat().st_size:,} bytes, {len(names)} files, sha256 {digest}")
    is_wheel = path.suffix == ".whl"
    for name in sorted(names) if is_wheel else ():
        if not name.endswith(".py"):
            print(f"  {name}")
    folders = [PurePosixPath(name).parts for name in names if name.endswith(".py") or not is_wheel]
    depth = 2 if is_wheel else 1
    groups = ["/".join(parts[: min(depth, len(parts) - 1)]) for parts in folders]
    for group in sorted(set(groups)):
        print(f"  {group or '.'}: {groups.count(group)} files")
