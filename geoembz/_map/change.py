"""Map what changed between two dates, or two stores of one encoding, and how unusual that is."""

from dataclasses import replace
from pathlib import Path
from typing import Unpack

from geoembz._export.region import Region
from geoembz._map.difference import DifferenceKernel, DistanceKernel
from geoembz._map.options import ChangeKeywords, gather_keywords
from geoembz._map.run import write_map
from geoembz._map.summary import MapSummary
from geoembz._search.pairs import PAIR_METRICS
from geoembz._search.queries import choose_metric
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Metric
from geoembz.errors import InvalidConfigError
from geoembz.sources.georeference import describe_grid, same_pixels
from geoembz.store import StoreReader
from geoembz.store.conventions import UNKNOWN_MODEL


def map_change(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    other: str | Path | StoreReader | None = None,
    start: str | None = None,
    end: str | None = None,
    metric: str | None = None,
    difference: int | None = None,
    seed: int = 0,
    **flat: Unpack[ChangeKeywords],
) -> MapSummary:
    """Map what changed between two dates of a store, or between two stores of one encoding.

    The map has two bands: the distance of the two vectors, and its modified z-score among the
    distances of a sample, ``(d - median) / (1.4826 * MAD)``: how unusual it is where most pixels
    are stable. Or, with `difference`, the difference of the first components, one byte each.

    Codes are compared as they are stored; the rest is as in `map_similar`.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.tif`` for a cloud-optimized GeoTIFF, ``.zarr`` for a Zarr store.
    other
        A second store, of the same encoding and grid: it holds the later vectors.
    start, end
        Years or dates to compare: of one store both; of a store with one date, or none, it may be
        left out.
    metric
        ``cosine`` (one less the cosine) or ``euclidean``; ``cosine-w0.5`` and the like weigh
        components first. None for what the store recommends, where that is one of these, else
        ``cosine``.
    difference
        Instead: this many components of the later vector less the earlier one's, int8; times the
        scale that is stored they are components. Nodata is -128.
    seed
        Of the sample.
    **flat
        What all maps take: `bbox`, `bbox_crs`, `level`, `grid`, `png`, `workers`, `scheduler`,
        `overwrite`, `break_lock` and `progress`, as in `map_similar`.

    Returns
    -------
    summary
        What was written, and the spread or the scale.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or the stores are of two encodings or grids.
    NoValidPixelsError
        If no pixel holds an embedding at both dates.
    StoreError
        If a store cannot be read, or the map cannot be written.

    References
    ----------
    B. Iglewicz and D. Hoaglin, *How to Detect and Handle Outliers* (1993).

    Examples
    --------
    >>> files = geoembz.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "years.zarr", pca=16, time="2023")
    >>> _ = geoembz.append(tmp_path / "years.zarr", files.embedding, time="2024")
    >>> summary = map_change(tmp_path / "years.zarr", tmp_path / "c.tif", start="2023", end="2024")
    >>> summary.bands.names, summary.figures.bands[0].most
    (('cosine distance', 'z-score'), 0.0)
    """
    place, options = gather_keywords("map_change", flat, hidden=("time",))
    options.check(out)
    if other is None:
        _check_dates(start, end)
    ends = ((store, start, "--from"), (store if other is None else other, end, "--to"))
    one, two = (
        replace(place, time=date).open(options.place(where), option) for where, date, option in ends
    )
    _refuse_strangers(one, two)
    with single_threaded_blas():
        kernel: DistanceKernel | DifferenceKernel = (
            DistanceKernel.of((one, two), _choose_metric(metric, one.reader), seed)
            if difference is None
            else DifferenceKernel.of((one, two), difference, seed)
        )
    return write_map((one, two), kernel, out, options, kernel.to_json())


def _choose_metric(metric: str | None, reader: StoreReader) -> Metric:
    """Return the metric that is named, else the store's own where it is a distance of pairs."""
    chosen = choose_metric(metric, reader)
    return chosen if metric or chosen.name in PAIR_METRICS else Metric()


def _check_dates(start: str | None, end: str | None) -> None:
    if start is None or end is None:
        raise InvalidConfigError(
            f"map change: from {start!r} to {end!r} in one store; expected two dates (--from, "
            "--to), or two stores"
        )
    if start == end:
        raise InvalidConfigError(
            f"map change: from {start!r} to the same date; expected two dates of the store"
        )


def _refuse_strangers(one: Region, two: Region) -> None:
    """Refuse vectors that cannot be compared: of other models, encodings or places."""
    first, second = one.reader, two.reader
    models = {reader.attributes.model for reader in (first, second)} - {UNKNOWN_MODEL}
    if len(models) > 1:
        raise InvalidConfigError(
            f"{second.url}: model {second.attributes.model}, but {first.url} holds "
            f"{first.attributes.model}; vectors of two models cannot be compared"
        )
    if first.encoding.hash != second.encoding.hash:
        raise InvalidConfigError(
            f"{second.url}: encoded by {second.encoding.recipe} ({second.encoding.hash}), but "
            f"{first.url} by {first.encoding.recipe} ({first.encoding.hash}); expected two stores "
            "of one encoding, whose codes mean the same; convert one with --basis of the other"
        )
    here, there = first.attributes.grid, second.attributes.grid
    if not same_pixels(here, there):
        raise InvalidConfigError(
            f"{second.url}: {describe_grid(there)}; expected the grid of {first.url}: "
            f"{describe_grid(here)}"
        )
