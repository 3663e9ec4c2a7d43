"""`geoembz publish` from flags to a published, described store."""

import json
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from geoembz._cli.stores import publish
from geoembz._spelling import flags
from geoembz.errors import InvalidConfigError

app = typer.Typer(rich_markup_mode=None)
app.command()(publish)


def run(*flags: str) -> str:
    """Run the command, let its errors through, return what it printed."""
    result = CliRunner().invoke(app, list(flags), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_publish_and_describe(store: Path, tmp_path: Path) -> None:
    """One command leaves the store, its manifest, an item and a collection."""
    pytest.importorskip("pystac")
    target = tmp_path / "there" / "copy.zarr"
    printed = run(str(store), str(target), "--start", "2024-01-01", "--end", "2024-12-31")
    assert "7 sent" in printed
    names = sorted(path.name for path in target.parent.iterdir())
    assert names == [
        "copy.zarr", "copy.zarr.manifest.json", "copy.zarr.stac-collection.json",
        "copy.zarr.stac-item.json",
    ]  # fmt: skip
    item = json.loads((target.parent / "copy.zarr.stac-item.json").read_text())
    assert item["properties"]["end_datetime"] == "2024-12-31T23:59:59Z"
    assert "time 2024-01-01T00:00:00Z to 2024-12-31T23:59:59Z, as given" in printed
    assert "0 sent" in run(str(store), str(target), "--no-stac")
    assert "as in the item that was there" in run(str(store), str(target))


def test_what_is_taken_for_the_time_is_said(store: Path, tmp_path: Path) -> None:
    """Without any time the item has that of publication; the command says so, and what to do."""
    pytest.importorskip("pystac")
    with flags():
        printed = run(str(store), str(tmp_path / "copy.zarr"))
    assert "that of publication" in printed
    assert "--start and --end" in printed


def test_half_a_time(store: Path, tmp_path: Path) -> None:
    """A start needs an end; nothing is copied before that is known."""
    with pytest.raises(InvalidConfigError, match="start=… and end=…"):
        run(str(store), str(tmp_path / "copy.zarr"), "--start", "2024-01-01")
    assert not (tmp_path / "copy.zarr").exists()


def test_json_and_quiet(store: Path, tmp_path: Path) -> None:
    """`--json` prints the report and nothing else; `--quiet` prints nothing."""
    report = json.loads(run(str(store), str(tmp_path / "copy.zarr"), "--no-stac", "--json"))
    assert (report["n_objects"], report["n_uploaded"], report["stac_urls"]) == (7, 7, [])
    assert run(str(store), str(tmp_path / "copy.zarr"), "--no-stac", "--quiet") == ""
