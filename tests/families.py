"""Members of the codec family that tests run over."""

KINDS = ("int8", "int4", "int2", "binary", "float32")
"""Quantizers that are recipes by their bare names."""
