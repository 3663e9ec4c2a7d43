"""The package as a whole: what an import costs, what it offers, what the repository holds."""

import ast
import importlib
import importlib.util
import inspect
import itertools
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import geoembz
from geoembz._cli.app import app
from tests.conftest import MakeRaster

HEAVY = {"numpy", "dask", "rasterio", "sklearn", "xarray", "zarr", "scipy", "pandas", "fsspec"}
LOCK_FILES = {"uv.lock", "poetry.lock", "pdm.lock", "package-lock.json", "yarn.lock"}
HEAVIEST_FILE_BYTES = 1_000_000


def imported_by(*arguments: str) -> set[str]:
    """Return the top-level packages that ``python ARGUMENTS`` imports."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = (line for line in run.stderr.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}


def tracked_files(repository: Path) -> list[Path]:
    """Return every file that git tracks, or skip where this is no git checkout."""
    run = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, text=True, check=False
    )
    if run.returncode != 0:
        pytest.skip(f"{repository} is not a git checkout")
    paths = (repository / name for name in run.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def test_importing_the_package_is_light() -> None:
    """`import geoembz` loads names on first use, so that codecs' entry points stay cheap."""
    imported = imported_by("-c", "import geoembz")
    assert "geoembz" in imported
    assert not imported & HEAVY


def test_help_is_light() -> None:
    """`geoembz --help` answers without the numerical libraries."""
    imported = imported_by("-m", "geoembz", "--help")
    assert "geoembz" in imported
    assert not imported & HEAVY


