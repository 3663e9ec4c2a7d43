"""How the package is built: rooms, modules, lines, classes, and what one chunk's walk calls.

    python -m benchmarks.structure [--package DIR] [--json]

Counts are of the sources; *code* is lines without blanks, comments and docstrings. Calls are those
into the package, counted by `sys.setprofile` in every thread while one shard of 64 x 64 pixels is
converted, one block of it opened, and a small table evaluated and planned. Imports are done
beforehand: only what runs each time counts. `--package` counts another checkout's sources and runs
its code (put it on PYTHONPATH too). Nothing is timed.
"""

import argparse
import ast
import io
import json
import sys
import tempfile
import threading
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import rasterio
import xarray
from rasterio.transform import from_origin

import geoembz

_IGNORED = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(source: str, tree: ast.Module) -> int:
    """Return the lines of a module that hold code."""
    held: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in _IGNORED:
            held.update(range(token.start[0], token.end[0] + 1))
    return len(held - set(_docstring_lines(tree)))


def _docstring_lines(tree: ast.Module) -> Iterator[int]:
    """Yield the lines of texts that stand alone: docstrings of modules, functions, attributes."""
    for node in ast.walk(tree):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                yield from range(node.lineno, (node.end_lineno or node.lineno) + 1)


def _decorated(node: ast.ClassDef, name: str) -> bool:
    return any(name in ast.unparse(decorator) for decorator in node.decorator_list)


def count_sources(package: Path) -> dict[str, int]:
    """Return what the sources of a package hold."""
    files = sorted(package.rglob("*.py"))
    sources = {path: path.read_text(encoding="utf-8") for path in files}
    trees = {path: ast.parse(source) for path, source in sources.items()}
    nodes = (node for tree in trees.values() for node in ast.walk(tree))
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    packages = {path.parent for path in files if path.parent.parent == package}
    alone = [path for path in files if path.parent == package and not path.stem.startswith("__")]
    return {
        "rooms (packages and modules at the top)": len(packages) + len(alone),
        "packages at any depth": len({path.parent for path in files} - {package}),
        "modules": len(files),
        "code lines": sum(code_lines(sources[path], trees[path]) for path in files),
        "public classes": sum(not node.name.startswith("_") for node in classes),
        "dataclasses": sum(_decorated(node, "dataclass") for node in classes),
        "protocols": sum(
            any(ast.unparse(base).startswith("Protocol") for base in node.bases) for node in classes
        ),
    }


@dataclass
class Trace:
    """Calls into a package while it is open, in all threads."""

    package: Path
    calls: int = 0
    functions: set[tuple[str, int]] = field(default_factory=set)

    def _count(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        ours = event == "call" and code.co_filename.startswith(str(self.package))
        if ours and not code.co_name.startswith("<"):  # comprehensions are no calls of ours
            self.calls += 1
            self.functions.add((code.co_filename, code.co_firstlineno))

    def run(self, call: Callable[[], object]) -> dict[str, int]:
        """Run a call and return how many calls, functions and modules that took."""
        threading.setprofile_all_threads(self._count)
        sys.setprofile(self._count)
        try:
            call()
        finally:
            sys.setprofile(None)
            threading.setprofile_all_threads(None)
        modules = {name for name, _ in self.functions}
        return {"calls": self.calls, "functions": len(self.functions), "modules": len(modules)}


def count_walks(package: Path, folder: Path) -> dict[str, dict[str, int]]:
    """Return what converting one shard, opening a block, evaluating and planning call."""
    raster = _write_raster(folder / "scene.tif")
    table = _write_table(folder / "rows.npz")
    options: dict[str, Any] = {"pca": 4, "chunk": 64, "shard": 64, "workers": 1}
    store = folder / "warm.zarr"
    walks: dict[str, Callable[[], object]] = {
        "convert one shard": lambda: geoembz.convert(raster, folder / "traced.zarr", **options),
        "open an 8 x 8 block": lambda: _block(store),
        "evaluate": lambda: geoembz.evaluate(table=table, recipes=["pca4-int8"]),
        "plan": lambda: geoembz.plan(table, budget=8),
    }
    geoembz.convert(raster, store, **options)  # loads what is imported at first use
    for name in ("open an 8 x 8 block", "evaluate", "plan"):
        walks[name]()
    return {name: Trace(package).run(walk) for name, walk in walks.items()}


def _block(store: Path) -> object:
    dataset = xarray.open_dataset(store, engine="geoembz", chunks=None)
    return dataset["embedding"].isel(x=slice(8, 16), y=slice(8, 16)).values


def _write_raster(path: Path) -> Path:
    values = np.random.default_rng(0).normal(size=(8, 64, 64)).astype(np.float32)
    place = from_origin(500_000, 5_300_000, 10, 10)
    shape: dict[str, Any] = {"count": 8, "height": 64, "width": 64, "dtype": np.float32}
    with rasterio.open(path, "w", "GTiff", crs="EPSG:32632", transform=place, **shape) as raster:
        raster.write(values)
    return path


def _write_table(path: Path) -> Path:
    draw = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 100)
    vectors = draw.normal(size=(400, 8)) + 3 * np.eye(8)[labels]
    np.savez(path, embedding=vectors.astype(np.float32), label=labels)
    return path


def main() -> None:
    """Count, trace and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.structure", description=__doc__)
    parser.add_argument("--package", type=Path, default=Path(str(geoembz.__file__)).parent)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    package = options.package.resolve()
    with tempfile.TemporaryDirectory() as folder:
        walks = count_walks(package, Path(folder))
    counts: dict[str, Any] = count_sources(package) | walks
    if options.json:
        print(json.dumps(counts, indent=2))
        return
    for name, count in counts.items():
        numbers = count if isinstance(count, int) else " / ".join(map(str, count.values()))
        print(f"{name:40} {numbers}")


if __name__ == "__main__":
    main()
