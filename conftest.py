"""What the examples in docstrings may use without importing it."""

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def _doctest_surroundings(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give every docstring example `np`, and a directory of its own to write into."""
    if isinstance(request.node, pytest.DoctestItem):
        doctest_namespace["np"] = np
        monkeypatch.chdir(Path(tmp_path_factory.mktemp("doctest")))
