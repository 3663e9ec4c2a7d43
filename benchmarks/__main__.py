"""Run the suite: every case in a process of its own, then one table and one plot of the ratios.

    python -m benchmarks [CASE …] [--smoke] [--repeat N] [--out DIR]

Without cases, all of them; with ``--smoke`` two at a time. Each case writes its own CSV;
``summary.csv`` gathers the rows that have a target, ``summary.png`` shows each as a share of it.
The exit code is that of the cases: a target that is missed is a result, not a failure.
"""

import argparse
import csv
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.report import RESULTS

CASES = (
    "startup",
    "convert",
    "overviews",
    "viewer",
    "decode",
    "packing",
    "pipelines",
    "search",
    "index",
    "coarse",
    "maps",
    "predict",
    "sampling",
    "training",
    "remote",
    "entropy",
    "tables",
    "evaluate",
    "scheduler_simulation",
)
_COLUMNS = ("suite", "case", "metric", "value", "unit", "target", "met")


def main() -> int:
    """Run the cases named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("case", nargs="*", metavar="CASE", help=", ".join(CASES))
    parser.add_argument("--smoke", action="store_true", help="tiny runs: do they work at all")
    parser.add_argument("--repeat", type=int, help="the median counts")
    parser.add_argument("--out", type=Path, help=f"folder of the results ({RESULTS.name}/)")
    options = parser.parse_args()
    if unknown := [case for case in options.case if case not in CASES]:
        parser.error(f"no case {', '.join(unknown)}; expected some of {', '.join(CASES)}")
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.out or (Path(scratch) if options.smoke else RESULTS)
        arguments = ["--out", str(folder), *(["--smoke"] if options.smoke else [])]
        if options.repeat is not None:
            arguments += ["--repeat", str(options.repeat)]
        cases = options.case or CASES
        with ThreadPoolExecutor(2 if options.smoke else 1) as pool:  # tiny runs measure nothing
            worked = pool.map(lambda case: run(case, arguments), cases)
            failed = [case for case, works in zip(cases, worked, strict=True) if not works]
        rows = gather(folder, CASES)
        write_summary(folder, rows)
        if not options.smoke:
            plot(folder / "summary.png", rows)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(case: str, arguments: Sequence[str]) -> bool:
    """Run one case in a fresh process; return whether it worked."""
    command = [sys.executable, "-m", f"benchmarks.{case}", *arguments]
    ended = subprocess.run(
        command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    print(f"\n== {case}\n{ended.stdout}", flush=True)
    return ended.returncode == 0


def gather(folder: Path, cases: Sequence[str]) -> list[dict[str, str]]:
    """Return the rows with a target, of all cases that have been run."""
    rows = []
    for case in cases:
        path = folder / f"{case}.csv"
        if path.exists():
            with path.open(newline="") as file:
                rows += [{"suite": case, **row} for row in csv.DictReader(file) if row["target"]]
    return rows


def write_summary(folder: Path, rows: Sequence[dict[str, str]]) -> None:
    """Write ``summary.csv``: machine and date of each row stay in the case's own file."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "summary.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    missed = [row for row in rows if row["met"] == "NO"]
    print(f"\n{len(rows)} ratios with a target, {len(missed)} missed")
    for row in missed:
        print(f"  {row['suite']}: {row['case']}, {row['metric']} {row['value']} ({row['target']})")


def plot(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Draw each ratio as a share of its target: right of 1 is met. Of packing's many, the worst."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    rows = [*(row for row in rows if row["suite"] != "packing"), *_worst(rows, "packing")]
    names = [f"{row['suite']}: {row['case']}, {row['metric']}" for row in rows]
    shares = [share(row) for row in rows]
    figure, axes = plt.subplots(figsize=(9, 1 + 0.22 * len(rows)), layout="constrained")
    colours = ["tab:blue" if row["met"] == "yes" else "tab:orange" for row in rows]
    axes.barh(names, shares, color=colours)
    axes.axvline(1, color="black", linewidth=1)
    axes.set(xlabel="share of the target (right of 1: met)", xscale="log")
    axes.invert_yaxis()
    axes.margins(y=0.01)
    axes.tick_params(labelsize=7)
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def _worst(rows: Sequence[dict[str, str]], suite: str) -> list[dict[str, str]]:
    """Return the row of each metric that is farthest from its target."""
    worst: dict[str, dict[str, str]] = {}
    for row in sorted(rows, key=share, reverse=True):
        if row["suite"] == suite:
            worst[row["metric"]] = row
    return list(worst.values())


def share(row: dict[str, str]) -> float:
    """Return how far a value is beyond its target, as a factor; 1 is just met."""
    relation, limit = row["target"].split()
    value, bound = float(row["value"]), float(limit)
    return value / bound if relation == ">=" else bound / max(value, 1e-12)


if __name__ == "__main__":
    sys.exit(main())
