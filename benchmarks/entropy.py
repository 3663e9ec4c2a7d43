"""Entropy coders for codes of real rasters: ratio, and speed of encoding and decoding.

Codes of the Galileo scene (128-d float32, three recipes) and of the two AlphaEarth rasters (int8 as
published) are cut into inner chunks of 0.5 to 1 MB as a store has them, and every chunk passes
through each coder alone, in one thread. ``delta`` subtracts the left neighbour (modulo 256) first,
``delta upwards`` the upper one, and ``gradient`` left and upper one, less the upper left;
``component last`` turns the chunk to (y, x, component). pcodec, which is for wider numbers, runs
where it is installed; it has no 8-bit type, so codes go in as int16. Without the data folder,
synthetic rasters stand in, so that a smoke run needs none.

    python -m benchmarks.entropy [--data ../shared/data]
"""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numcodecs import Blosc, Zstd
from numpy.typing import NDArray

from benchmarks.report import Row, parse_options, publish
from benchmarks.timing import fastest
from geoembz.encoding import Encoding

DATA = Path(os.environ.get("GEOEMBZ_SHARED_DATA", "../shared/data"))
GALILEO = "galileo_s2/galileo_nano_s2_patch1_128d_float32.tif"
RECIPES = ("int8", "pca64-int8", "pca64-int4", "rot-binary")
ALPHAEARTH = {
    "aef wisconsin, native": "aef_wisconsin/aef_2024_wisconsin_native_utm16n_int8.tif",
    "aef wisconsin, 16 bands": "aef_wisconsin/aef_2024_wisconsin_10km_16band_epsg4326_int8.tif",
}
CHUNK_SIDES = (64, 128)
BIGGEST = 1024  # px: larger rasters are cut

type Codes = NDArray[np.generic]


@dataclass(frozen=True)
class Coder:
    """Bytes to fewer bytes and back."""

    name: str
    encode: Callable[[NDArray[np.uint8]], Any]
    decode: Callable[[Any, tuple[int, ...]], NDArray[np.uint8]]


def main() -> None:
    """Measure all coders on all rasters and chunk shapes."""
    options = parse_options(__doc__, sizes=CHUNK_SIDES, smoke=(16,))
    rasters = synthetic() if options.smoke or not DATA.is_dir() else real()
    rows: list[Row] = []
    for name, codes in rasters:
        for side in options.size:
            for coder in coders():
                rows += measure(f"{name}, {side} px", coder, chunks(codes, side), options.repeat)
    publish("entropy", rows, options)


def coders() -> Iterator[Coder]:
    """Yield the coders; the first one is the store's."""
    for level in (1, 3, 9, 19):
        yield of_codec(f"zstd {level}" + (" (default)" if level == 1 else ""), Zstd(level))
    for shuffle, name in ((Blosc.NOSHUFFLE, "plain"), (Blosc.BITSHUFFLE, "bitshuffle")):
        for inner, level in (("zstd", 3), ("lz4", 5)):
            codec = Blosc(inner, level, shuffle, typesize=1)
            yield of_codec(f"blosc {inner} {level} {name}", codec)
    zstd = Zstd(1)
    yield of_differences("delta, zstd 1", zstd, -1)
    yield of_differences("delta, zstd 19", Zstd(19), -1)
    yield of_differences("delta upwards, zstd 19", Zstd(19), -2)
    yield of_differences("gradient, zstd 19", Zstd(19), -1, -2)
    yield Coder(
        "component last, zstd 1",
        lambda chunk: zstd.encode(np.ascontiguousarray(np.moveaxis(chunk, 0, -1))),
        lambda stored, shape: np.ascontiguousarray(
            np.moveaxis(of_bytes(zstd.decode(stored), (*shape[1:], shape[0])), -1, 0)
        ),
    )
    if find_spec("pcodec"):
        yield pcodec_coder()


def of_codec(name: str, codec: Any) -> Coder:
    """Wrap a codec of numcodecs."""
    return Coder(name, codec.encode, lambda stored, shape: of_bytes(codec.decode(stored), shape))