def test_commands_import_only_what_they_use(
    make_raster: MakeRaster, rng: np.random.Generator, tmp_path: Path
) -> None:
    """Reading a store takes no GDAL, rasters no pyarrow, and neither xarray, dask or scikit-learn.

    One process, whose commands come in the order of what they may import besides.
    """
    raster = make_raster(tmp_path / "a.tif", rng.normal(size=(8, 32, 32)).astype(np.float32))
    store = str(tmp_path / "a.zarr")
    geoembz.convert(raster, store, pca=3)
    xmin, ymin, _, _ = geoembz.StoreReader.open(store).attributes.grid.bbox
    point = f"{xmin + 1},{ymin + 1}"
    commands = {
        "info": ["info", store],
        "verify": ["verify", store],
        "convert": ["convert", str(raster), str(tmp_path / "b.zarr"), "--pca", "3", "--int8"],
        "search": ["search", store, "--point", point, "--crs", "EPSG:32632"],
    }
    program = (
        "import json, sys\n"
        "from geoembz._cli import main\n"
        f"for words in {list(commands.values())!r}:\n"
        "    try: main(words)\n"
        "    except SystemExit as end: assert not end.code, (words, end.code)\n"
        "    print('imported', json.dumps([name for name in sys.modules if '.' not in name]))\n"
    )
    words = [sys.executable, "-c", program]
    run = subprocess.run(words, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = [line for line in run.stdout.splitlines() if line.startswith("imported ")]
    found = dict(zip(commands, (set(json.loads(line[9:])) for line in lines), strict=True))
    never = {"dask", "distributed", "jinja2", "pandas", "scipy", "shapely", "sklearn", "xarray"}
    of_tables, of_rasters = {"pyarrow"}, {"boto3", "rasterio"}
    assert not found["verify"] & (never | of_tables | of_rasters)
    assert not found["convert"] & (never | of_tables)
    assert not found["search"] & never
    assert "rasterio" in found["convert"], "the names of modules are looked at"


def test_public_names_resolve() -> None:
    """Every name in `__all__` exists, and `dir` shows it."""
    assert {"convert", "open", "Encoding"} <= set(geoembz.__all__)
    assert all(getattr(geoembz, name) is not None for name in geoembz.__all__)
    assert set(geoembz.__all__) <= set(dir(geoembz))


def test_type_checkers_see_the_same_names() -> None:
    """What is loaded on first use is what type checkers and editors are told of."""
    tree = ast.parse(Path(geoembz.__file__).read_text("utf-8"))
    (block,) = (
        node
        for node in tree.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {
        alias.asname: node.module
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname == alias.name
    }
    homes = {name: f"geoembz.{room}" for name, (room, _) in geoembz._HOMES.items()}
    renamed = {"demo": homes.pop("demo"), "open": homes.pop("open")}
    assert seen == homes
    assert {"__version__", *homes, *renamed} == set(geoembz.__all__)


@pytest.mark.parametrize("name", ["codecs", "encoding", "errors", "sources", "store"])
def test_public_modules_hold_what_the_reference_lists(name: str) -> None:
    """Neither more nor less, and all of it is there."""
    page = Path(__file__).parents[1] / "docs" / "reference" / "api.md"
    (row,) = re.findall(rf"(?m)^\| `geoembz\.{name}` \| (.*) \|$", page.read_text("utf-8"))
    module = importlib.import_module(f"geoembz.{name}")
    assert re.findall(r"`(\w+)`", row) == sorted(module.__all__)
    assert all(getattr(module, public) is not None for public in module.__all__)


def test_every_command_has_its_function_and_the_other_way_round() -> None:
    """What the command line does, one call of a public function does, with the same result."""
    commands: dict[str, Any] = vars(typer.main.get_command(app))["commands"]
    names = {
        f"{name} {inner}".strip()
        for name, command in commands.items()
        for inner in vars(command).get("commands", {"": None})
    }
    of_commands = {
        {"basis save": "save_basis", "demo": "run_demo"}.get(n, n.replace(" ", "_")) for n in names
    }
    functions = {n for n in geoembz.__all__ if inspect.isfunction(getattr(geoembz, n))}
    only_python = {
        "apply_model", "create", "dry_run", "explain", "extend", "fit", "load_basis", "open",
        "open_index",
        "open_patch", "open_source", "patches", "pixels", "polygons", "record_in_store",
        "shard_coverage", "show_progress", "vectors_at", "write_demo", "write_report",
    }  # fmt: skip
    assert of_commands <= functions
    assert functions - of_commands == only_python, "a new function wants a command, or a word here"


def test_former_names_still_work() -> None:
    """A name that was replaced warns for one release, and is the new one."""
    for former, name in {"fold": "apply_model", "FoldedModel": "AppliedModel"}.items():
        with pytest.warns(DeprecationWarning, match=f"geoembz.{former} is now geoembz.{name}"):
            found = getattr(geoembz, former)
        assert found is getattr(geoembz, name)
        assert former not in dir(geoembz)


def test_no_module_hides_a_public_name() -> None:
    """A name means the same before and after something imported every module."""
    before = {name: getattr(geoembz, name) for name in geoembz.__all__}
    for module in pkgutil.walk_packages(geoembz.__path__, "geoembz."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    assert {name: getattr(geoembz, name) for name in geoembz.__all__} == before


def test_unknown_names_raise_attribute_error() -> None:
    """Lazy names must not hide a misspelt one."""
    with pytest.raises(AttributeError):
        getattr(geoembz, "no_such_name")  # noqa: B009 - type checkers know that there is none


def test_package_is_typed() -> None:
    """Users' type checkers read our annotations."""
    assert geoembz.__file__ is not None
    assert Path(geoembz.__file__).with_name("py.typed").is_file()


def test_no_lock_file_is_tracked(repository: Path) -> None:
    """Lock files record where one machine downloaded from."""
    assert not [path for path in tracked_files(repository) if path.name in LOCK_FILES]


def test_no_tracked_file_is_large(repository: Path) -> None:
    """Data is generated or lies outside the repository."""
    sizes = {path.name: path.stat().st_size for path in tracked_files(repository)}
    assert not {name: size for name, size in sizes.items() if size > HEAVIEST_FILE_BYTES}


def test_no_path_of_this_machine_is_tracked(repository: Path) -> None:
    """What runs here must run anywhere: no absolute path to the checkout, its parent or a home."""
    parents = {path for path in (repository, repository.parent, Path.home()) if len(path.parts) > 1}
    pattern = re.compile("|".join(rf"{re.escape(str(path))}[/\"'\s]" for path in parents).encode())
    found = {p.name for p in tracked_files(repository) if pattern.search(p.read_bytes())}
    assert not found


def test_constraints_pin_versions_only(repository: Path) -> None:
    """`constraints.txt` holds plain ``name==version`` lines, sorted, and no address."""
    lines = (repository / "constraints.txt").read_text().splitlines()
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*==[0-9][\w.+!]*", line) for line in lines)
    names = [line.partition("==")[0] for line in lines]
    assert names == sorted(set(names))


def test_constraints_cover_the_declared_dependencies(repository: Path) -> None:
    """CI tests a known version of everything that `pyproject.toml` names."""
    project = tomllib.loads((repository / "pyproject.toml").read_text())["project"]
    groups = [project["dependencies"], *project["optional-dependencies"].values()]
    declared = itertools.chain.from_iterable(groups)
    names = {re.split(r"[^\w.-]", requirement)[0].lower() for requirement in declared}
    pins = (repository / "constraints.txt").read_text().splitlines()
    assert names - {"geoembz"} <= {pin.partition("==")[0] for pin in pins}


def test_readme_has_two_commands_and_ci_runs_the_tests_one(repository: Path) -> None:
    """The first screen of README sets a bare machine up twice, and CI runs what it promises."""
    screen = "\n".join((repository / "README.md").read_text().splitlines()[:40])
    demo, tests = re.findall(r"^pip install uv && (uv run .+)$", screen, flags=re.MULTILINE)
    assert demo == "uv run geoembz demo"
    ci_lines = (repository / ".ci" / "run").read_text().splitlines()
    assert tests in [line.strip() for line in ci_lines]


def test_the_api_page_lists_the_public_names(repository: Path) -> None:
    """Each name of the package once, by its public name, and nothing that is ours to change."""
    page = (repository / "docs" / "reference" / "api.md").read_text("utf-8")
    listed = re.findall(r"^   (\w+)$", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted({*geoembz.__all__, "errors"} - {"__version__", "demo"})


def test_pages_name_no_private_module(repository: Path) -> None:
    """What a reader is told to import stays where it is."""
    about_the_inside = {"design.md", "contributing.md"}
    every = [repository / "README.md", *repository.glob("docs/**/*.md")]
    every += repository.glob("examples/*.py")
    every = [path for path in every if "generated" not in path.parts]
    found = [path.name for path in every if re.search(r"geoembz\._", path.read_text("utf-8"))]
    assert not set(found) - about_the_inside
