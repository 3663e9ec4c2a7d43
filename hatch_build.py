"""Bundle the page of `geoembz view` into wheels and sdists, where npm is there.

An editable install (``uv run``, ``pip install -e``) is left alone: a clone builds the page when it
is asked for. An sdist carries the bundle: what is built from one needs no npm. Elsewhere, without
npm, the wheel is built without the page and says so; with ``GEOEMBZ_REQUIRE_VIEWER=1``, as for
releases, that is an error.
"""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

REQUIRE = "GEOEMBZ_REQUIRE_VIEWER"
COMMANDS = (
    ("npm", "install", "--no-package-lock", "--no-audit", "--no-fund"),
    ("npm", "run", "build"),
)


class ViewerBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    """Runs before every build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002
        """Build the page, unless it is there or not wanted."""
        root = Path(self.root)
        is_from_sdist = (root / "PKG-INFO").is_file()
        if version == "editable" or is_from_sdist:
            return
        reason = build(root / "geoembz" / "_view")
        if reason is None:
            return
        if os.environ.get(REQUIRE, "") not in ("", "0"):
            raise RuntimeError(f"the viewer was not built ({reason}), and {REQUIRE} is set")
        self.app.display_warning(f"geoembz is built without its viewer: {reason}")


def build(folder: Path) -> str | None:
    """Bundle the page; return why that cannot be done, None where it is done."""
    npm = shutil.which("npm")
    if npm is None:
        return "there is no npm; install Node.js 20 or later"
    for command in COMMANDS:
        done = subprocess.run(  # noqa: S603
            [npm, *command[1:]], cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr or done.stdout).strip().splitlines()[-1:]
            return f"'{' '.join(command)}' failed in {folder}: {''.join(last)}"
    return None
