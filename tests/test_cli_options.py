"""The same flag means the same in every command."""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import pytest
import typer

import geoembz
from geoembz._cli import main
from geoembz._cli.app import app
from geoembz._export.run import Format
from geoembz._map.similar import RULES
from geoembz.sources.options import Overlap
from geoembz.store import View
from geoembz.store.conventions import Layout


def commands(group: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every command by its name, inner ones as ``basis save``."""
    inner = vars(group).get("commands")
    if inner is None:
        yield name, group
        return
    for inner_name, command in inner.items():
        yield from commands(command, f"{name} {inner_name}".strip())


COMMANDS = dict(commands(typer.main.get_command(app)))


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_prints_alike(name: str) -> None:
    """`--json` and `--quiet` everywhere; `--workers` is left to the library; metavars shout."""
    parameters = {flag: p for p in COMMANDS[name].params for flag in p.opts}
    assert {"--json", "--quiet"} <= parameters.keys()
    assert parameters["--quiet"].is_flag
    if "--workers" in parameters:
        assert parameters["--workers"].default is None
    for flag, parameter in parameters.items():
        text = (parameter.metavar or "").replace("FILE.npy", "FILE").replace("…", "")
        assert text == text.upper(), flag
        assert parameter.help, flag


def test_choices_are_those_of_the_library() -> None:
    """A command repeats the words of a type, since to import it would slow `--help` down."""
    types = {
        ("convert", "layout"): get_args(Layout.__value__),
        ("convert", "overlap"): get_args(Overlap.__value__),
        ("export", "space"): get_args(View.__value__),
        ("export", "to"): get_args(Format.__value__),
        ("map similar", "rule"): RULES,
    }
    for (name, option), words in types.items():
        annotation = inspect.signature(COMMANDS[name].callback).parameters[option].annotation
        kind = get_args(annotation)[0]
        (literal,) = (one for one in (kind, *get_args(kind)) if get_origin(one) is Literal)
        assert get_args(literal) == words


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a small store, and have the raster that it was made from beside it."""
    folder = tmp_path_factory.mktemp("cli")
    files = geoembz.write_demo(folder, size=64, dimension=8)
    geoembz.convert(files.embedding, folder / "a.zarr", pca=4, time="2024")
    return folder / "a.zarr"


def arguments(store: Path, out: Path, name: str) -> list[str]:
    """Return a command line that works."""
    source = str(store.parent / "embedding.tif")
    place = geoembz.open(store)
    features = out / "points.csv"
    features.write_text(f"x,y\n{float(place.x[50])},{float(place.y[5])}\n")
    crs = str(place.attrs["proj:code"])
    point = ["--point", f"{float(place.x[50])},{float(place.y[5])}", "--crs", crs]
    labels = ["--labels", str(store.parent / "labels.tif"), "--samples", "200"]
    judged = ["--recipes", "int8,int4", "--samples", "200"]
    of_commands: dict[str, list[str]] = {
        "convert": [source, str(out / "b.zarr")],
        "append": [str(store), source, "--time", "2024", "--replace"],
        "update": [str(store), source],
        "overviews": [str(store), "--overwrite"],
        "repack": [str(store), str(out / "archive.zarr")],
        "basis save": [str(store), str(out / "basis.npz")],
        "info": [str(store)],
        "demo": [str(out / "demo"), "--size", "64"],
        "cost": [str(store)],
        "evaluate": ["--source", source, *judged],
        "plan": [source, *judged],
        "publish": [str(store), str(out / "copy.zarr"), "--no-stac"],
        "verify": [str(store)],
        "sample": [str(store), str(features), "--crs", crs],
        "search": [str(store), *point, "--k", "2"],
        "index": [str(store), str(out / "a.parquet")],
        "preview": [str(store), str(out / "a.png")],
        "export": [str(store), str(out / "a.tif"), "--components", "2"],
        "check seams": [str(store)],
        "map change": [str(store), str(store), str(out / "c.tif")],
        "map similar": [str(store), str(out / "b.tif"), "--like", point[1], "--crs", crs],
        "map classify": [str(store), str(out / "c.tif"), *labels],
        "map regress": [str(store), str(out / "d.tif"), *labels],
        "map cluster": [str(store), str(out / "e.tif"), "--k", "3"],
    }
    return [*name.split(), *of_commands[name]]


@pytest.mark.parametrize("name", sorted(COMMANDS.keys() - {"view"}))  # which serves until Ctrl-C
def test_json_and_quiet_mean_the_same(
    name: str, store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--json` standard output is one document; with `--quiet` it is empty."""
    for flag in ("--json", "--quiet"):
        folder = tmp_path / flag
        folder.mkdir()
        words = arguments(store, folder, name)
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main([*words, flag])
        printed = capsys.readouterr().out
        assert left.value.code in {0, None}
        assert isinstance(json.loads(printed), dict) if flag == "--json" else printed == ""


def test_json_has_what_scripts_want(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Places in degrees of what was found; vectors that were taken, where no file has them."""
    with pytest.raises(SystemExit):
        main([*arguments(store, tmp_path, "search"), "--json"])
    found = json.loads(capsys.readouterr().out)["found"]
    assert all(-180 <= one["lon"] <= 180 and -90 <= one["lat"] <= 90 for one in found)
    words = arguments(store, tmp_path, "sample")
    with pytest.raises(SystemExit):
        main([*words, "--json"])
    sampled = json.loads(capsys.readouterr().out)
    assert [len(vector) for vector in sampled["vectors"]] == [sampled["length"]]
    with pytest.raises(SystemExit):
        main([*words, "--json", "--out", str(tmp_path / "a.csv")])
    assert "vectors" not in json.loads(capsys.readouterr().out)


@pytest.mark.parametrize("behind", [(), ("-",), ("--seed", "1")])
def test_evaluate_and_plan_print_json_as_others_do(
    behind: tuple[str, ...], store: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A name behind `--json` is a file; alone, or with a dash, the flag prints."""
    source = str(store.parent / "embedding.tif")
    with pytest.raises(SystemExit):
        main(["plan", source, "--recipes", "int8,int4", "--samples", "200", "--json", *behind])
    assert json.loads(capsys.readouterr().out)["name"] == source


def test_json_goes_to_a_file(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The table is printed then, and the file is named."""
    source, out = str(store.parent / "embedding.tif"), tmp_path / "plan.json"
    with pytest.raises(SystemExit):
        main(["plan", source, "--recipes", "int8,int4", "--samples", "200", "--json", str(out)])
    assert f"numbers: {out}" in capsys.readouterr().out
    assert json.loads(out.read_text("utf-8"))["dimension"] == 8
