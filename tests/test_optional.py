"""The core does without the packages of the extras, and what needs one says which to install."""

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from geoembz._util.optional import OptionalModule, import_extra
from geoembz.errors import MissingPackageError

WITHOUT = (
    "distributed", "faiss", "h5netcdf", "h5py", "icechunk", "jinja2", "matplotlib", "netCDF4",
    "numba", "pyarrow", "pyogrio", "pystac",
)  # fmt: skip
"""What the extras install, by the names that Python imports."""

_IN_THE_CORE = f"""
import pkgutil, sys
sys.modules.update(dict.fromkeys({WITHOUT!r}))
import numpy as np
import geoembz
for module in pkgutil.walk_packages(geoembz.__path__, "geoembz."):
    if not module.name.endswith(("__main__", ".compiled")):
        __import__(module.name)
vectors = np.random.default_rng(0).normal(size=(8, 32, 32)).astype("float32")
grid = dict(crs="EPSG:32632", transform=(10.0, 0.0, 500000.0, 0.0, -10.0, 5200000.0))
geoembz.convert(vectors, "core.zarr", pca=4, quantizer="int8", dims="band,y,x", **grid)
print(geoembz.info("core.zarr").to_table())
print(geoembz.open("core.zarr")["embedding"].load().shape)
found = geoembz.search("core.zarr", vectors[:, 0, 0], k=2)
print(found.to_table(), len(found.to_geojson()["features"]))
"""


def extras(repository: Path) -> dict[str, list[str]]:
    """Return the extras of pyproject.toml."""
    table: dict[str, list[str]] = tomllib.loads((repository / "pyproject.toml").read_text())[
        "project"
    ]["optional-dependencies"]
    return table


def calls(repository: Path) -> list[tuple[str, str]]:
    """Return module and extra of each place that asks for an optional package."""
    found = []
    for path in sorted((repository / "geoembz").rglob("*.py")):
        tree = ast.parse(path.read_text("utf-8")) if "node_modules" not in path.parts else None
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "import_extra":
                names = [getattr(a, "value", None) for a in node.args[:2]]
                if all(isinstance(name, str) for name in names):
                    found.append((str(names[0]), str(names[1])))
    return found


def test_the_core_does_without_the_extras(tmp_path: Path) -> None:
    """Every module can be imported, and a raster becomes a store that opens and is searched."""
    run = subprocess.run(
        [sys.executable, "-c", _IN_THE_CORE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert "(8, 32, 32)" in run.stdout


def test_extras_hold_what_asks_for_them(repository: Path) -> None:
    """A message that names an extra names one that exists and installs the package."""
    declared = extras(repository)
    asked = calls(repository)
    assert set(declared) - {"accel", "all", "dev"} == {"tables", *(extra for _, extra in asked)}
    for module, extra in asked:
        package = module.partition(".")[0].replace("_", "[-_]")  # as packages write it
        assert any(re.search(rf"\b(py)?{package}\b", line) for line in declared[extra]), (
            module,
            extra,
        )


def test_all_means_all(repository: Path) -> None:
    """`geoembz[all]` is every extra but Lance, which is large, and the core has none of them."""
    declared = extras(repository)
    (all_of_them,) = re.findall(r"\[(.*)\]", declared["all"][0])
    assert set(all_of_them.split(",")) == set(declared) - {"all", "dev", "lance"}
    core = tomllib.loads((repository / "pyproject.toml").read_text())["project"]["dependencies"]
    names = {re.split(r"[^\w-]", requirement)[0] for requirement in core}
    assert not names & set(WITHOUT)


def test_a_missing_package_is_missed_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where, which package, how to get it, and what else can be done."""
    monkeypatch.setitem(sys.modules, "pystac", None)
    with pytest.raises(MissingPackageError) as caught:
        import_extra("pystac", "stac", "stac: items need pystac", ", or publish with --no-stac")
    assert str(caught.value) == (
        "stac: items need pystac, which is not installed; "
        "install it with: pip install 'geoembz[stac]', or publish with --no-stac"
    )


def test_a_package_that_is_broken_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What an installed package misses itself is told by its own error."""
    (tmp_path / "half_there.py").write_text("import quite_absent\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="quite_absent") as caught:
        import_extra("half_there", "none", "x")
    assert not isinstance(caught.value, MissingPackageError)


def test_an_optional_module_is_imported_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither at the top of those that name it, nor for a look at it."""
    imported: list[str] = []

    def watched(name: str) -> ModuleType:
        imported.append(name)
        return importlib.import_module(name)

    monkeypatch.setattr("geoembz._util.optional.import_module", watched)
    module = OptionalModule("json", "none", "x")
    assert not hasattr(module, "__wrapped__")
    assert not imported
    assert module.dumps([1]) == "[1]"
    assert module.dumps([2]) == "[2]"
    assert imported == ["json"]


def test_every_extra_is_described(repository: Path) -> None:
    """The page on installing has a row for each, and for no other."""
    page = (repository / "docs" / "howto" / "install.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| \+\d+ \| \+\d+ \|", page, flags=re.MULTILINE)
    assert sorted(rows) == sorted(set(extras(repository)) - {"dev"})