def of_differences(name: str, codec: Any, *axes: int) -> Coder:
    """Subtract the number before along one axis after the other, then compress."""

    def encode(chunk: NDArray[np.uint8]) -> Any:
        for axis in axes:
            chunk = np.diff(chunk, axis=axis, prepend=np.uint8(0))
        return codec.encode(np.ascontiguousarray(chunk))

    def decode(stored: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        chunk = of_bytes(codec.decode(stored), shape)
        for axis in axes:
            chunk = np.cumsum(chunk, axis, dtype=np.uint8)
        return chunk

    return Coder(name, encode, decode)


def of_bytes(content: Any, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return decoded bytes as an array."""
    return np.frombuffer(content, np.uint8).reshape(shape)


def pcodec_coder() -> Coder:
    """Return pcodec at its default level."""
    from pcodec import ChunkConfig, standalone

    return Coder(
        "pcodec, as int16",
        lambda chunk: standalone.simple_compress(
            chunk.view(np.int8).astype(np.int16).reshape(-1), ChunkConfig()
        ),
        lambda stored, shape: (
            standalone.simple_decompress(stored).astype(np.int8).view(np.uint8).reshape(shape)
        ),
    )


def real() -> Iterator[tuple[str, Codes]]:
    """Yield names and codes of the real rasters."""
    import rasterio

    with rasterio.open(DATA / GALILEO) as raster:
        values = raster.read()
    for recipe in RECIPES:
        yield f"galileo {recipe}", encoded(values, recipe)
    for name, path in ALPHAEARTH.items():
        with rasterio.open(DATA / path) as raster:
            height, width = min(raster.height, BIGGEST), min(raster.width, BIGGEST)
            yield name, raster.read(window=((0, height), (0, width)))


def synthetic() -> Iterator[tuple[str, Codes]]:
    """Yield one small smooth raster."""
    rng = np.random.default_rng(0)
    steps = rng.normal(size=(16, 48, 48)).astype(np.float32)
    yield "synthetic pca8-int8", encoded(steps.cumsum(axis=1).cumsum(axis=2), "pca8-int8")


def encoded(values: NDArray[np.float32], recipe: str) -> Codes:
    """Fit a recipe to a raster ``(D, h, w)`` and encode it."""
    columns = values.reshape(len(values), -1)
    valid = np.isfinite(columns).all(axis=0)
    encoding = Encoding.fit(columns[:, valid].T, recipe)
    codes, _ = encoding.encode_block(columns)
    return codes.reshape(-1, *values.shape[1:])


def chunks(codes: Codes, side: int) -> list[NDArray[np.uint8]]:
    """Cut codes into whole chunks of `side` pixels, component first."""
    height, width = codes.shape[1:]
    return [
        np.ascontiguousarray(codes[:, row : row + side, col : col + side]).view(np.uint8)
        for row in range(0, height - side + 1, side)
        for col in range(0, width - side + 1, side)
    ]


def measure(label: str, coder: Coder, parts: list[NDArray[np.uint8]], repeat: int) -> Iterator[Row]:
    """Return ratio and speeds in megabytes of codes per second, once decoding is exact."""
    if not parts:
        return
    stored = [coder.encode(part) for part in parts]
    for part, content in zip(parts, stored, strict=True):
        np.testing.assert_array_equal(coder.decode(content, part.shape), part)
    total = sum(part.nbytes for part in parts)
    encoding = fastest(lambda: [coder.encode(part) for part in parts], repeat)
    decoding = fastest(
        lambda: [coder.decode(c, p.shape) for c, p in zip(stored, parts, strict=True)], repeat
    )
    case = f"{label}, {coder.name}"
    yield Row(case, "ratio", total / sum(len(content) for content in stored), "x")
    yield Row(case, "encode", total / encoding / 1e6, "MB/s")
    yield Row(case, "decode", total / decoding / 1e6, "MB/s")


if __name__ == "__main__":
    main()
