"""Encodings as codecs: for numcodecs (`geoembz.codecs.numcodecs`) and Zarr v3 (`.zarr`)."""

from geoembz.codecs._stages import PREFIX, Stage, encoding_stages

__all__ = ["PREFIX", "Stage", "encoding_stages"]
