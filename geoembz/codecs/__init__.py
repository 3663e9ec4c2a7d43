"""The kernels as numcodecs codecs (`geoembz.codecs.numcodecs`) and Zarr v3 codecs (`.zarr`)."""

from geoembz.codecs.stages import PREFIX, ProjectionStage, QuantizerStage

__all__ = ["PREFIX", "ProjectionStage", "QuantizerStage"]
