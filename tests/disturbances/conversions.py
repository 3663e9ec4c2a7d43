"""Conversions of every kind, large enough that a signal meets them on the way."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import geoembz
from tests import products, tables

HEIGHT, WIDTH, DIMENSION = 160, 144, 12
_WORDS = ("--pca", "5", "--chunk", "8", "--shard", "16")
_OPTIONS = {"recipe": "pca5-int8", "chunk": 8, "shard": 16}


def _raster(folder: Path, seed: int = 1) -> Path:
    values = products.unit_vectors(HEIGHT, WIDTH, DIMENSION, seed=seed)
    values[:, 20:70, 40:90] = np.nan
    return products.write_raster(folder / f"r{seed}.tif", values, block=16)


def _tiles(folder: Path, *, zones: tuple[int, ...]) -> Path:
    """Write tiles of 80 × 72 pixels, four per zone."""
    a, b, c, d, e, f = products.UTM_TRANSFORM
    for zone in zones:
        for number in range(4):
            row, col = divmod(number, 2)
            values = products.unit_vectors(HEIGHT // 2, WIDTH // 2, 8, seed=zone * 4 + number)
            products.write_raster(
                folder / "tiles" / f"z{zone}_{number}.tif",
                values,
                crs=f"EPSG:326{zone}",
                transform=(a, b, c + a * col * WIDTH / 2, d, e, f + e * row * HEIGHT / 2),
                block=16,
            )
    return folder / "tiles"


def _table(folder: Path, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    return tables.plain(folder / "rows.parquet", rng, rows=20_000).path


def _former(folder: Path, out: Path) -> None:
    geoembz.convert(_raster(folder, 2), out, recipe="pca3-int4", chunk=8, shard=32)


def _dated(folder: Path, out: Path) -> None:
    geoembz.convert(_raster(folder, 2), out, time="2020", **_OPTIONS)  # type: ignore[arg-type]


def _plain(folder: Path, out: Path) -> None:
    geoembz.convert(_raster(folder, 2), out, **_OPTIONS)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Kind:
    """A command to disturb.

    Parameters
    ----------
    source
        Writes its input.
    words
        What it is told besides ``convert SOURCE STORE``.
    before
        Makes what is at the destination; None where nothing is.
    kills, kills_in_ci
        How many trials of kill -9, and how many of them in .ci/run.
    interruptions, to_server
        How many trials of Ctrl-C, with the store on this machine and on a server.
    verb
        The command.
    """

    source: Callable[[Path], Path]
    words: tuple[str, ...] = _WORDS
    before: Callable[[Path, Path], None] | None = None
    kills: int = 10
    kills_in_ci: int = 0
    interruptions: int = 0
    to_server: int = 0
    verb: str = "convert"

    @property
    def is_repeatable(self) -> bool:
        """Whether the command may be given again once all is done."""
        return "--overwrite" in self.words or "--replace" in self.words

    def command(self, source: Path, store: str | Path) -> list[str]:
        """Return the words of the command line."""
        places = [str(source), str(store)]
        if self.verb == "append":
            places.reverse()
        elif self.verb == "overviews":
            places = [str(store)]
        return [self.verb, *places, *self.words, "--workers", "2", "--quiet"]

    def prepare(self, folder: Path) -> tuple[Path, Path]:
        """Return the input, and a folder that holds what is at the destination ``out``."""
        before = folder / "before"
        before.mkdir()
        if self.before is not None:
            self.before(folder, before / "out")
        return self.source(folder), before


_PROCESSES = ("--scheduler", "local")

KINDS = {
    "int8": Kind(_raster, kills=14, kills_in_ci=1, interruptions=4, to_server=6),
    "int4": Kind(_raster, ("--recipe", "pca5-int4", *_WORDS[2:])),
    "mosaic": Kind(lambda folder: _tiles(folder, zones=(32,))),
    "several CRSs": Kind(
        lambda folder: _tiles(folder, zones=(31, 32, 33)),
        kills_in_ci=1,
        interruptions=3,
        to_server=3,
    ),
    "table": Kind(
        _table,
        ("--chunk", "256", "--shard", "512"),
        kills=12,
        kills_in_ci=1,
        interruptions=3,
        to_server=4,
    ),
    "append": Kind(_raster, ("--time", "2021"), _dated, kills=12, interruptions=3, verb="append"),
    "append --replace": Kind(
        _raster,
        ("--time", "2020", "--replace"),
        _dated,
        kills=12,
        kills_in_ci=1,
        interruptions=2,
        verb="append",
    ),
    "--overwrite": Kind(
        _raster, (*_WORDS, "--overwrite"), _former, kills=12, kills_in_ci=1, interruptions=3
    ),
    "convert --overviews": Kind(_raster, (*_WORDS, "--overviews"), kills=6),
    "overviews": Kind(
        _raster,
        ("--levels", "3"),
        _plain,
        kills=8,
        kills_in_ci=1,
        interruptions=2,
        verb="overviews",
    ),
    "int8, processes": Kind(_raster, (*_WORDS, *_PROCESSES), kills=6, interruptions=3),
    "several CRSs, processes": Kind(
        lambda folder: _tiles(folder, zones=(32, 33)),
        (*_WORDS, *_PROCESSES),
        kills=4,
    ),
    "--overwrite, processes": Kind(
        _raster, (*_WORDS, "--overwrite", *_PROCESSES), _former, kills=4
    ),
}
assert sum(kind.kills for kind in KINDS.values()) >= 100
