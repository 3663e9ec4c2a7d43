"""Maps of 100 million pixels take less memory than any part of them that grows would."""

from pathlib import Path

import pytest

from benchmarks import maps

MOST_BYTES = 1.5e9


@pytest.mark.slow
@pytest.mark.parametrize("name", ["change", pytest.param("similar", marks=pytest.mark.long)])
def test_a_large_map_takes_bounded_memory(name: str, tmp_path: Path) -> None:
    """As a GeoTIFF, with its overviews; its pixels alone would be 0.4 GB a band, codes 0.8 GB."""
    small = maps.convert(maps.write_raster(tmp_path / "a.npy", 1024, dimension=8), "int8", 1024)
    one, two = (maps.multiply(small, 10, turn) for turn in range(2))
    assert maps.run_alone(name, one, two)["peak_bytes"] < MOST_BYTES
