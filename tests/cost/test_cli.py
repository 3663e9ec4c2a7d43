"""`geoembz cost` from flags to JSON, text, errors and a chart."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
import zarr
from typer.testing import CliRunner

import geoembz
from geoembz._cli.stores import cost
from geoembz._spelling import flags as flags_shown
from geoembz.errors import InvalidConfigError, MissingPackageError, StoreError

app = typer.Typer(rich_markup_mode=None)
app.command()(cost)


def run(*flags: str) -> str:
    """Run the command, let its errors through, return what it printed."""
    result = CliRunner().invoke(app, list(flags), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*flags: str) -> dict[str, Any]:
    return dict(json.loads(run(*flags, "--json")))


def test_json_keys_are_numbers() -> None:
    """What other programs read is numbers, not strings, and the integers are exact."""
    document = run_json("--model", "dinov3", "--recipe", "pca64-int8", "--region", "land")
    for key in ("bytes_per_embedding", "pixels", "total_bytes", "n_objects"):
        assert type(document[key]) is int, key
    for key in ("usd_per_year", "usd_per_year_tiered", "read_amplification"):
        assert type(document[key]) is float, key
    assert all(type(value) is float for value in document["tiered"].values())
    assert document["total_bytes"] == 96 * 10**12
    assert sum(document["tiered"].values()) == pytest.approx(document["usd_per_year_tiered"])
    assert document["usd_per_year_tiered"] < document["usd_per_year"]


@pytest.mark.parametrize(
    ("flags", "pixels"),
    [
        (("--pixels", "7"), 7),
        (("--area-km2", "150000000"), 1_500_000_000_000),
        (("--area-km2", "0.09", "--gsd", "30"), 100),
        ((), 1_500_000_000_000),
    ],
)
def test_regions(flags: tuple[str, ...], pixels: int) -> None:
    """Pixels are given, or follow from an area; the default is the Earth's land."""
    document = run_json("--dims", "16", "--dtype", "float16", "--years", "9", *flags)
    assert document["pixels"] == pixels
    assert document["total_bytes"] == pixels * 32 * 9


