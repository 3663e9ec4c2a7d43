"""Messages of wrong usage say what was meant, and scripts get theirs as JSON."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import geoembz
from geoembz._cli import main
from geoembz.encoding import Recipe
from geoembz.errors import InvalidConfigError
from tests.conftest import MakeRaster


@pytest.fixture
def source(tmp_path: Path, make_raster: MakeRaster, rng: np.random.Generator) -> Path:
    return make_raster(tmp_path / "a.tif", rng.normal(size=(6, 20, 20)).astype("float32"))


def said(capsys: pytest.CaptureFixture[str], *words: object) -> tuple[int, str, str]:
    """Run a command that fails; return its exit code and both streams."""
    capsys.readouterr()
    with pytest.raises(SystemExit) as left:
        main([str(word) for word in words])
    out, err = capsys.readouterr()
    return int(left.value.code or 0), out, err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["convert", "E"], "Missing argument 'DST'"),
        (["convert"], "Missing argument 'SRC"),
        (["open", "a.zarr"], "Did you mean 'info'?"),
        (["convert", "a", "b", "--pca", "sixty"], "'--pca': 'sixty'; expected a whole number"),
        (["convert", "a", "b", "--for", "gdal"], "'--for': 'gdal' is not one of 'browser'"),
        (["sample", "a", "b", "--whiten=much"], "'--whiten': 'much'; expected a number"),
        (["convert", "a", "b", "--recipe", "pca64_int8"], "did you mean 'pca64-int8'?"),
        (["plan", "a.tif", "--max-loss", "1"], "did you mean 1%?"),
        (["convert", "nothing*.tif", "b"], "nothing*.tif: no file matches"),
    ],
)
def test_what_was_meant(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    words: list[str],
    expected: str,
) -> None:
    """The word that is wrong is named, with what was expected."""
    monkeypatch.chdir(tmp_path)
    code, _, err = said(capsys, *words)
    assert code in {1, 2}
    assert expected in " ".join(err.split())
    assert "this is a bug" not in err


def test_messages_about_a_store(
    capsys: pytest.CaptureFixture[str], source: Path, tmp_path: Path
) -> None:
    """A raster becomes a .tif; a store is judged against its source; a date is asked for."""
    store = tmp_path / "a.zarr"
    geoembz.convert(source, store, pca=2, time="2024")
    geoembz.append(store, source, time="2025")
    assert ".tif" in said(capsys, "export", store, tmp_path / "x.nc")[2]
    err = said(capsys, "evaluate", store)[2]
    assert "--source" in err
    assert "a.tif" in err
    err = said(capsys, "preview", store, tmp_path / "x.png")[2]
    assert "which date?" in err
    assert "2024-01-01, 2025-01-01" in err
    assert "None" not in err


def test_errors_as_json(capsys: pytest.CaptureFixture[str], source: Path, tmp_path: Path) -> None:
    """Standard output is one object, standard error the message, the exit code as ever."""
    geoembz.convert(source, tmp_path / "a.zarr", pca=2)
    for words, kind, expected in (
        (["info", tmp_path / "none.zarr", "--json"], "StoreError", 1),
        (
            ["convert", source, tmp_path / "a.zarr", "--pca", 3, "--json"],
            "DestinationExistsError",
            2,
        ),
        (["plan", tmp_path / "none.tif", "--json", "-"], "SourceError", 1),
        (["info", tmp_path / "a.zarr", "--jason", "--json"], "NoSuchOption", 2),
        (["convert", source, "--json"], "MissingParameter", 2),
        (["convert", source, "b.zarr", "--pca", "sixty", "--json"], "BadParameter", 2),
        (["open", tmp_path / "a.zarr", "--json"], "UsageError", 2),
    ):
        code, out, err = said(capsys, *words)
        error = json.loads(out)["error"]
        assert (code, error["type"], error["exit_code"]) == (expected, kind, expected)
        assert error["message"] in err
    assert not said(capsys, "info", "--jason")[1]
    assert not said(capsys, "info", tmp_path / "none.zarr")[1]
    assert not said(capsys, "plan", tmp_path / "none.tif", "--json", tmp_path / "x.json")[1]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize("spelling", ["source_{}", "{}_source"])
def test_completion(shell: str, spelling: str) -> None:
    """The script for a shell is printed, in Typer's and in click's spelling."""
    environment = {**os.environ, "_GEOEMBZ_COMPLETE": spelling.format(shell)}
    done = subprocess.run(
        [sys.executable, "-m", "geoembz"], env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert f"complete_{shell}" in done.stdout
    asked: dict[str, Any] = {"_GEOEMBZ_COMPLETE": f"complete_{shell}"}
    asked |= {"COMP_WORDS": "geoembz ver", "COMP_CWORD": "1", "_TYPER_COMPLETE_ARGS": "geoembz ver"}
    asked |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    found = subprocess.run(
        [sys.executable, "-m", "geoembz"], env={**os.environ, **asked}, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert "verify" in found.stdout


def test_bash_completes(tmp_path: Path) -> None:
    """The script works in a real bash: commands, options, and what an option may be."""
    shim = tmp_path / "geoembz"
    shim.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m geoembz "$@"\n')
    shim.chmod(0o755)
    script = """
    eval "$(_GEOEMBZ_COMPLETE=source_bash geoembz)"
    complete -p geoembz
    COMP_WORDS=(geoembz convert --dry) COMP_CWORD=2
    _geoembz_completion geoembz && echo "${COMPREPLY[@]}"
    COMP_WORDS=(geoembz convert --layout p) COMP_CWORD=3
    _geoembz_completion geoembz && echo "${COMPREPLY[@]}"
    """
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=True,
    )
    declared, options, words = done.stdout.splitlines()
    assert declared == "complete -o default -F _geoembz_completion geoembz"
    assert (options, words) == ("--dry-run", "plain")


def test_recipes_as_objects(source: Path, tmp_path: Path) -> None:
    """`convert` takes what `Recipe.parse` returns, as `evaluate` does."""
    recipe = Recipe.parse("pca3-int8")
    assert geoembz.convert(source, tmp_path / "a.zarr", recipe=recipe).recipe == "pca3-int8"
    with pytest.raises(InvalidConfigError, match="'pca3-int8' says projection"):
        geoembz.convert(source, tmp_path / "b.zarr", recipe=recipe, pca=2)
