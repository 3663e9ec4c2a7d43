"""Rehearse a planet: some hundred tiles in two zones through every command that a user would give.

    eval "$(bash tests/integration/s3-server.sh start /tmp/s3 0)"
    python -m benchmarks.rehearsal WORK --gateway /tmp/s3 [--across 17] [--side 768]
        [--steps convert,overviews …] [--kill-after convert=60,publish=20] [--smoke]

Every step is the `geoembz` that a shell would run, in a process of its own, and leaves a line in
``WORK/steps.jsonl``; what is there is not done again, so that an interrupted rehearsal goes on. At
the end the table goes to ``benchmarks/results/rehearsal.csv``. Requests are counted where they
arrive: in the access log of Ceph's gateway. The tiles are deleted when they are converted, for the
published copy needs the room; ``--steps cleanup`` deletes the rest.
"""

import argparse
import json
import os
import re
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import RESULTS, Row, publish
from benchmarks.watching import Took, watch

BUCKET = "rehearsal"
WORKERS = 4
"""Processes that make tiles."""
GEOEMBZ = [sys.executable, "-m", "geoembz"]
_LARGE = 4096
"""Pixels along a side of a zone from which on it has three levels of overviews."""
_ENDS = (0, -9)
"""Exit codes of what went well, and of what was killed on purpose."""
_ANSWERED = re.compile(rb'"([A-Z]+) (\S+) HTTP/[\d.]+" (\d+) (\d+)')


@dataclass(frozen=True)
class Rehearsal:
    """What is rehearsed, and where.

    Parameters
    ----------
    work
        Folder of tiles, stores and logs.
    gateway
        Folder of Ceph's gateway, for its access log.
    across, side
        As `benchmarks.rehearsal_tiles.Landscape`.
    workers
        Shards at once; None for what the commands choose.
    """

    work: Path
    gateway: Path
    across: int
    side: int
    workers: int | None = None

    @property
    def store(self) -> Path:
        """The local store."""
        return self.work / "out.zarr"

    @property
    def url(self) -> str:
        """The published one."""
        return f"s3://{BUCKET}/out.zarr"

    def commands(self) -> dict[str, list[str]]:
        """Return every step's command, in order."""
        store, url, out = str(self.store), self.url, self.work
        tiles, place = str(self.work / "tiles"), ["--point", self.place(), "--crs", "EPSG:32632"]
        coarse = "3" if self.across * self.side > _LARGE else "1"
        like = ["--like", self.place(), "--crs", "EPSG:32632"]
        grid = ["--grid", "utm32n"]  # a map is of one
        convert = [tiles, store, "--pca", "32", "--int8"]
        commands = {
            "convert": ["convert", *convert],
            "overviews": ["overviews", store],
            "verify": ["verify", store],
            "publish": ["publish", store, url],
            "verify published": ["verify", url],
            "info": ["info", store],
            "info published": ["info", url],
            "search": ["search", store, *place, "--k", "100"],
            "search, coarse to fine": ["search", store, *place, "--k", "100", "--coarse", "0.1"],
            "search published, coarse": ["search", url, *place, "--k", "100", "--level", coarse],
            "search published": ["search", url, *place, "--k", "100"],
            "map similar": ["map", "similar", store, f"{out}/similar.zarr", *like, *grid],
            "map cluster": ["map", "cluster", store, f"{out}/clusters.zarr", "--k", "12", *grid],
            "map similar, published": ["map", "similar", url, f"{out}/far.zarr", *like, *grid],
        }
        made = [sys.executable, "-m", "benchmarks.rehearsal", str(out), "--make-tiles"]
        sizes = ["--across", str(self.across), "--side", str(self.side)]
        steps = {"generate": [*made, *sizes]}
        at_once = [] if self.workers is None else ["--workers", str(self.workers)]
        for name, command in commands.items():
            takes = not name.startswith(("info", "publish"))
            steps[name] = [*GEOEMBZ, *command, *(at_once if takes else [])]
        return steps

    def place(self) -> str:
        """Return an example's place as the commands take it."""
        from benchmarks.rehearsal_tiles import Landscape

        x, y = Landscape(self.across, self.side).place(32)
        return f"{x + 5:.0f},{y - 5:.0f}"


def main() -> None:
    """Do the steps that are not done, then write the table."""
    options = parse()
    folder, size = options.folder.resolve(), (options.across, options.side)
    here = Rehearsal(folder, options.gateway, *size, options.workers)
    if options.make_tiles:
        from benchmarks.rehearsal_tiles import Landscape, generate

        print(generate(Landscape(here.across, here.side), here.work / "tiles", workers=WORKERS))
        return
    (here.work / "logs").mkdir(parents=True, exist_ok=True)
    if "cleanup" in options.steps:
        clean_up(here)
        return
    make_bucket()
    for name, command in here.commands().items():
        if not options.steps or name in options.steps:
            do_step(here, name, command, options.kill_after.get(name))
        if name == "overviews" and is_done(here, name) and not options.keep_tiles:
            shutil.rmtree(here.work / "tiles", ignore_errors=True)
    publish("rehearsal", rows(done(here)), options)


