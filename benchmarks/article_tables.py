"""Make the seed article's tables again on real data: ``python -m benchmarks.article_tables``.

Evaluates EuroSAT (the article's setting, another backbone), the Galileo scene with polygons as
groups, and the AlphaEarth points by region; writes the numbers as JSON and a page of documentation.
``--render`` makes the page from numbers that are there already.
"""

import argparse
import json
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from typing import Any

from benchmarks.article_numbers import (
    COMBINED,
    HAMMING,
    IMBALANCE,
    MODELS,
    QUANTIZATION,
    SPECTRUM,
    WORST_CLASSES,
)
from geoembz import __version__, evaluate

REPOSITORY = Path(__file__).absolute().parents[1]
NUMBERS = REPOSITORY / "benchmarks/results/article.json"
TEMPLATE = Path(__file__).with_name("article_page.md")
PAGE = REPOSITORY / "docs/explanation/article.md"

QUANTIZERS = ("int8", "int4", "int2", "ternary", "binary")
PCA = ("pca128-int8", "pca64-int8", "pca32-int8", "pca16-int4")
OURS = ("pca64-int4-lloyd", "pca64-rot-pq16x8", "pca32-rot-pq8x8", "pca32-rot-pq4x8")
EUROSAT = (*QUANTIZERS, *PCA, "rot-binary", "pca8-binary", *OURS)
SMALL = ("int8", "int4", "binary", "rot-binary", "pca16-int8", "pca32-int4-lloyd")

type Document = Mapping[str, Any]
type Cells = Sequence[object]


def measure(data: Path) -> dict[str, Any]:
    """Run all evaluations; return their JSON."""
    galileo = data / "galileo_s2"
    runs: dict[str, Callable[[], Any]] = {
        "eurosat": lambda: evaluate(
            table=data / "eurosat/eurosat_efficientnet_lite0_1280d_f16.npz", recipes=EUROSAT
        ),
        "galileo": lambda: evaluate(
            source=galileo / "galileo_nano_s2_patch1_128d_float32.tif",
            labels=galileo / "training_polygons.geojson",
            label_column="class",
            groups="id",
            recipes=SMALL,
        ),
        "galileo_random": lambda: evaluate(
            source=galileo / "galileo_nano_s2_patch1_128d_float32.tif",
            labels=galileo / "training_polygons.geojson",
            label_column="class",
            groups="id",
            split="random",
            recipes=SMALL,
        ),
        "aef": lambda: evaluate(
            table=data / "aef_dynamicworld/aef_dw_points.npz", groups="region", recipes=SMALL
        ),
        "aef_random": lambda: evaluate(
            table=data / "aef_dynamicworld/aef_dw_points.npz",
            groups="region",
            split="random",
            recipes=SMALL,
        ),
    }
    numbers: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "version": __version__,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
    }
    for name, run in runs.items():
        started = time.perf_counter()
        numbers[name] = run().to_json() | {"seconds": time.perf_counter() - started}
        _drop_per_dimension(numbers[name])
        numbers[name]["name"] = Path(numbers[name]["name"]).name
        print(name, f"{numbers[name]['seconds']:.0f} s", flush=True)
    return numbers


def _drop_per_dimension(numbers: dict[str, Any]) -> None:
    """Leave out the balance of single dimensions, which fills pages."""
    for entry in (numbers["baseline"], *numbers["recipes"]):
        entry["fidelity"].get("binary_balance", {}).pop("per_dimension", None)


def render(numbers: Document) -> str:
    """Return the page."""
    eurosat, galileo, aef = (numbers[name] for name in ("eurosat", "galileo", "aef"))
    results = {entry["recipe"]: entry for entry in eurosat["recipes"]}
    seconds = sum(numbers[name]["seconds"] for name in ("eurosat", "galileo", "aef"))
    values = {
        "made": f"{numbers['date']} by geoembz {numbers['version']} on {numbers['machine']}",
        "seconds": f"{seconds:.0f}",
        "n_train": f"{eurosat['split']['n_train']:,}",
        "n_test": f"{eurosat['split']['n_test']:,}",
        "quantization": _quantization(eurosat, results),
        "spectrum": _spectrum(eurosat),
        "combined": _combined(eurosat, results),
        "hamming": _hamming(eurosat, results),
        "balance": _balance(eurosat),
        "imbalance": f"{eurosat['baseline']['fidelity']['binary_balance']['imbalance']:.2f}",
        "kept": f"{100 * eurosat['baseline']['fidelity']['spectrum']['64']:.0f}",
        "classes": _classes(results),
        "claims": _claims(eurosat, results),
        **_leak("galileo", galileo, numbers["galileo_random"]),
        **_leak("aef", aef, numbers["aef_random"]),
    }
    return Template(TEMPLATE.read_text()).substitute(values)


