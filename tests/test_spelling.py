"""Options in messages: flags on the command line, keywords in Python, and never one unknown."""

import ast
import inspect
import pickle
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import geoembz
from geoembz._cli import main
from geoembz._convert.options import ConvertKeywords
from geoembz._cost.estimate import Usage
from geoembz._cost.options import CostKeywords
from geoembz._cost.reads import window_read
from geoembz._evaluate.sample import ExperimentKeywords
from geoembz._publish import verify_objects
from geoembz._spelling import KEYWORDS, ONLY_FLAGS, flags, spelled
from geoembz.errors import DestinationExistsError, MissingPackageError

PACKAGE = Path(geoembz.__file__).parent
_FLAG = re.compile(r"(?<![\w`/.-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w/-])")


@pytest.mark.parametrize(
    ("written", "in_python"),
    [
        ("pass --overwrite", "pass overwrite=True"),
        ("pass --replace", "pass replace_date=True"),
        ("give it with --crs EPSG:…", 'give it with crs="EPSG:…"'),
        ("name a date (--time)", "name a date (time=…)"),
        ("say --product raster to go on", 'say product="raster" to go on'),
        ("--overlap first, last or mean", 'overlap="first", "last" or "mean"'),
        ("publish: --workers 500; expected", "publish: workers=500; expected"),
        ("use --int8, or --layout plain", 'use quantizer="int8", or layout="plain"'),
        ("raise --bytes", "raise budget=…"),
        ("two dates (--from, --to)", "two dates (start=…, end=…)"),
        ("publish with --no-stac", "publish with --no-stac"),
        ("repeat `geoembz convert a b --time YEAR`", "repeat `geoembz convert a b --time YEAR`"),
        ("my--file.tif, a/--b.tif, --overwrite.tif", "my--file.tif, a/--b.tif, --overwrite.tif"),
    ],
)
def test_both_spellings(written: str, in_python: str) -> None:
    """Python names the keyword, the command line the flag; commands and paths stay."""
    assert spelled(written) == in_python
    with flags():
        assert spelled(written) == written


def test_the_same_error_in_python_and_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A destination that exists: Python says ``overwrite=True``, the command ``--overwrite``."""
    files = geoembz.demo.write_demo(tmp_path, size=64)
    store = str(tmp_path / "a.zarr")
    geoembz.convert(files.embedding, store, pca=4)
    with pytest.raises(DestinationExistsError, match="overwrite=True") as caught:
        geoembz.convert(files.embedding, store, pca=8)
    assert "--" not in str(caught.value)
    with pytest.raises(SystemExit) as left:
        main(["convert", str(files.embedding), store, "--pca", "8"])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert "--overwrite" in said
    assert "overwrite=" not in said


def test_errors_keep_their_message_between_processes() -> None:
    """What a worker raised is spelled by the process that shows it."""
    for kind in (DestinationExistsError, MissingPackageError):
        error = pickle.loads(pickle.dumps(kind("a: exists; pass --overwrite")))  # noqa: S301
        assert str(error) == "a: exists; pass overwrite=True"
        with flags():
            assert str(error) == "a: exists; pass --overwrite"


def _mentioned() -> Iterator[tuple[str, str]]:
    """Yield every flag that a message of the library (not of the command line) names."""
    for path in sorted(PACKAGE.rglob("*.py")):
        if {"_cli", "_spelling.py", "ladder.py", "_demo"} & set(path.relative_to(PACKAGE).parts):
            continue
        tree = ast.parse(path.read_text("utf-8"))
        documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
        documentation = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, documented) and node.body and isinstance(node.body[0], ast.Expr)
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.Constant) or id(node) in documentation:
                continue
            text = re.sub(r"`geoembz [^`]*(`|$)", "", str(node.value))
            yield from ((path.name, flag) for flag in _FLAG.findall(text))


def test_every_flag_in_a_message_has_a_keyword() -> None:
    """A message of the library names only options that some public function takes."""
    functions = (
        geoembz.convert, geoembz.append, geoembz.evaluate, geoembz.plan, geoembz.search,
        geoembz.verify, geoembz.open, geoembz.sample, geoembz.preview, geoembz.export,
        geoembz.publish, geoembz.view, geoembz.check_seams, geoembz.map_similar, geoembz.map_change,
        geoembz.map_classify, geoembz.map_regress, geoembz.map_cluster, geoembz.cost,
        geoembz.overviews, verify_objects, window_read, Usage,
    )  # fmt: skip
    keywords = {name for function in functions for name in inspect.signature(function).parameters}
    for group in (ConvertKeywords, CostKeywords, ExperimentKeywords):
        keywords |= group.__annotations__.keys()
    mentioned = set(_mentioned())
    assert len(mentioned) > 30
    unknown = {
        (name, flag)
        for name, flag in mentioned
        if flag not in ONLY_FLAGS
        and KEYWORDS.get(flag, flag.replace("-", "_")).partition("=")[0] not in keywords
    }
    assert not unknown
