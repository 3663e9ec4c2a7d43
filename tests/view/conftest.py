"""Where the viewer's page is, and whether its tools are there."""

import shutil
from pathlib import Path

import pytest

import geoembz


@pytest.fixture(scope="session")
def view_folder() -> Path:
    """Return ``geoembz/_view``, where npm and node run; skip, saying so, without them."""
    folder = Path(geoembz.__file__).parent / "_view"
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("viewer: no Node.js with npm; install Node.js 20 or later")
    if not (folder / "node_modules").is_dir():
        pytest.skip(f"viewer: no packages; run 'npm install --no-package-lock' in {folder}")
    return folder
