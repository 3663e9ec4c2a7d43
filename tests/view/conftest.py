"""Where the viewer's page is, whether its tools are there, and a browser that looks at it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.browsing import VIEW, Seen, what_is_missing
from benchmarks.browsing import browse as drive
from geoembz._view import built_page

__all__ = ["Browse", "Seen"]

type Browse = Callable[..., Seen]


@pytest.fixture(scope="session")
def view_folder() -> Path:
    """Return ``geoembz/_view``, where npm and node run; skip, saying so, without them."""
    if missing := what_is_missing(browser=False):
        pytest.skip(missing)
    return VIEW


@pytest.fixture(scope="session")
def browse(view_folder: Path) -> Browse:
    """Return a function that opens an address in Chromium and takes steps (``browser.mjs``)."""
    if missing := what_is_missing():
        pytest.skip(missing)
    built_page("store", "store")  # before the first test's time runs

    def run(url: str, *steps: dict[str, Any], **options: Any) -> Seen:
        return drive(url, steps, **options)

    return run
