"""Whether what is added to a store fits it: its vectors, its bands, its encoding."""

from dataclasses import replace
from functools import partial

from geoembz._convert.basis import check_coverage
from geoembz._convert.conversion import Fit
from geoembz._convert.sampling import PixelRoles, draw_sample, sample_mean
from geoembz._work.executors import run_tasks
from geoembz.encoding import Encoding
from geoembz.errors import EncodingError
from geoembz.sources import Source
from geoembz.sources.band_names import list_names, natural_order
from geoembz.sources.base import names_of, traits_of
from geoembz.sources.checks import check_vectors
from geoembz.sources.wrappers import reorder_bands, with_traits
from geoembz.store import StoreReader
from geoembz.store.conventions import UNKNOWN_MODEL
from geoembz.store.source import encodings_of


def match_vectors(url: str, reader: StoreReader, source: Source, *, recode: bool) -> Source:
    """Return a source with its bands in the order of a store's; refuse vectors of another kind.

    Parameters
    ----------
    url, reader
        The store.
    source
        What is to be added.
    recode
        Accept stores with another encoding.

    Raises
    ------
    EncodingError
        If the vectors have another length, model or encoding.
    SourceError
        If the names of its bands say that they are others.
    """
    _check_vectors(url, reader, source, recode=recode)
    stored, own = reader.attributes.band_names, names_of(source)
    if any(stored) or not any(own):
        return reorder_bands(source, stored, url)
    counted = tuple(sorted(filter(None, own), key=natural_order))
    if counted in {tuple(map(str, range(first, first + len(own)))) for first in (0, 1)}:
        return reorder_bands(source, counted, url)
    note = f"bands {list_names(own)} are taken as they stand: the store has no names of bands"
    return with_traits(source, replace(traits_of(source), notes=(note,)))


def _check_vectors(url: str, reader: StoreReader, source: Source, *, recode: bool) -> None:
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
    if encodings_of(source) - {encoding.hash} and not recode:
        raise EncodingError(
            f"{source.name}: a store with another encoding than {url}, {encoding.hash}; encoding "
            "decoded vectors again loses more: append the original, or pass --recode"
        )


_CENTRE_SAMPLES = 16_384
"""Pixels for the mean that the centred cosine takes off."""


def check_sample(
    source: Source,
    encoding: Encoding,
    seed: int,
    workers: int,
    nodata: float | str | None,
) -> Fit:
    """Check a store's encoding on a sample of what is added; return it with the sample's mean.

    Raises
    ------
    SourceError
        If the vectors cannot be right, or there is none.
    """
    roles = PixelRoles(seed, source.grid.shape)
    sample = draw_sample(source, roles, _CENTRE_SAMPLES, partial(run_tasks, workers=workers))
    check_vectors(source, sample, nodata)
    check_coverage(source.name, encoding, sample, strict=False)
    return encoding, sample_mean(encoding, sample)
