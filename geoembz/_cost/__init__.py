"""What embeddings cost to keep: exact sizes, dated prices, the traffic of reading them."""

from geoembz._cost.estimate import CostEstimate, Holding, TieredCost, Usage, estimate
from geoembz._cost.models import MODELS, Model, bits_per_value, bytes_per_embedding, get_model
from geoembz._cost.pixels import LAND_AREA_KM2, pixels_from_area
from geoembz._cost.prices import Provider, StorageClass, Tier, load_provider, tiered_usd
from geoembz._cost.reads import Layout, ObjectCount, ReadCost, default_layout, window_read
from geoembz._cost.regions import geodesic_area_km2, pixels_in_region
from geoembz._cost.report import format_bytes, format_usd, to_json, to_table, to_text

__all__ = [
    "LAND_AREA_KM2",
    "MODELS",
    "CostEstimate",
    "Holding",
    "Layout",
    "Model",
    "ObjectCount",
    "Provider",
    "ReadCost",
    "StorageClass",
    "Tier",
    "TieredCost",
    "Usage",
    "bits_per_value",
    "bytes_per_embedding",
    "default_layout",
    "estimate",
    "format_bytes",
    "format_usd",
    "geodesic_area_km2",
    "get_model",
    "load_provider",
    "pixels_from_area",
    "pixels_in_region",
    "tiered_usd",
    "to_json",
    "to_table",
    "to_text",
    "window_read",
]
