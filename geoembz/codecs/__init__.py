"""The kernels as numcodecs codecs (`geoembz.codecs.numcodecs`) and Zarr v3 codecs (`.zarr`)."""

from geoembz.codecs.stages import PREFIX, NormalizeStage, ProjectionStage, QuantizerStage

__all__ = ["PREFIX", "NormalizeStage", "ProjectionStage", "QuantizerStage"]
