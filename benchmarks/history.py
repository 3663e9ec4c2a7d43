"""What was measured when: every run adds lines to ``results/history.jsonl``, and none is changed.

    python -m benchmarks.history [CASE …] [--out FILE]

prints, for each number with a target, how it went from run to run, and draws it. The CSV of a case
says what it was last; a number that crept there shows here.
"""

import argparse
import json
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
HISTORY = "history.jsonl"
_ACROSS = 4
_CELLS = ("case", "metric", "value", "unit", "target", "met")


def add(
    folder: Path, suite: str, table: Sequence[Mapping[str, str]], origin: Mapping[str, str]
) -> None:
    """Append one line: the numbers of a run with the commit, machine, versions and date.

    One line a run, so that two branches that measured merge by keeping both.
    """
    numbers = [[row[cell] for cell in _CELLS] for row in table]
    run = {"suite": suite, "commit": commit(), **origin, "numbers": numbers}
    with (folder / HISTORY).open("a", encoding="utf-8") as file:
        file.write(json.dumps(run, ensure_ascii=False) + "\n")


def commit() -> str:
    """Return the commit that was measured, with a plus where the code differs from it."""
    head = _git("rev-parse", "--short=12", "HEAD").stdout.strip() or "unknown"
    differs = _git("diff", "--quiet", "HEAD", "--", "geoembz", "benchmarks/*.py").returncode == 1
    return f"{head}+" if differs else head


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    root = Path(__file__).parents[1]
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)


def read(folder: Path) -> list[dict[str, Any]]:
    """Return the runs, in the order in which they were made."""
    path = folder / HISTORY
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def series(runs: Iterable[Mapping[str, Any]]) -> dict[str, list[tuple[str, float]]]:
    """Return date and value of each number with a target, run after run, by its name.

    Machines are kept apart: a ratio says more of the code than seconds do, but not all.
    """
    found: dict[str, list[tuple[str, float]]] = defaultdict(list)
    for run in runs:
        machine = f"{run['cpu']}, {run['cores']} cores"
        for case, metric, value, unit, target, _ in run["numbers"]:
            if target:
                name = f"{run['suite']}: {case}, {metric} [{unit} {target}] on {machine}"
                found[name].append((f"{run['date']} {run['commit']}", float(value)))
    return dict(found)


def describe(name: str, points: Sequence[tuple[str, float]]) -> str:
    """Return one line: the name, the first, last and extreme values."""
    values = [value for _, value in points]
    span = f"{min(values):.4g} to {max(values):.4g}"
    return f"{name}: {len(points)} runs, {values[0]:.4g} -> {values[-1]:.4g} ({span})"


def plot(path: Path, found: Mapping[str, Sequence[tuple[str, float]]]) -> None:
    """Draw what was measured more than once: a panel a suite, a line a number, up being better."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels: dict[str, list[list[float]]] = defaultdict(list)
    for name, points in found.items():
        values = [value for _, value in points]
        if len(values) > 1 and all(values):
            power = -1 if "<=" in name else 1
            gains = [(value / values[0]) ** power for value in values]
            panels[name.partition(":")[0]].append(gains)
    rows = max(1, -(-len(panels) // _ACROSS))
    figure, grid = plt.subplots(
        rows, _ACROSS, figsize=(9, 2 * rows), sharey=True, squeeze=False, layout="constrained"
    )
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, (suite, lines) in zip(grid.flat, sorted(panels.items()), strict=False):
        for line in lines:
            axes.plot(range(1, len(line) + 1), line, marker=".", linewidth=1)
        axes.axhline(1, color="black", linewidth=0.8)
        axes.set(title=f"{suite}, {len(lines)}", yscale="log", xlabel="run")
        axes.set_yticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
        axes.minorticks_off()
        axes.xaxis.get_major_locator().set_params(integer=True)
    figure.supylabel("times as good as at first")
    figure.savefig(path, dpi=100, metadata={"Software": None})
    plt.close(figure)


def main() -> None:
    """Print what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("case", nargs="*", metavar="CASE", help="only these suites")
    parser.add_argument("--folder", type=Path, default=RESULTS, help=f"of {HISTORY}")
    parser.add_argument("--out", type=Path, help="draw a picture")
    options = parser.parse_args()
    runs = [r for r in read(options.folder) if not options.case or r["suite"] in options.case]
    found = series(runs)
    for name, points in sorted(found.items()):
        print(describe(name, points))
    if options.out:
        plot(options.out, found)


if __name__ == "__main__":
    main()
