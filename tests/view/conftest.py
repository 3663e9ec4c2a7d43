"""Where the viewer's page is, whether its tools are there, and a browser that looks at it."""

import json
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import geoembz
from geoembz._view import built_page


@pytest.fixture(scope="session")
def view_folder() -> Path:
    """Return ``geoembz/_view``, where npm and node run; skip, saying so, without them."""
    folder = Path(geoembz.__file__).parent / "_view"
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("viewer: no Node.js with npm; install Node.js 20 or later")
    if not (folder / "node_modules").is_dir():
        pytest.skip(f"viewer: no packages; run 'npm install --no-package-lock' in {folder}")
    return folder


@dataclass(frozen=True)
class Seen:
    """What a browser saw.

    Parameters
    ----------
    results
        Of each step; None for those that give nothing.
    said
        Errors of the page and its console.
    hosts
        Of every request.
    """

    results: list[Any]
    said: list[str]
    hosts: list[str]


type Browse = Callable[..., Seen]


@pytest.fixture(scope="session")
def browse(view_folder: Path) -> Browse:
    """Return a function that opens an address in Chromium and takes steps (``browser.mjs``)."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("browser: no Chromium; apt-get install chromium")
    built_page("store", "store")  # before the first test's time runs

    def run(url: str, *steps: dict[str, Any], **options: Any) -> Seen:
        packages = str(view_folder / "package.json")
        job = {"url": url, "steps": steps, "chromium": chromium, "packages": packages, **options}
        command = ["node", str(Path(__file__).with_name("browser.mjs"))]
        done = subprocess.run(
            command, input=json.dumps(job), capture_output=True, text=True, check=False, timeout=180
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return Seen(**json.loads(done.stdout))

    return run