def _leak(name: str, grouped: Document, leaky: Document) -> dict[str, str]:
    """Return a small data set's table, and what a random split would have made of it."""
    return {
        name: _task_table(grouped),
        f"{name}_rows": f"{grouped['n_rows']:,}",
        f"{name}_groups": str(grouped["split"]["n_groups"]),
        f"{name}_folds": str(grouped["split"]["folds"]),
        f"{name}_knn": _percent(_accuracy(grouped, "knn")),
        f"{name}_knn_leaky": _percent(_accuracy(leaky, "knn")),
        f"{name}_probe": _percent(_accuracy(grouped, "probe")),
        f"{name}_probe_leaky": _percent(_accuracy(leaky, "probe")),
    }


def table(header: Cells, rows: Sequence[Cells]) -> str:
    """Return a Markdown table; the first column is text, the others numbers."""
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _percent(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _plain(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _accuracy(document: Document, task: str) -> float:
    return float(document["baseline"]["tasks"][task]["accuracy"])


def _quantization(eurosat: Document, results: Mapping[str, Any]) -> str:
    rows: list[Cells] = [
        ["float32", eurosat["baseline"]["bytes"], _percent(_accuracy(eurosat, "knn"))]
        + [_plain(value) for value in QUANTIZATION["float32"]]
    ]
    for name in QUANTIZERS:
        knn = results[name]["tasks"]["knn"]
        cell = f"{_percent(knn['accuracy'])} ({knn['mcnemar_p']:.2g})"
        article = QUANTIZATION.get(name, (None,) * len(MODELS))
        rows.append([name, results[name]["bytes"], cell, *(_plain(value) for value in article)])
    return table(["method", "bytes here", "here", *MODELS], rows)


def _spectrum(eurosat: Document) -> str:
    sizes = (4, 8, 16, 32, 64, 256)
    here = eurosat["baseline"]["fidelity"]["spectrum"]
    rows: list[Cells] = [["here", *(f"{100 * here[str(k)]:.0f}" for k in sizes)]]
    rows += [[model, *(shares.get(k, "") for k in sizes)] for model, shares in SPECTRUM.items()]
    return table(["model", *(f"{k}d" for k in sizes)], rows)


def _combined(eurosat: Document, results: Mapping[str, Any]) -> str:
    knn, probe = (_accuracy(eurosat, task) for task in ("knn", "probe"))
    first = [_plain(value) for value in COMBINED["float32"]]
    size = eurosat["baseline"]["bytes"]
    rows: list[Cells] = [["float32", size, _percent(knn), "", _percent(probe), "", *first]]
    for name in ("int8", "int4", *PCA, "rot-binary", *OURS):
        tasks = results[name]["tasks"]
        knn_task = tasks.get("hamming", tasks["knn"])
        article = [_plain(value) for value in COMBINED.get(name, (None, None))]
        cells = [name, results[name]["bytes"]]
        for task in (knn_task, tasks["probe"]):
            cells += [_percent(task["accuracy"]), f"{100 * task['delta']:+.1f}"]
        rows.append([*cells, *article])
    header = ["configuration", "bytes", "kNN", "change", "linear", "change"]
    return table([*header, "article kNN", "article linear"], rows)


def _hamming(eurosat: Document, results: Mapping[str, Any]) -> str:
    full = _percent(_accuracy(eurosat, "knn"))
    rows: list[Cells] = []
    for name in ("binary", "rot-binary", "pca8-binary"):
        tasks = results[name]["tasks"]
        scores = [_percent(tasks[task]["accuracy"]) for task in ("knn", "hamming")]
        rows.append([f"here, {name} ({results[name]['bytes']} B)", full, *scores])
    rows += [[f"article, {model}", *values] for model, values in HAMMING.items()]
    header = ["", "uncompressed", "reconstructed + cosine", "Hamming on raw bits"]
    return table(header, rows)


def _balance(eurosat: Document) -> str:
    balance = eurosat["baseline"]["fidelity"]["binary_balance"]
    others = ", ".join(f"{model} {value}" for model, value in IMBALANCE.items())
    return (
        f"{balance['imbalance']:.3f} here ({balance['entropy_bits']:.2f} bits of entropy each), in "
        f"the article {others}"
    )


def _classes(results: Mapping[str, Any]) -> str:
    rows: list[Cells] = []
    for name in ("int4", "pca64-int8", "rot-binary", "binary", "pca8-binary"):
        task = results[name]["tasks"]["knn"]
        drops = [f"{label} {-drop:+.3f}" for label, drop in list(task["f1_drop"].items())[:3]]
        rows.append(["here", f"{name} ({results[name]['bytes']} B)", *drops])
    rows += [
        ["article: " + m, config, f"{label} {drop:+.3f}", "", ""]
        for m, config, label, drop in WORST_CLASSES
    ]
    return table(["", "configuration", "worst class", "second", "third"], rows)


def _claims(eurosat: Document, results: Mapping[str, Any]) -> str:
    """Hold each of the article's takeaways against the numbers here."""

    def knn(name: str) -> Any:
        return results[name]["tasks"]["knn"]

    def change(name: str, task: str = "knn") -> str:
        return str(results[name]["tasks"][task]["text"])

    probe = results["pca64-int8"]["tasks"]["probe"]["delta"]
    gain = results["binary"]["tasks"]["hamming"]["accuracy"] - knn("binary")["accuracy"]
    worst = [knn(name)["worst_class"] for name in ("binary", "pca8-binary")]
    verdicts = {knn("int8")["verdict"], results["int8"]["tasks"]["probe"]["verdict"]}
    ternary, binary = (knn(name)["accuracy"] for name in ("ternary", "binary"))
    c = eurosat["baseline"]["tasks"]["probe"]["c"]
    held: list[tuple[str, str, bool]] = [
        ("int8 is free: kNN", change("int8"), "loss" not in verdicts),
        ("int8 is free: linear probe", change("int8", "probe"), "loss" not in verdicts),
        ("int4 loses less than 1 point", change("int4"), knn("int4")["delta"] > -0.01),
        (
            "PCA(64)+int8 loses 1.4 points of kNN",
            change("pca64-int8"),
            _near(knn("pca64-int8")["delta"], -0.014),
        ),
        (
            "PCA(64)+int8 loses 1.6 points of the probe",
            change("pca64-int8", "probe"),
            _near(probe, -0.016),
        ),
        (
            "binary, reconstructed, loses 2.7 to 6.2 points",
            change("binary"),
            -0.062 <= knn("binary")["delta"] <= -0.027,
        ),
        ("Hamming beats reconstructed bits", f"{100 * gain:+.2f} points", gain > 0),
        (
            "ternary is worse than binary (here: by 0.5 points or more)",
            f"{_percent(ternary)} against {_percent(binary)} by kNN, with twice the bytes",
            ternary < binary - 0.005,
        ),
        (
            "Highway and PermanentCrop fail first",
            ", ".join(worst),
            set(worst) <= {"Highway", "PermanentCrop"},
        ),
        ("the best C of the probe is not 1", f"C = {c:g}", c != 1),
    ]
    rows = [[claim, here, "yes" if agrees else "**no**"] for claim, here, agrees in held]
    return table(["the article", "here", "agrees"], rows)


def _near(value: float, expected: float) -> bool:
    """Whether two changes are within half a point of each other."""
    return abs(value - expected) <= 0.005


def _task_table(document: Document) -> str:
    """Return every recipe's kNN and probe with their intervals."""
    tasks = [task for task in ("knn", "hamming", "probe") if task in document["metrics"]]
    header: list[object] = ["recipe", "bytes"]
    for task in tasks:
        header += [f"{task}, %", "change, 95 % interval", "p"]
    first: list[object] = ["float32", document["baseline"]["bytes"]]
    for task in tasks:
        known = task in document["baseline"]["tasks"]
        first += [_percent(_accuracy(document, task)) if known else "", "", ""]
    rows: list[Cells] = [first]
    for entry in document["recipes"]:
        cells: list[object] = [entry["recipe"], entry["bytes"]]
        for task in tasks:
            scores = entry["tasks"].get(task)
            cells += ["", "", ""] if scores is None else _scores(scores)
        rows.append(cells)
    return table(header, rows)


def _scores(scores: Document) -> list[str]:
    low, high = (100 * end for end in scores["ci95"])
    change = f"{100 * scores['delta']:+.1f} ({low:+.1f} to {high:+.1f})"
    return [_percent(scores["accuracy"]), change, f"{scores['mcnemar_p']:.2g}"]


def main() -> None:
    """Measure and write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared/data")
    parser.add_argument("--numbers", type=Path, default=NUMBERS)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--render", action="store_true", help="do not measure anew")
    options = parser.parse_args()
    if not options.render:
        options.numbers.parent.mkdir(parents=True, exist_ok=True)
        options.numbers.write_text(json.dumps(measure(options.data), indent=1) + "\n")
    options.page.parent.mkdir(parents=True, exist_ok=True)
    options.page.write_text(render(json.loads(options.numbers.read_text())))
    print(options.page)


if __name__ == "__main__":
    main()
