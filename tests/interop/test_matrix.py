"""What the documentation says that other software reads, it reads; what it refuses, it refuses."""

from pathlib import Path

import pytest

from tests.interop.kinds import make_stores
from tests.interop.matrix import find_column, read_table
from tests.interop.readers import SOFTWARE, NotHereError

NEEDS = {"zarrita (Node.js)": pytest.mark.viewer, "OpenLayers (Chromium)": pytest.mark.browser}


@pytest.fixture(scope="session")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return make_stores(tmp_path_factory.mktemp("interop"))


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=NEEDS.get(name, pytest.mark.slow)) for name in SOFTWARE]
)
def test_software_reads_what_the_table_says(name: str, stores: dict[str, Path]) -> None:
    try:
        found = find_column(SOFTWARE[name], stores)
    except NotHereError as missing:
        pytest.skip(str(missing))
    assert found == read_table()[name]
