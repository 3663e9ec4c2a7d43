"""The examples run: every script, and every command and program on a page of the documentation."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
SCRIPTS = sorted(REPOSITORY.glob("examples/*.py"))
README = REPOSITORY / "README.md"
PAGES = [README, *sorted(REPOSITORY.glob("docs/*.md")), *sorted(REPOSITORY.glob("docs/howto/*.md"))]
BLOCK = re.compile(r"^```(bash|python)\n(.*?)^```$", flags=re.MULTILINE | re.DOTALL)
DEMO = "geoembz demo geoembz-demo"

pytestmark = pytest.mark.slow


def run(*arguments: str, cwd: Path) -> None:
    """Run Python, and show what it said where it fails."""
    done = subprocess.run(
        [sys.executable, *arguments], cwd=cwd, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}{done.stderr}"


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder that the demo command of every page makes; made once, of a smaller scene."""
    folder = tmp_path_factory.mktemp("demo")
    run("-m", *shlex.split(DEMO), "--size", "160", cwd=folder)
    return folder / "geoembz-demo"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_example_runs_without_warnings(script: Path, tmp_path: Path) -> None:
    """Each script is complete in itself."""
    run("-W", "error", str(script), cwd=tmp_path)


def pages_with_blocks() -> list[Path]:
    """Return the pages that show a command or a program."""
    return [page for page in PAGES if BLOCK.search(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", pages_with_blocks(), ids=lambda path: path.stem)
def test_page_runs(page: Path, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page's blocks work, from top to bottom, in an empty folder."""
    monkeypatch.chdir(tmp_path)
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
                run("-m", *shlex.split(command), cwd=tmp_path)
