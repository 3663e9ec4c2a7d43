"""The commands that get data out: what they print, and what they say about mistakes."""

import json
from pathlib import Path

import pytest

from geoembz._cli import main
from geoembz.store import StoreReader
from tests.export.conftest import make_store, store

__all__ = ["make_store", "store"]


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> dict[str, object]:
    """Run a command with ``--json`` and return what it printed."""
    try:
        main([*map(str, words), "--json"])
    except SystemExit as stop:
        assert not stop.code, capsys.readouterr().err  # noqa: PT017
    document: dict[str, object] = json.loads(capsys.readouterr().out)
    return document


def test_commands_write_their_files(
    store: StoreReader, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each writes what it names and says so in JSON."""
    points = tmp_path / "points.csv"
    points.write_text("x,y\n500205,5299605\n", encoding="utf-8")
    out = tmp_path / "out.parquet"
    sampled = run(capsys, "sample", store.url, points, "--crs", "EPSG:32632", "--out", out)
    assert (sampled["found"], sampled["length"]) == (1, 12)
    picture = run(capsys, "preview", store.url, tmp_path / "a.png", "--bands", "2", "--size", "35")
    assert picture["shape"] == [35, 25]
    box = "500100,5299500,500200,5299600"
    raster = run(capsys, "export", store.url, tmp_path / "a.tif", "--bbox", box, "--space", "codes")
    assert (raster["shape"], raster["bands"], raster["nodata"]) == ([10, 10], 8, -128)
    for name in ("out.parquet", "a.png", "a.tif"):
        assert (tmp_path / name).stat().st_size > 0


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--bbox", "1,2,3"], "four numbers"),
        (["--bbox", "1,2,3,4", "--bbox-crs", "nonsense"], "bbox CRS"),
        (["--space", "codes", "--components", "2"], "codes are read whole"),
    ],
)
def test_mistakes_are_usage_errors(
    store: StoreReader,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: list[str],
    message: str,
) -> None:
    """Exit code 2, one message, no file."""
    with pytest.raises(SystemExit) as stop:
        main(["export", store.url, str(tmp_path / "a.tif"), *words])
    assert stop.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a.tif").exists()
