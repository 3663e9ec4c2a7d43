"""The examples run: every script, and all commands, programs and cells of the documentation."""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests import forking

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(REPOSITORY.glob("examples/*.py"))
README = REPOSITORY / "README.md"
FOLDERS = ("docs", "docs/howto", "docs/notebooks")
PAGES = [README, *(page for each in FOLDERS for page in sorted(REPOSITORY.glob(f"{each}/*.md")))]
BLOCK = re.compile(
    r"^```(bash|python|\{code-cell\} ipython3)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL
)
DEMO = "geoembz demo geoembz-demo"

pytestmark = pytest.mark.slow


def run(command: str, folder: Path) -> None:
    """Run a command, and show what it said where it fails."""
    with tempfile.TemporaryFile() as said:
        code = forking.run(["-m", *shlex.split(command)], cwd=folder, stdout=said, stderr=said)
        said.seek(0)
        assert code == 0, f"{command}\n{said.read().decode()}"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that the demo command of every page makes; made once, of a smaller scene."""
    folder = tmp_path_factory.mktemp("demo")
    run(f"{DEMO} --size 160", folder)
    return folder / "geoembz-demo"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs_without_warnings(script: Path, tmp_path: Path) -> None:
    """Each script is complete in itself."""
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def pages_with_blocks() -> list[Path]:
    """Return the pages that show a command or a program."""
    return [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


def name_of(page: Path) -> str:
    """Return a page's path in the repository: how-tos and notebooks share names."""
    return page.relative_to(REPOSITORY).with_suffix("").as_posix()


def run_once(page: Path) -> Any:
    """Leave notebooks to longer runs: the build of the pages runs their cells, too (`.ci/run`)."""
    is_notebook = page.parent.name == "notebooks"
    return pytest.param(page, id=name_of(page), marks=[pytest.mark.long] if is_notebook else [])


@pytest.mark.parametrize("page", [run_once(page) for page in pages_with_blocks()])
def test_page_runs(page: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's blocks, or a notebook's cells, work from top to bottom in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MPLBACKEND", "agg")
    if page.stem == "icechunk":
        pytest.importorskip("icechunk", reason="the package icechunk is not installed")
    if page == README:  # its own demo command sets a machine up, which CI has done
        shutil.copytree(demo, "geoembz-demo")
    names: dict[str, object] = {}
    content = page.read_text(encoding="utf-8")
    if ".rio." in content:  # another page of this process may have imported it already
        assert "import rioxarray" in content
    for language, text in BLOCK.findall(content):
        if language != "bash":
            exec(compile(text, str(page), "exec"), names)  # noqa: S102 - our own pages
            continue
        for command in text.splitlines():
            if command == DEMO:
                shutil.copytree(demo, "geoembz-demo")
            elif command.startswith("geoembz "):
                run(command, tmp_path)
    if "plt" in names:
        names["plt"].close("all")  # type: ignore[attr-defined]  # open figures add up to a warning


@pytest.mark.parametrize(
    ("link", "leads"),
    [
        ("b/other.html#there", True),
        ("b/other.html", True),
        ("#here", True),
        ("https://example.org/x", True),
        ("b/other.html#gone", False),
        ("b/gone.html", False),
        ("#gone", False),
        ("picture.png", False),
    ],
)
def test_dead_links_are_told_from_live_ones(
    link: str, leads: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What every build of the pages checks: a file that is there, and an anchor in it."""
    monkeypatch.syspath_prepend(REPOSITORY / "docs" / "_ext")
    links = pytest.importorskip("checked_links", reason="Sphinx is not installed")
    page, other = tmp_path / "page.html", tmp_path / "b" / "other.html"
    other.parent.mkdir()
    page.write_text(f'<p id="here"><a href="{link}">a link</a></p>')
    other.write_text('<p id="there"></p>')
    pages = {path: links.Page(path) for path in (page, other)}
    assert pages[page].links == [link]
    assert links.leads_somewhere(page, link, pages) is leads
