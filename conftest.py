"""What the examples in docstrings may use without importing or making it."""

from pathlib import Path

import numpy as np
import pytest

import geoembz


@pytest.fixture(autouse=True)
def _doctest_surroundings(
    request: pytest.FixtureRequest,
    doctest_namespace: dict[str, object],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Give every docstring example `np`, `geoembz`, and `tmp_path`, where it also runs."""
    if isinstance(request.node, pytest.DoctestItem):
        tmp_path = Path(tmp_path_factory.mktemp("doctest"))
        doctest_namespace.update({"np": np, "geoembz": geoembz, "tmp_path": tmp_path})
        monkeypatch.chdir(tmp_path)
