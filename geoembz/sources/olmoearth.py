"""OlmoEarth: float32 GeoTIFFs, or int8 under the signed power law; not of unit length."""

from geoembz.sources.base import Source, SourceTraits
from geoembz.sources.power_law import RECIPE, PowerLawSource
from geoembz.sources.views import labelled

PRODUCT = "olmoearth"
MODEL = "https://huggingface.co/allenai/OlmoEarth-v1-Base"
DIMENSION = 768


def is_named(name: str) -> bool:
    """Whether a path says that the file is OlmoEarth's.

    Examples
    --------
    >>> is_named("s3://bucket/OlmoEarth_v1/tile_3.tif")
    True
    """
    return "olmoearth" in name.lower().replace("-", "").replace("_", "")


def decode_codes(source: Source) -> Source:
    """Return the vectors of OlmoEarth's int8 codes; the default recipe keeps the codes."""
    return PowerLawSource(source, SourceTraits(PRODUCT, model=_model(source), recipe=RECIPE))


def label_floats(source: Source) -> Source:
    """Return a source of OlmoEarth vectors that come as floats, labelled as such."""
    return labelled(source, SourceTraits(PRODUCT, model=_model(source)))


def _model(source: Source) -> str | None:
    """Return the model; its other sizes make vectors of other lengths."""
    return MODEL if source.dimension == DIMENSION else None
