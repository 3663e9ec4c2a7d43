"""The commands and the report, from end to end."""

import json
import re
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import geoembz
from geoembz._cli import main
from geoembz._demo import DemoFiles
from geoembz.store import StoreReader


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """Write an ``.npz`` with a given split and class names."""
    rng = np.random.default_rng(0)
    labels = np.arange(200) % 2
    vectors = (rng.normal(size=(200, 8)) + 3 * labels[:, np.newaxis]).astype(np.float16)
    path = tmp_path / "table.npz"
    is_train = np.arange(200) < 140
    np.savez(path, embeddings=vectors, labels=labels, is_train=is_train, classes=["a", "b"])
    return path


def _run(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return int(ended.value.code or 0)


def test_table_to_json(table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The article's setting: a table, recipes, numbers in a file."""
    out = tmp_path / "numbers.json"
    words = ("evaluate", "--table", str(table), "--recipes", "int8,pca4-int4", "--json", str(out))
    assert _run(*words) == 0
    document = json.loads(out.read_text())
    assert document["split"] == {
        "kind": "given",
        "folds": 1,
        "n_train": 140,
        "n_test": 60,
        "n_groups": None,
    }
    assert set(document["baseline"]["tasks"]["knn"]["f1"]) == {"a", "b"}
    assert "no difference found" in capsys.readouterr().out


def test_a_report_without_matplotlib_is_refused_before_the_work(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Minutes of evaluation are not lost to a package that is missing from the beginning."""
    worked: list[str] = []
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(geoembz, "evaluate", lambda *_, **__: worked.append("evaluated"))
    words = ("evaluate", "--table", str(table), "--recipes", "int8", "--report", str(tmp_path))
    assert _run(*words) != 0
    assert "plots need matplotlib, which is not installed; install it" in capsys.readouterr().err
    assert not worked


def test_store_report_and_record(scene: DemoFiles, store: Path, tmp_path: Path) -> None:
    """The page is complete in itself, the numbers lie beside it, and the store keeps a summary."""
    report = tmp_path / "report"
    words = ["evaluate", str(store), "--source", str(scene.embedding), "--samples", "1500"]
    assert _run(*words, "--labels", str(scene.labels), "--report", str(report), "--quiet") == 0
    page = (report / "report.html").read_text()
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)[^"']+""", page.replace("xlink:", ""))
    assert "@import" not in page
    assert "url(http" not in page
    assert "data:image/png;base64," in page
    HTMLParser().feed(page)
    assert page.count('href="#mcnemar"') > 1  # of blocks: the star leads to the note, which is one
    assert len(re.findall(r'<li id="mcnemar">\* McNemar', page)) == 1
    drawn = set(re.findall(r"(?:fill|stroke): (#\w{6})", page[page.index("<body") :]))
    dark = page[page.index("prefers-color-scheme: dark") : page.index("@media print")]
    bright = {"#009e73", "#cc79a7", "#e69f00"}  # of the tasks: visible on either ground
    assert {f'[style*="fill: {colour}"]' in dark for colour in drawn - bright} == {True}
    numbers = json.loads((report / "report.json").read_text())
    attributes: dict[str, Any] = StoreReader.open(str(store)).group.attrs.asdict()
    recorded = attributes["geoembz:report"]
    shown = geoembz.info(store)
    assert isinstance(shown, geoembz.StoreInfo)
    assert shown.evaluation is not None
    delta = 100 * recorded["tasks"]["knn"]["delta"]
    assert f"{recorded['n_rows']:,} vectors" in shown.evaluation
    assert f"knn {delta:+.1f} points" in shown.evaluation
    assert f"evaluated           {shown.evaluation}" in shown.to_table()
    assert recorded["tasks"]["knn"]["accuracy"] == numbers["recipes"][0]["tasks"]["knn"]["accuracy"]
    assert attributes["geoemb:benchmark"][0].startswith("urn:geoembz:report:sha256:")
    assert _run("verify", str(store)) == 0
    with xr.open_dataset(store, engine="zarr", consolidated=True) as plain:
        assert plain.attrs["geoembz:report"] == recorded


def test_numbers_go_where_they_are_sent(table: Path, tmp_path: Path) -> None:
    """Folders of the JSON file are made; the issue's shape is in it."""
    out = tmp_path / "new" / "numbers.json"
    words = ("evaluate", "--table", str(table), "--recipes", "int8,binary", "--json", str(out))
    assert _run(*words, "--quiet") == 0
    document = json.loads(out.read_text())
    assert 0 <= document["baseline"]["tasks"]["knn"]["accuracy"] <= 1
    usual = ("knn", "knn_float_query", "probe")
    for entry, names in zip(document["recipes"], ({*usual}, {*usual, "hamming"}), strict=True):
        assert set(entry) >= {"recipe", "bytes", "tasks"}
        assert set(entry["tasks"]) == names
        for task in entry["tasks"].values():
            assert 0 <= task["accuracy"] <= 1
            assert task["ci95"][0] <= task["delta"] <= task["ci95"][1]
            assert 0 <= task["mcnemar_p"] <= 1


def test_numbers_that_cannot_be_written_are_explained(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A folder is no file."""
    words = ("evaluate", "--table", str(table), "--recipes", "int8", "--json", str(tmp_path))
    assert _run(*words) != 0
    assert "cannot be written" in capsys.readouterr().err


def test_plan_prints_a_command(scene: DemoFiles, capsys: pytest.CaptureFixture[str]) -> None:
    """`plan` ends with what to do."""
    words = ("plan", str(scene.embedding), "--bytes", "8", "--samples", "1000")
    assert _run(*words) == 0
    assert f"geoembz convert {scene.embedding} OUT.zarr" in capsys.readouterr().out


def test_convert_within_a_loss(scene: DemoFiles, tmp_path: Path) -> None:
    """`convert --max-loss` plans, then converts by the plan."""
    target = tmp_path / "planned.zarr"
    words = ("convert", str(scene.embedding), str(target), "--max-loss", "2%", "--quiet")
    assert _run(*words) == 0
    reader = StoreReader.open(str(target))
    assert reader.attributes.fidelity["cosine_centred"] > 0.97


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("evaluate",), "give a source"),
        (("evaluate", "--table", "missing.npz", "--recipes", "int8"), "no such file"),
        (("plan", "x.npz", "--max-loss", "much"), "expected 1% or 0.01"),
        (("convert", "a.tif", "b.zarr", "--max-loss", "1%", "--int8"), "leave one out"),
    ],
)
def test_wrong_usage_is_explained(
    words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line on standard error, and an exit code that is not zero."""
    assert _run(*words) in {1, 2}
    assert message in capsys.readouterr().err
