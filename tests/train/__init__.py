"""Samples for training: patches, pixels, polygons, and the order in which they come."""
