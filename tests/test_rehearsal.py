"""What the rehearsal of docs/scaling.md stands on: its tiles, its counts and its watch."""

import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks.rehearsal import count_requests
from benchmarks.rehearsal_tiles import BLOCK, Landscape, generate
from benchmarks.watching import watch
from geoembz.sources import ReadOptions
from geoembz.sources.assemble import open_sources
from geoembz.sources.base import traits_of


@pytest.fixture(scope="module")
def tiles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiles")
    assert generate(Landscape(2, BLOCK), folder, workers=1) == 8
    return folder


def test_tiles_are_as_the_product_has_them(tiles: Path) -> None:
    """Two zones, known as AlphaEarth's; unit vectors; a coast; no step from tile to tile."""
    sources = open_sources([tiles], ReadOptions())
    assert list(sources) == ["utm32n", "utm33n"]
    for source in sources.values():
        assert source.grid.shape == (2 * BLOCK, 2 * BLOCK)
        assert traits_of(source).product == "aef"
        data = source.read(source.grid.window).decode()
        valid = data.complete()
        assert 0.8 < valid.mean() < 1
        values = data.values[:, valid]
        np.testing.assert_allclose(np.linalg.norm(values, axis=0), 1, atol=0.02)
        steps = np.linalg.norm(np.diff(data.values, axis=2), axis=0)
        both = valid[:, 1:] & valid[:, :-1]
        border, parcels = slice(BLOCK - 1, BLOCK), slice(15, None, 16)
        at_border, at_parcels = (steps[:, cols][both[:, cols]].mean() for cols in (border, parcels))
        assert at_border < 1.1 * at_parcels


def test_requests_are_counted_by_kind(tmp_path: Path) -> None:
    """What the gateway logged after a place in its log, and no other line."""
    line = '1 beast: 0x7f: 127.0.0.1 - test [29/Nov/2026] "{}" {} {} - agent - latency=0.1s\n'
    log = tmp_path / "client.log"
    log.write_text(line.format("GET /b/before HTTP/1.1", 200, 7))
    before = log.stat().st_size
    with log.open("a") as file:
        file.write("0 some other line\n")
        for request, status, size in (
            ("GET /b/x HTTP/1.1", 206, 10),
            ("GET /b?list-type=2&prefix=x HTTP/1.1", 200, 5),
            ("PUT /b/x HTTP/1.1", 503, 0),
        ):
            file.write(line.format(request, status, size))
    counts = count_requests(log, before)
    assert counts == {"GET": 1, "LIST": 1, "PUT": 1, "sent_bytes": 15, "failed": 1}


def test_watch_sees_children_and_kills_them(tmp_path: Path) -> None:
    """Memory and time of a grandchild count; a killed command ends with its children."""
    child = "x = bytearray(2**26)\nimport time\nt = time.process_time\nwhile t() < 0.6: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    took = watch([sys.executable, "-c", code], tmp_path / "log")
    assert took.exit_code == 0
    assert took.peak_rss_bytes > 2**26
    assert took.cpu_s > 0.6
    killed = watch([sys.executable, "-c", "import time; time.sleep(60)"], tmp_path / "log", 0.1)
    assert killed.exit_code == -9
    assert killed.wall_s < 30
