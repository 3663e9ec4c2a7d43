"""OlmoEarth: float32 GeoTIFFs, or int8 under the signed power law; not of unit length."""

from pathlib import PurePosixPath

from geoembz.sources.base import Source, SourceTraits
from geoembz.sources.checks import RECIPE, PowerLawSource, possible

PRODUCT = "olmoearth"
MODEL = "https://huggingface.co/allenai/OlmoEarth-v1-Base"
DIMENSION = 768


def is_named(path: str) -> bool:
    """Whether the name of a file says that it is OlmoEarth's.

    Folders, buckets and queries say nothing: projects that compare models name those after them.

    Examples
    --------
    >>> is_named("s3://bucket/OlmoEarth_v1_tile_3.tif"), is_named("olmoearth_vs_clay/clay.tif")
    (True, False)
    """
    name = PurePosixPath(path.partition("?")[0].replace("\\", "/")).name
    return "olmoearth" in name.lower().replace("-", "").replace("_", "")


def decode_codes(source: Source) -> Source:
    """Return the vectors of OlmoEarth's int8 codes; the default recipe keeps the codes."""
    return PowerLawSource(source, SourceTraits(PRODUCT, model=_model(source), recipe=RECIPE))


def label_floats(source: Source) -> Source:
    """Return a source of OlmoEarth vectors that come as floats, labelled as such."""
    return possible(source, SourceTraits(PRODUCT, model=_model(source)))


def _model(source: Source) -> str | None:
    """Return the model; its other sizes make vectors of other lengths."""
    return MODEL if source.dimension == DIMENSION else None
