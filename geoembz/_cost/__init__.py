"""What embeddings cost to keep: exact sizes, dated prices, the traffic of reading them."""

from geoembz._cost.estimate import CostEstimate
from geoembz._cost.options import CostOptions
from geoembz._cost.report import CostReport, format_usd
from geoembz._cost.request import cost

__all__ = ["CostEstimate", "CostOptions", "CostReport", "cost", "format_usd"]