def test_region_file_and_price_file(tmp_path: Path) -> None:
    """A GeoJSON file gives the pixels, a JSON file the prices."""
    ring = [[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]
    region, prices = tmp_path / "region.geojson", tmp_path / "prices.json"
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    classes = {"standard": {"storage": [[None, 0.0]], "usd_per_1000_puts": 0}}
    prices.write_text(json.dumps({"providers": {"gcs": {"classes": classes}}}))
    document = run_json(
        "--model", "aef", "--region", str(region), "--prices", str(prices), "--provider", "gcs"
    )  # fmt: skip
    assert document["pixels"] == 123_087_784
    assert document["usd_per_year_tiered"] == 0
    assert document["usd_per_year"] > 0


def test_text_and_table() -> None:
    """For people: one estimate as lines, or every known model as a table."""
    assert "96 TB" in run("--model", "aef")
    table = run().splitlines()
    row = next(line for line in table if line.startswith("tessera "))
    assert "192 TB" in row
    assert "$53K" in row
    assert "uncertain" in run("--model", "aef", "--provider", "azure")


def test_recipes_are_compared(tmp_path: Path) -> None:
    """Each recipe is a row, and the estimate that it has alone; so in Python, and in a chart."""
    names, chart = ("int8", "pca64-int8", "binary"), tmp_path / "chart.svg"
    flags = ("--model", "dinov3", "--compare", ", ".join(names))
    alone = [run_json("--model", "dinov3", "--recipe", name) for name in names]
    documents = run_json(*flags)["schemes"]
    assert documents == [run_json("--model", "dinov3"), *alone]
    rows = run(*flags, "--plot", str(chart)).splitlines()
    assert rows[3].split() == ["dinov3", "pca64-int8", "64", "96", "TB", "$26K", "$24K"]
    report = geoembz.cost(model="dinov3", compare=names)
    assert json.loads(json.dumps(report.to_json()))["schemes"] == documents
    assert chart.stat().st_size > 0
    with pytest.raises(InvalidConfigError, match="'int8' in compare=…; expected a list"):
        geoembz.cost(model="dinov3", compare="int8")


@pytest.mark.parametrize(
    ("flags", "reason"),
    [
        (("--model", "nope"), "unknown model 'nope'"),
        (("--model", "aef", "--dims", "3"), "contradict"),
        (("--dims", "0"), "--dims 0"),
        (("--dims", "8", "--dtype", "complex"), "unknown dtype 'complex'"),
        (("--dtype", "int8"), "need --model or --dims"),
        (
            ("--model", "aef", "--recipe", "pca65-int8"),
            "keeps 65 components of vectors of 64; expected at most 64",
        ),
        (("--compare", "int8"), "--compare needs --model or --dims"),
        (("store.zarr", "--compare", "int8"), "leave STORE out"),
        (("--dims", "8", "--compare", "int8", "--recipe", "int4"), "into --compare"),
        (("--dims", "8", "--compare", ","), "expected a list of recipes"),
        (("--dims", "8", "--compare", "int8,pca9-int8"), "keeps 9 components"),
        (("--model", "aef", "--pixels", "1", "--area-km2", "1"), "only one of"),
        (("--model", "aef", "--pixels", "0"), "pixels is 0"),
        (("--model", "aef", "--years", "0"), "years is 0"),
        (("--model", "aef", "--gsd", "0"), "ground sampling distance"),
        (("--model", "aef", "--area-km2", "nan"), "area of nan"),
        (("--model", "aef", "--region", "missing.geojson"), "no such file.*word land"),
        (("--model", "aef", "--provider", "ibm"), "unknown provider 'ibm'"),
        (("--model", "aef", "--class", "warm"), "no storage class 'warm'"),
        (("--model", "aef", "--egress-tb", "-1"), "--egress-tb -1"),
        (("--model", "aef", "--egress-tb", "nan"), "--egress-tb nan"),
        (("--model", "aef", "--reads-per-month", "-1"), "-1 reads"),
        (("--model", "aef", "--read-window", "0"), "window of"),
        (("--model", "aef", "--plot", "chart.txt"), "unknown suffix"),
        (("--model", "aef", "--plot", "missing/chart.png"), "no folder missing"),
        (("store.zarr", "--model", "aef"), "STORE is measured"),
    ],
)
def test_flags_that_cannot_work(flags: tuple[str, ...], reason: str) -> None:
    """Wrong flags end in an InvalidConfigError (exit code 2) that says what to do."""
    with flags_shown(), pytest.raises(InvalidConfigError, match=reason):
        run(*flags)


@pytest.mark.parametrize("text", ["{", "[]", '{"providers": 3}', '{"providers": []}'])
def test_price_files_that_are_none(text: str, tmp_path: Path) -> None:
    """A price file that is no price list is refused."""
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(InvalidConfigError, match="cost:"):
        run("--model", "aef", "--prices", str(path))


@pytest.mark.parametrize(
    "flags",
    [
        ("--model", "dinov3", "--recipe", "pca64-int8"),
        ("--model", "aef"),
        ("--pixels", "1000"),
        ("--dims", "3", "--years", "9"),
    ],
)
def test_chart_is_written(flags: tuple[str, ...], tmp_path: Path) -> None:
    """A chart comes out as a PNG, for large and for small holdings."""
    pytest.importorskip("matplotlib")
    path = tmp_path / "chart.png"
    run(*flags, "--plot", str(path))
    assert path.read_bytes().startswith(b"\x89PNG")


def test_missing_matplotlib_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without matplotlib the error names the extra to install."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingPackageError, match=r"geoembz\[report\]"):
        run("--model", "aef", "--plot", str(tmp_path / "chart.png"))


def make_store(path: Path, *, times: int = 0) -> int:
    """Write codes of 100 x 70 pixels with one of six shards left empty; return pixels written."""
    root = zarr.open_group(path, mode="w")
    time = (times,) if times else ()
    names = ["time", "component", "y", "x"][0 if times else 1 :]
    ones = (1,) * len(time)
    codes = root.create_array(
        "embedding", shape=(*time, 8, 100, 70), dtype="int8", fill_value=-128,
        chunks=(*ones, 8, 16, 16), shards=(*ones, 8, 48, 48), dimension_names=names,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    data = rng.integers(-127, 128, (*time, 8, 100, 70)).astype(np.int8)
    data[..., 96:, 48:] = -128
    codes[...] = data
    return 100 * 70 - 4 * 22


@pytest.mark.parametrize("times", [0, 3])
def test_store_is_measured(times: int, tmp_path: Path) -> None:
    """A store's total is what lies on disk, and extrapolates by the pixels that were written."""
    path = tmp_path / "out.zarr"
    pixels = make_store(path, times=times)
    stored = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    document = run_json(str(path))
    assert document["measured"] is True
    assert document["pixels"] == pixels
    assert document["years"] == max(1, times)
    assert document["total_bytes"] == stored
    larger = run_json(str(path), "--pixels", str(1000 * pixels), "--years", "1")
    assert larger["total_bytes"] == pytest.approx(1000 * stored / max(1, times), abs=1)
    assert larger["requests_per_read"] == 2


def test_no_store_to_measure(tmp_path: Path) -> None:
    """A folder without codes is refused by name."""
    with pytest.raises(StoreError, match=r"no 'embedding' array"):
        run(str(tmp_path))
    zarr.open_group(tmp_path / "a.zarr", mode="w").create_array(
        "embedding", shape=(8, 10, 10), dtype="int8", chunks=(8, 5, 5)
    )
    with pytest.raises(StoreError, match="no shard of codes yet"):
        run(str(tmp_path / "a.zarr"))


def test_importing_the_command_is_cheap() -> None:
    """The command's module imports nothing heavy: start-up time is shared by all commands."""
    import subprocess

    code = (
        "import sys, geoembz._cli.stores; "
        "heavy = {'numpy', 'pyproj', 'matplotlib', 'zarr', 'fsspec'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert printed.stdout.strip() == "[]"