def parse() -> Any:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, metavar="WORK")
    parser.add_argument("--gateway", type=Path, default=Path("/tmp/s3-store"))  # noqa: S108 - its own default
    parser.add_argument("--across", type=int, default=17, help="tiles along a side of a zone")
    parser.add_argument("--side", type=int, default=768, help="pixels along a side of a tile")
    parser.add_argument("--workers", type=int, help="shards at once")
    parser.add_argument("--steps", type=names, default=(), help="only these, by name")
    parser.add_argument("--kill-after", type=deaths, default={}, help="STEP=SECONDS,…: then again")
    parser.add_argument("--keep-tiles", action="store_true")
    parser.add_argument("--make-tiles", action="store_true", help="nothing else")
    parser.add_argument("--smoke", action="store_true", help="eight small tiles")
    parser.add_argument("--out", type=Path, help=f"folder of the CSV (default: {RESULTS.name}/)")
    options = parser.parse_args()
    if options.smoke:
        options.across, options.side = 2, 256
    return options


def names(text: str) -> tuple[str, ...]:
    """Return names between commas; `+` stands for the comma in a name."""
    return tuple(name.replace("+", ",") for name in text.split(","))


def deaths(text: str) -> dict[str, float]:
    """Return seconds by step."""
    return {name: float(seconds) for name, _, seconds in (s.partition("=") for s in names(text))}


def make_bucket() -> None:
    """Make the bucket, unless it is there."""
    import s3fs

    s3fs.S3FileSystem(endpoint_url=os.environ["AWS_ENDPOINT_URL"]).mkdirs(BUCKET, exist_ok=True)


def do_step(here: Rehearsal, name: str, command: list[str], kill_after_s: float | None) -> None:
    """Do a step unless it was done; where it is to be killed, again until it ends."""
    if is_done(here, name):
        return
    log = here.work / "logs" / f"{name.replace(', ', '-').replace(' ', '-')}.log"
    access = here.gateway / "log" / "client.log" if here.url in command else None
    if kill_after_s is not None:
        record(here, f"{name}, killed", access, lambda: watch(command, log, kill_after_s))
    record(here, name, access, lambda: watch(command, log))


def record(here: Rehearsal, name: str, access: Path | None, run: Callable[[], Took]) -> None:
    """Run a step, and write down what it took, left, and asked the gateway with an access log."""
    before = 0 if access is None else access.stat().st_size
    took = asdict(run())
    asked = {} if access is None else count_requests(access, before)
    line = {"step": name, **took, **asked, **sizes(here)}
    with (here.work / "steps.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
    print(json.dumps(line), flush=True)
    if took["exit_code"] not in _ENDS:
        sys.exit(f"{name} failed; see {here.work / 'logs'}")


def count_requests(access: Path, before: int) -> dict[str, int]:
    """Count what the gateway's log says that it answered since it had so many bytes."""
    counts: Counter[str] = Counter()
    with access.open("rb") as file:
        file.seek(before)
        for line in file:
            if found := _ANSWERED.search(line):
                method, path, status, size = found.groups()
                kind = "LIST" if b"list-type" in path else method.decode()
                counts[kind] += 1
                counts["sent_bytes"] += int(size) if method == b"GET" else 0
                counts["failed"] += int(status) >= 500
    return dict(counts)


def sizes(here: Rehearsal) -> dict[str, int]:
    """Return bytes and files of what lies in the folder now."""
    found: dict[str, int] = {}
    for name, folder in (("tiles", here.work / "tiles"), ("store", here.store)):
        files = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
        found |= {f"{name}_bytes": sum(files), f"{name}_files": len(files)}
    return found


def done(here: Rehearsal) -> list[dict[str, Any]]:
    """Return the lines of all steps so far."""
    path = here.work / "steps.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]


def is_done(here: Rehearsal, name: str) -> bool:
    """Whether a step came to its end."""
    return any(step["step"] == name and step["exit_code"] == 0 for step in done(here))


def rows(steps: Iterable[dict[str, Any]]) -> Iterator[Row]:
    """Yield the numbers of each step that came to its end, or was killed on purpose."""
    for step in steps:
        case = step["step"]
        if step["exit_code"] not in _ENDS:
            continue
        yield Row(case, "wall", step["wall_s"], "s")
        yield Row(case, "processor", step["cpu_s"], "s")
        yield Row(case, "peak memory", step["peak_rss_bytes"] / 1e6, "MB")
        if step["peak_files"]:
            yield Row(case, "open files", step["peak_files"], "")
        for kind in ("GET", "HEAD", "PUT", "POST", "DELETE", "LIST", "failed"):
            if step.get(kind):
                yield Row(case, f"{kind} requests", step[kind], "")
        if step.get("sent_bytes"):
            yield Row(case, "received", step["sent_bytes"] / 1e6, "MB")
        if case in ("generate", "convert", "overviews"):
            for name in ("tiles", "store"):
                yield Row(case, name, step[f"{name}_bytes"] / 1e6, "MB")
                yield Row(case, f"{name}: files", step[f"{name}_files"], "")


def clean_up(here: Rehearsal) -> None:
    """Delete tiles, stores and maps; the logs stay."""
    for path in here.work.iterdir():
        if path.is_dir() and path.name != "logs":
            shutil.rmtree(path)


if __name__ == "__main__":
    main()
