"""From inputs to one source per grid: parts joined, tiles side by side, zones apart."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from geoembz._geo import datum_label, same_crs, utm_zone
from geoembz._geo.grid import Grid
from geoembz._objects.identity import display_name, public_input
from geoembz._util.threads import for_each
from geoembz.errors import SourceError
from geoembz.sources import aef
from geoembz.sources.bands import MOST_BANDS, BandsSource, form_one_embedding, outsiders
from geoembz.sources.base import Source, traits_of
from geoembz.sources.detect import open_input, recognise
from geoembz.sources.georeference import best_named, same_pixels
from geoembz.sources.inputs import OTHER_SUFFIXES, expand, is_zarr
from geoembz.sources.mosaic import MosaicSource, of_one_kind
from geoembz.sources.options import AEF, BANDS, ReadOptions
from geoembz.sources.raster import RasterSource
from geoembz.sources.wrappers import with_traits

type Opener = Callable[[str, ReadOptions], list[Source]]

_OPENING_THREADS = 8
"""To open a file is to wait for a disk or a server, whatever the number of cores."""

_MOST_NAMED = 20


def open_sources(
    inputs: Sequence[str | Path], options: ReadOptions, opener: Opener = open_input
) -> dict[str, Source]:
    """Open inputs as one source per coordinate reference system.

    Parameters
    ----------
    inputs
        Paths, URLs, globs, directories, lists, STAC items.
    options
        How.
    opener
        Opens one input that is no part of an embedding.

    Returns
    -------
    sources
        By name of the grid, such as ``utm32n``, in order of the names.

    Raises
    ------
    SourceError
        If inputs cannot be read (all are named), or do not belong together.
    """
    paths = expand(inputs)
    joined = _join_parts(paths, options)
    if joined is not None:
        return {grid_name(joined): joined}
    opened, bad = _open_all(paths, options, opener)
    if bad and not (options.skip_bad and opened):
        raise _bad_inputs(bad, len(paths))
    skipped = tuple((public_input(path), _reason(path, error)) for path, error in bad.items())
    groups = group_by_crs(of_one_kind(opened))
    return {name: finish(_one(groups[name], options), skipped) for name in sorted(groups)}


def _join_parts(paths: Sequence[str], options: ReadOptions) -> Source | None:
    """Return the embedding that few-band files form together; None where they do not."""
    forced = options.product == BANDS
    if not forced and (len(paths) < 2 or options.product not in {None, AEF}):
        return None
    try:
        parts = _parts(paths, options, any_bands=forced)
    except SourceError:
        if forced:
            raise
        return None  # opening one by one reports every input that cannot be read
    if not parts or not (forced or form_one_embedding(parts)):
        return None
    strangers = {} if forced else outsiders(parts)
    if strangers and not options.skip_bad:
        raise SourceError(_strangers_message(strangers))
    kept = [part for part in parts if part not in strangers]
    product = None if forced else options.product
    source = recognise(BandsSource(kept), paths[0], replace(options, product=product))
    skipped = tuple((part.info[0].uri, why) for part, why in strangers.items())
    return finish(source, skipped)


def _parts(
    paths: Sequence[str], options: ReadOptions, *, any_bands: bool
) -> list[RasterSource] | None:
    """Open files as parts of one embedding; None as soon as one has many bands or another grid."""
    parts: list[RasterSource] = []
    for path in paths:
        if not any_bands and (is_zarr(path) or path.lower().endswith(OTHER_SUFFIXES)):
            return None
        part = RasterSource(path, options)
        if not any_bands and (
            part.dimension > MOST_BANDS or not same_pixels(part.grid, (parts or [part])[0].grid)
        ):
            return None
        parts.append(part)
    return parts


def _open_all(
    paths: Sequence[str], options: ReadOptions, opener: Opener
) -> tuple[list[Source], dict[str, SourceError]]:
    """Open inputs, several at once; return those that open, in order, and the errors of others."""

    def attempt(path: str) -> list[Source] | SourceError:
        try:
            return opener(path, options)
        except SourceError as error:
            return error

    results = for_each(paths, attempt, _OPENING_THREADS)
    opened = [source for result in results if isinstance(result, list) for source in result]
    bad = {
        path: result
        for path, result in zip(paths, results, strict=True)
        if isinstance(result, SourceError)
    }
    return opened, bad


def _one(sources: Sequence[Source], options: ReadOptions) -> Source:
    if len(sources) == 1:
        return sources[0]
    return MosaicSource(sources, overlap=options.overlap, resample=options.resample is not None)


def finish(source: Source, skipped: tuple[tuple[str, str], ...] = ()) -> Source:
    """Add what was skipped, and the recipe that keeps AlphaEarth's floats exactly."""
    traits = traits_of(source)
    is_float_aef = traits.product == AEF and source.dtype.kind == "f"
    recipe = aef.lossless_recipe(source) if is_float_aef else traits.recipe
    if not skipped and recipe == traits.recipe:
        return source
    return with_traits(source, replace(traits, recipe=recipe, skipped=skipped))


