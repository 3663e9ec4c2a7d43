"""Start-up: ``geoembz --help`` and ``import geoembz``, beside an empty Python and xarray's import.

Every case is a fresh process, its files in the page cache; the median of many counts.
"""

import subprocess
import sys
from functools import partial

from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import in_turns

COMMANDS = {
    "geoembz --help": ["-m", "geoembz", "--help"],
    "import geoembz": ["-c", "import geoembz"],
    "import xarray": ["-c", "import xarray"],
    "empty python": ["-c", "pass"],
}
LIMITS_S = {"geoembz --help": 0.2, "import geoembz": 0.1}


def main() -> None:
    """Time every command in turn."""
    options = parse_options(__doc__, sizes=(), smoke=())
    repeats = 1 if options.smoke else max(options.repeat, 9)
    calls = {case: partial(_run, arguments) for case, arguments in COMMANDS.items()}
    seconds = in_turns(calls, repeats)
    publish("startup", [_row(case, taken) for case, taken in seconds.items()], options)


def _run(arguments: list[str]) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)


def _row(case: str, seconds: float) -> Row:
    limit = LIMITS_S.get(case)
    bound = None if limit is None else Target("<=", limit)
    return Row(case, "process_seconds", seconds, "s", bound)


if __name__ == "__main__":
    main()
