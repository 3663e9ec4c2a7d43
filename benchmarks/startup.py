"""Start-up: whole commands on little data, ``--help`` and imports, beside an empty Python.

``geoembz convert`` takes a raster of 34 MB (256² pixels of 128 components), ``info`` and ``search``
the store that it becomes. Every case is a fresh process, its files in the page cache, with byte
code; the medians of many runs in turns count, of seconds and of processor time, which other
programs disturb less.
"""

import os
import tempfile
from pathlib import Path

from benchmarks.convert import prepare
from benchmarks.rasters import RasterSpec
from benchmarks.report import Row, Run, Target, median, parse_options, publish, run_python

LIMITS_S = {"geoembz convert": 1.5, "geoembz --help": 0.2, "import geoembz": 0.1}
_SPEC = RasterSpec(256, "pixel")
_FEWEST = 9


def main() -> None:
    """Time every command in turn."""
    options = parse_options(__doc__, sizes=(), smoke=())
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    prepare(_SPEC)
    repeats = 1 if options.smoke else max(options.repeat, _FEWEST)
    with tempfile.TemporaryDirectory(dir=_SPEC.path.parent) as folder:
        commands = _commands(str(Path(folder) / "out.zarr"))
        runs: dict[str, list[Run]] = {case: [] for case in commands}
        for number in range(repeats + 1):  # the first round writes byte code
            for case, arguments in commands.items():
                run, _ = run_python(*arguments)
                if number:
                    runs[case].append(run)
    rows = [row for case, taken in runs.items() for row in _rows(case, median(taken))]
    publish("startup", rows, options)


def _commands(store: str) -> dict[str, list[str]]:
    """Return the arguments of each case: the first makes the store of the others."""
    convert = ["convert", str(_SPEC.path), store, "--pca", "64", "--int8", "--overwrite", "--quiet"]
    commands = {
        "geoembz convert": convert,
        "geoembz info": ["info", store],
        "geoembz search": ["search", store, "--point", "601005,5198005", "--crs", "EPSG:32632"],
        "geoembz --help": ["--help"],
    }
    imports = ("import geoembz", "import xarray", "pass")
    return {
        **{case: ["-m", "geoembz", *words] for case, words in commands.items()},
        **{"empty python" if code == "pass" else code: ["-c", code] for code in imports},
    }


def _rows(case: str, run: Run) -> list[Row]:
    limit = LIMITS_S.get(case)
    bound = None if limit is None else Target("<=", limit)
    return [
        Row(case, "process_seconds", run.process_seconds, "s", bound),
        Row(case, "cpu_seconds", run.cpu_seconds, "s"),
    ]


if __name__ == "__main__":
    main()
