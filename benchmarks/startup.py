"""Start-up: ``geoembz --help`` and ``import geoembz``, beside an empty Python and xarray's import.

Every case is a fresh process; the median of many counts.
"""

import statistics
import subprocess
import sys
import time

from benchmarks.report import Row, Target, parse_options, publish

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
    seconds: dict[str, list[float]] = {case: [] for case in COMMANDS}
    for _ in range(repeats):
        for case, arguments in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
            seconds[case].append(time.perf_counter() - started)
    publish("startup", [_row(case, times) for case, times in seconds.items()], options)


def _row(case: str, times: list[float]) -> Row:
    limit = LIMITS_S.get(case)
    bound = None if limit is None else Target("<=", limit)
    return Row(case, "process_seconds", statistics.median(times), "s", bound)


if __name__ == "__main__":
    main()
