"""Maps of whole stores: what is alike, which class, what has changed, made of codes as stored."""

from geoembz._map.change import map_change
from geoembz._map.classify import map_classify, map_regress
from geoembz._map.cluster import ClusterMap, map_cluster
from geoembz._map.model_map import ModelMap
from geoembz._map.options import TrainingOptions
from geoembz._map.similar import map_similar
from geoembz._map.summary import MapSummary

__all__ = [
    "ClusterMap",
    "MapSummary",
    "ModelMap",
    "TrainingOptions",
    "map_change",
    "map_classify",
    "map_cluster",
    "map_regress",
    "map_similar",
]
