"""Edits of stores' metadata at random, and every command on each: who breaks is named.

`python -m tests.metadata_fuzz FOLDER COUNT [SEED]` prints, as JSON, the attempts that ended in
anything but success or an error of ours.
"""

import contextlib
import io
import json
import shutil
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from geoembz._cli import main as command
from geoembz.errors import GeoembzError

VECTORS = Path(__file__).parents[1] / "spec" / "vectors"
GOLDEN = [
    VECTORS / version / f"{name}.zarr"
    for version in ("0.2", "0.1")
    for name in (
        *("stores/int8-plain", "stores/int4-plain", "stores/int8-codec"),
        *("times/two-dates", "grids/two-zones", "tables/int8"),
    )
] + [VECTORS / "0.2/stores/int8-archive.zarr", VECTORS / "0.2/layers/two-dates.zarr"]
SLOWEST_SECONDS = 20.0
MADE = {
    *(
        "query.npy",
        "point.geojson",
        "x.tif",
        "x.parquet",
        "x.png",
        "x.npz",
        "again.zarr",
        "packed.zarr",
    ),
    *("published.zarr", "published.zarr.manifest.json", "published.zarr.stac-item.json"),
    *("published.zarr.stac-collection.json", "published.zarr.thumbnail.png"),
}

WRONG: list[Any] = [
    *(None, True, False, 0, 1, -1, 2, 255, 2**31, 2**63, 2**64, 10**30, -(10**30), 0.5, 1e308),
    *(float("inf"), -float("inf"), float("nan"), "", "x", "\x1b[2J\n", "é" * 300, "0.1", "NaN"),
    *("../../x", "/etc/passwd", "\ud800", "int8", "2020-02-30", [], [[]], {}, {"a": 1}, [None]),
    *([1], [0, 0], [-1, -1, -1], [2**40, 2**40, 2**40], ["x", "y"], {"name": "x"}, [[1, 2], {}]),
]


