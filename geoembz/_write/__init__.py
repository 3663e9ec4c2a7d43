"""Write stores window by window, from those who make embeddings."""

from geoembz._write.create import create
from geoembz._write.extend import extend
from geoembz._write.writer import Writer

__all__ = ["Writer", "create", "extend"]