def _reason(path: str, error: SourceError) -> str:
    """Return why an input was skipped, without folders of this machine: stores are published."""
    text = str(error).removeprefix(f"{display_name(path)}: ")
    folder = display_name(path).rpartition("/")[0]
    return text.replace(f"{folder}/", "") if folder else text


def _strangers_message(strangers: Mapping[RasterSource, str]) -> str:
    (part, why), *others = strangers.items()
    more = f" (and {len(others)} more files)" if others else ""
    return (
        f"{part.name}: {why}{more}; expected bands of one embedding: a mask, labels or another "
        "raster are no components; name the files of the bands only, or pass --skip-bad to leave "
        "others out, or --product bands to take every file as a component"
    )


def _bad_inputs(bad: Mapping[str, SourceError], total: int) -> SourceError:
    if total == 1:
        return next(iter(bad.values()))
    shown = [str(error) for error in list(bad.values())[:_MOST_NAMED]]
    more = [f"and {len(bad) - len(shown)} more"] if len(bad) > len(shown) else []
    advice = "repair or remove them, or pass --skip-bad to go on without"
    return SourceError(
        f"{len(bad)} of {total} inputs cannot be used; {advice}:", details=[*shown, *more]
    )


def group_by_crs(sources: Sequence[Source]) -> dict[str, list[Source]]:
    """Return sources by the name of their CRS, each name for one CRS only.

    Systems are compared first and named afterwards. Where two would have one name (a UTM zone of
    two datums), WGS 84 keeps it, and others add their code or their datum: ``utm16n`` and
    ``utm16n-epsg26716``.
    """
    groups: list[list[Source]] = []
    for source in sources:
        crs = source.grid.crs_wkt
        found = next((group for group in groups if same_crs(group[0].grid.crs_wkt, crs)), None)
        if found is None:
            groups.append([source])
        else:
            found.append(source)
    named = [best_named([source.grid for source in group]) for group in groups]
    return dict(zip(_names(named), groups, strict=True))


def grid_name(source: Source) -> str:
    """Return a name for a source's CRS: ``utm32n``, ``epsg4326`` or ``grid``."""
    return _plain_name(source.grid)


def _plain_name(grid: Grid) -> str:
    zone = utm_zone(grid.crs_wkt)
    if zone is not None:
        return f"utm{zone}"
    return grid.crs_code.replace(":", "").lower() if grid.crs_code else "grid"


def _names(grids: Sequence[Grid]) -> list[str]:
    """Return a name for each of several systems that differ."""
    plain = [_plain_name(grid) for grid in grids]
    shared = Counter(plain)
    names = [
        name if shared[name] == 1 else _long_name(name, grid)
        for name, grid in zip(plain, grids, strict=True)
    ]
    order = sorted(range(len(grids)), key=lambda index: (names[index], grids[index].crs_wkt))
    seen: Counter[str] = Counter()
    for index in order:
        name = names[index]
        seen[name] += 1
        if seen[name] > 1:
            names[index] = f"{name}-{seen[name]}"
    return names


def _long_name(name: str, grid: Grid) -> str:
    datum = datum_label(grid.crs_wkt)
    if datum is None and name != "grid":
        return name
    return f"{name}-{(grid.crs_code or datum or 'wgs84').replace(':', '').lower()}"