def places(document: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of every member of a JSON document."""
    members: Any = ()
    if isinstance(document, dict):
        members = document.items()
    elif isinstance(document, list):
        members = enumerate(document[:4])
    for key, value in members:
        yield (*above, key)
        yield from places(value, (*above, key))


def edit(document: Any, rng: np.random.Generator) -> str:
    """Change one member of a document, and return what was done."""
    found = [place for place in places(document) if place[0] != "consolidated_metadata"]
    place = found[int(rng.integers(len(found)))]
    holder = document
    for key in place[:-1]:
        holder = holder[key]
    if rng.random() < 0.15:
        del holder[place[-1]]
        return f"del {place}"
    value = WRONG[int(rng.integers(len(WRONG)))]
    if rng.random() < 0.1 and isinstance(holder[place[-1]], list):
        value = [value, *holder[place[-1]][1:]]
    holder[place[-1]] = value
    return f"{place} = {value!r:.60}"


def damage(store: Path, rng: np.random.Generator) -> str:
    """Change one document of a store, and the consolidated copy of it; return what was done."""
    documents = sorted(store.rglob("zarr.json"))
    root = store / "zarr.json"
    path = root if rng.random() < 0.5 else documents[int(rng.integers(len(documents)))]
    document = json.loads(path.read_text())
    done = f"{path.relative_to(store)}: {edit(document, rng)}"
    path.write_text(json.dumps(document))
    for parent in path.parents:
        holder = parent / "zarr.json"
        if holder == path or not holder.is_file() or rng.random() < 0.2:
            continue
        copy = json.loads(holder.read_text())
        name = path.parent.relative_to(parent).as_posix()
        nodes = copy.get("consolidated_metadata", {}).get("metadata", {})
        if name in nodes:
            inner = nodes[name].get("consolidated_metadata") if isinstance(nodes[name], dict) else 0
            nodes[name] = {**document, "consolidated_metadata": inner} if inner else document
            holder.write_text(json.dumps(copy))
        if parent == store:
            break
    return done


def commands(store: Path, out: Path) -> dict[str, list[str]]:
    """Return the words of every command that reads a store."""
    point = out / "point.geojson"
    point.write_text('{"type": "Point", "coordinates": [9.0, 48.0]}')
    named, table = str(store), "tables" in store.name
    grid = ["--grid", "utm32n"] if "grids" in store.name else []
    written = str(out / ("x.parquet" if table else "x.tif"))
    return {
        "info": ["info", named],
        "info --json": ["info", named, "--json"],
        "verify": ["verify", named],
        "cost": ["cost", named],
        "search": ["search", named, "--vector", str(out / "query.npy")],
        "sample": ["sample", named, str(point), *grid, "--json"],
        "export": ["export", named, written, "--overwrite", *grid],
        "preview": ["preview", named, str(out / "x.png"), "--overwrite", *grid],
        "basis save": ["basis", "save", named, str(out / "x.npz")],
        "publish": ["publish", named, str(out / "published.zarr"), "--overwrite"],
        "repack": ["repack", named, str(out / "packed.zarr"), "--overwrite"],
        "convert": ["convert", named, str(out / "again.zarr"), "--pca", "2", "--overwrite", "-q"],
    }


def attempt(words: list[str]) -> str:
    """Run a command; return what is wrong with how it ended, or nothing."""
    out, err = io.StringIO(), io.StringIO()
    started = time.monotonic()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            command(words)
    except SystemExit:
        pass
    except BaseException as error:  # noqa: BLE001 - reported as what it is
        return f"{type(error).__name__}: {error}"
    said = out.getvalue() + err.getvalue()
    for sign in ("this is a bug", "Traceback", "[Errno"):
        if (at := said.find(sign)) >= 0:
            return said[max(0, at - 300) : at + 300]
    if not said.replace("\n", "").isprintable():
        return f"control characters: {said!r}"
    seconds = time.monotonic() - started
    return f"{seconds:.0f} seconds" if seconds > SLOWEST_SECONDS else ""


def open_and_read(store: Path) -> str:
    """Open a store in Python and read a corner of it; return what broke, or nothing."""
    import geoembz

    grid = "utm32n" if "grids" in store.name else None
    try:
        for space in ("codes", "original"):
            dataset = geoembz.open(store, space=space, grid=grid)
            dataset["embedding"][..., :2, :2].load()
            repr(dataset)
            dataset.geoembz  # noqa: B018
    except GeoembzError:
        return ""
    except Exception as error:  # noqa: BLE001 - reported as what it is
        return f"{type(error).__name__}: {error}"
    return ""


def _some(
    found: dict[str, list[str]], count: int, rng: np.random.Generator
) -> dict[str, list[str]]:
    names = rng.permutation(sorted(found))[:count]
    return {name: found[name] for name in map(str, names)}


def fuzz(folder: Path, count: int, seed: int = 0, each: int = 99) -> list[dict[str, str]]:
    """Damage stores, try `each` of the commands on every one, and return what broke."""
    rng = np.random.default_rng(seed)
    warnings.simplefilter("ignore")
    broken = []
    for number in range(count):
        golden = GOLDEN[number % len(GOLDEN)]
        place = folder / f"{number}"
        store = place / f"{golden.parent.name}-{golden.name}"
        shutil.copytree(golden, store)
        np.save(place / "query.npy", np.ones((1, 8), np.float32))
        done = damage(store, rng)
        ends = {"open": open_and_read(store)}
        tried = _some(commands(store, place), each, rng)
        ends |= {name: attempt(words) for name, words in tried.items()}
        odd = {path.name for path in place.iterdir()} - {store.name, *MADE}
        ends["left behind"] = ", ".join(sorted(odd))
        broken += [
            {"number": str(number), "store": store.name, "edit": done, "command": name, "end": end}
            for name, end in ends.items()
            if end
        ]
        shutil.rmtree(place)
    return broken


if __name__ == "__main__":
    found = fuzz(Path(sys.argv[1]), int(sys.argv[2]), int((sys.argv[3:] or ["0"])[0]))
    sys.stdout.write(json.dumps(found, indent=1))
