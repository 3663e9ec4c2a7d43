"""The examples run: every script, and every command and program on a page of the documentation."""

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import forking

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(REPOSITORY.glob("examples/*.py"))
README = REPOSITORY / "README.md"
PAGES = [README, *sorted(REPOSITORY.glob("docs/*.md")), *sorted(REPOSITORY.glob("docs/howto/*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
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


@pytest.mark.parametrize("page", pages_with_blocks(), ids=lambda path: path.stem)
def test_page_runs(page: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's blocks work, from top to bottom, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    if page.stem == "icechunk":
        pytest.importorskip("icechunk", reason="the package icechunk is not installed")
    if page == README:  # its own demo command sets a machine up, which CI has done
        shutil.copytree(demo, "geoembz-demo")
    names: dict[str, object] = {}
    content = page.read_text(encoding="utf-8")
    if ".rio." in content:  # another page of this process may have imported it already
        assert "import rioxarray" in content
    for language, text in BLOCK.findall(content):
        if language == "python":
            exec(compile(text, str(page), "exec"), names)  # noqa: S102 - our own pages
            continue
        for command in text.splitlines():
            if command == DEMO:
                shutil.copytree(demo, "geoembz-demo")
            elif command.startswith("geoembz "):
                run(command, tmp_path)
