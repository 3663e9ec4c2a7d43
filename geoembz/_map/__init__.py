"""Maps of whole stores: what is alike, what has changed, made of codes as they are stored."""

from geoembz._map.change import map_change
from geoembz._map.similar import map_similar
from geoembz._map.summary import MapSummary

__all__ = ["MapSummary", "map_change", "map_similar"]
