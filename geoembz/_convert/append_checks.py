"""Make a source fit a store that it is appended to, or refuse it."""

from dataclasses import replace

from geoembz._convert.append_options import AppendOptions
from geoembz.errors import EncodingError, InvalidConfigError, StoreError
from geoembz.sources import Source, names_of, traits_of
from geoembz.sources.band_names import list_names, natural_order
from geoembz.sources.georeference import describe_grid, same_pixels
from geoembz.sources.wrappers import reorder_bands, with_traits
from geoembz.store import StoreReader, StoreSource
from geoembz.store.conventions import UNKNOWN_MODEL


def fitted(
    url: str,
    reader: StoreReader,
    source: Source,
    options: AppendOptions,
    *,
    is_begun: bool = False,
) -> Source:
    """Return a source with its bands in the order of a store's; refuse one that does not fit.

    Parameters
    ----------
    url, reader
        The store.
    source
        What is to be appended.
    options
        How.
    is_begun
        Whether the same command was interrupted: the date may be there already.

    Raises
    ------
    StoreError
        If the store has no time axis.
    InvalidConfigError
        If the date is there, or the grid is another one.
    EncodingError
        If the vectors have another length, model or encoding.
    SourceError
        If the names of its bands say that they are others.
    """
    _check_times(url, reader, options, is_begun=is_begun)
    _check_grid(url, reader, source)
    _check_vectors(url, reader, source, options)
    stored, own = reader.attributes.band_names, names_of(source)
    if any(stored) or not any(own):
        return reorder_bands(source, stored, url)
    counted = tuple(sorted(filter(None, own), key=natural_order))
    if counted in {tuple(map(str, range(first, first + len(own)))) for first in (0, 1)}:
        return reorder_bands(source, counted, url)
    note = f"bands {list_names(own)} are taken as they stand: the store has no names of bands"
    return with_traits(source, replace(traits_of(source), notes=(note,)))


def _check_times(url: str, reader: StoreReader, options: AppendOptions, *, is_begun: bool) -> None:
    if not reader.dates:
        raise StoreError(
            f"{url}: no time axis; give it one with `geoembz convert {url} NEW.zarr --basis {url} "
            "--time YEAR`, and append to NEW.zarr"
        )
    if options.date in reader.dates and not options.replace and not is_begun:
        raise InvalidConfigError(
            f"{url}: holds {options.date} already ({', '.join(reader.dates)}); choose another "
            "time, or pass --replace"
        )


def _check_grid(url: str, reader: StoreReader, source: Source) -> None:
    stored, new = reader.attributes.grid, source.grid
    if not same_pixels(stored, new):
        raise InvalidConfigError(
            f"{source.name}: {describe_grid(new)}; but {url}: {describe_grid(stored)}; expected "
            "the same grid at every date"
        )


def _check_vectors(url: str, reader: StoreReader, source: Source, options: AppendOptions) -> None:
    encoding, model = reader.encoding, reader.attributes.model
    if source.dimension != encoding.dimension:
        raise EncodingError(
            f"{source.name}: vectors of {source.dimension} components, but {url} encodes "
            f"{encoding.dimension}; expected the same model's embeddings"
        )
    theirs = traits_of(source).model
    if theirs is not None and model not in {UNKNOWN_MODEL, theirs}:
        raise EncodingError(
            f"{source.name}: model {theirs}, but {url} holds {model}; vectors of two models cannot "
            "be compared: convert them to a store of their own"
        )
    is_other = isinstance(source, StoreSource) and source.encoding_hash != encoding.hash
    if is_other and not options.recode:
        raise EncodingError(
            f"{source.name}: a store with another encoding than {url}, {encoding.hash}; encoding "
            "decoded vectors again loses more: append the original, or pass --recode"
        )
