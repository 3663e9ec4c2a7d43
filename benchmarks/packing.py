"""Packing and unpacking codes against copying the unpacked codes, both into ready memory."""

from collections.abc import Iterator

import numpy as np

from benchmarks.report import Row, Target, parse_options, publish
from benchmarks.timing import fastest
from geoembz.encoding._packing import Bits, pack, packed_length, unpack

COMPONENTS = (64, 256, 1024)
WIDTHS: tuple[Bits, ...] = (1, 2, 4)
TARGET = Target(">=", 0.15)


def main() -> None:
    """Measure all widths, numbers of components and pixels."""
    options = parse_options(__doc__, sizes=(316, 1000), smoke=(16,))
    publish(
        "packing",
        [
            row
            for size in options.size
            for count in COMPONENTS
            for bits in WIDTHS
            for row in measure(count, size**2, bits, options.repeat)
        ],
        options,
    )


def measure(count: int, n_pixels: int, bits: Bits, repeat: int) -> Iterator[Row]:
    """Return the speed of packing and unpacking, as a share of the copy's."""
    codes = np.random.default_rng(0).integers(0, 2**bits, (count, n_pixels), dtype=np.uint8)
    copy, packed = np.empty_like(codes), np.empty((packed_length(count, bits), n_pixels), np.uint8)
    copying = fastest(lambda: np.copyto(copy, codes), repeat)
    packing = fastest(lambda: pack(codes, bits, out=packed), repeat)
    unpacking = fastest(lambda: unpack(packed, bits, count, out=copy), repeat)
    label = f"{bits} bit {count} x {n_pixels}"
    yield Row(label, "pack, speed of a copy", copying / packing, "x", TARGET)
    yield Row(label, "unpack, speed of a copy", copying / unpacking, "x", TARGET)


if __name__ == "__main__":
    main()
