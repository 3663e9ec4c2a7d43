"""Sizes of known embeddings, and the integer arithmetic from codes to bytes.

Knows only numbers: which model makes how many dimensions of which type, and what they weigh.
"""

from dataclasses import dataclass
from types import MappingProxyType

from geoembz.errors import InvalidConfigError

SEED_URL = "https://geospatialml.com/posts/compressing-earth-embeddings/"
_OLMOEARTH_URL = "https://arxiv.org/abs/2511.13655"

BITS_PER_VALUE = MappingProxyType(
    {
        "float64": 64,
        "float32": 32,
        "float16": 16,
        "bfloat16": 16,
        "int16": 16,
        "uint16": 16,
        "int8": 8,
        "uint8": 8,
    }
)


@dataclass(frozen=True, slots=True)
class Model:
    """A published embedding as it is distributed.

    Parameters
    ----------
    name
        The name `geoembz cost --model` knows it by.
    title
        The name to print.
    dimension
        Values per embedding.
    dtype
        Type of one value, a key of `BITS_PER_VALUE`.
    source
        Where the figures are from.
    """

    name: str
    title: str
    dimension: int
    dtype: str
    source: str

    @property
    def bytes_per_embedding(self) -> int:
        """Size of one embedding, in bytes."""
        return bytes_per_embedding(self.dimension, bits_per_value(self.dtype))


MODELS = MappingProxyType(
    {
        model.name: model
        for model in (
            Model("aef", "AlphaEarth (AEF)", 64, "int8", SEED_URL),
            Model("tessera", "Tessera product", 128, "int8", SEED_URL),
            Model("tessera-encoder", "Tessera encoder", 512, "float32", SEED_URL),
            Model("olmoearth-nano", "OlmoEarth-nano", 128, "float32", SEED_URL),
            Model("olmoearth-tiny", "OlmoEarth-tiny", 192, "float32", SEED_URL),
            Model("olmoearth-base", "OlmoEarth-base", 768, "float32", _OLMOEARTH_URL),
            Model("olmoearth-large", "OlmoEarth-large", 1024, "float32", SEED_URL),
            Model("dinov3", "DINOv3 ViT-L", 1024, "float32", SEED_URL),
            Model("resnet50", "ResNet50", 2048, "float32", SEED_URL),
            Model("clay", "Clay v1.5", 1024, "float32", "https://clay-foundation.github.io/model/"),
            Model("mosaiks", "MOSAIKS", 4000, "float32", "https://www.mosaiks.org/"),
        )
    }
)


def get_model(name: str) -> Model:
    """Return the known model of that name.

    Raises
    ------
    InvalidConfigError
        If no model has that name; the message lists those that are known.

    Examples
    --------
    >>> get_model("aef").bytes_per_embedding
    64
    """
    try:
        return MODELS[name.lower()]
    except KeyError:
        raise InvalidConfigError(
            f"cost: unknown model {name!r}; expected one of {', '.join(MODELS)}, "
            "or give --dims and --dtype instead"
        ) from None


def bits_per_value(dtype: str) -> int:
    """Return the width of one value of a type, in bits.

    Raises
    ------
    InvalidConfigError
        If the type is not known.

    Examples
    --------
    >>> bits_per_value("float32")
    32
    """
    try:
        return BITS_PER_VALUE[dtype.lower()]
    except KeyError:
        raise InvalidConfigError(
            f"cost: unknown dtype {dtype!r}; expected one of {', '.join(BITS_PER_VALUE)}"
        ) from None


def bytes_per_embedding(n_codes: int, bits_per_code: int) -> int:
    """Return the size of one embedding, in bytes, padded to whole bytes as the store packs it.

    Parameters
    ----------
    n_codes
        Codes per embedding: components, or subquantizers for `pq`; at least 1.
    bits_per_code
        Width of one code, in bits; at least 1.

    Returns
    -------
    size_bytes
        ``ceil(n_codes * bits_per_code / 8)``, exactly.

    Raises
    ------
    InvalidConfigError
        If either number is not a positive integer.

    Examples
    --------
    >>> bytes_per_embedding(64, 8), bytes_per_embedding(1024, 1), bytes_per_embedding(5, 2)
    (64, 128, 2)
    """
    if n_codes < 1 or bits_per_code < 1:
        raise InvalidConfigError(
            f"cost: {n_codes} codes of {bits_per_code} bits; expected at least 1 of each"
        )
    return -(-n_codes * bits_per_code // 8)
