"""A headless Chromium that takes steps on a page (``tests/view/browser.mjs``)."""

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geoembz

VIEW = Path(geoembz.__file__).parent / "_view"
_DRIVER = Path(__file__).parents[1] / "tests" / "view" / "browser.mjs"


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


def what_is_missing(*, browser: bool = True) -> str | None:
    """Return in words what the viewer, or a browser that looks at it, needs and has not."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "viewer: no Node.js with npm; install Node.js 20 or later"
    if not (VIEW / "node_modules").is_dir():
        return f"viewer: no packages; run 'npm install --no-package-lock' in {VIEW}"
    if browser and _chromium() is None:
        return "browser: no Chromium; apt-get install chromium"
    return None


def browse(
    url: str, steps: Sequence[dict[str, Any]], timeout_s: float = 180, **options: Any
) -> Seen:
    """Open an address and take steps; the driver's own text has their kinds, and the options."""
    packages = str(VIEW / "package.json")
    job = {"url": url, "steps": steps, "chromium": _chromium(), "packages": packages, **options}
    done = subprocess.run(
        ["node", str(_DRIVER)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout_s,
    )
    if done.returncode:
        raise RuntimeError(f"{_DRIVER.name} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Seen(**json.loads(done.stdout))


def _chromium() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")
