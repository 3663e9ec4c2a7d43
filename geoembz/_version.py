"""The versions of this package and of the formats it writes."""

__version__ = "0.2.0"

FORMAT_VERSION = "0.2"
"""Version of the store format that this geoembz writes (spec/README.md, "Versions")."""

READ_VERSIONS = ("0.1", "0.2")
"""Versions of the store format that this geoembz reads."""

ENCODING_VERSION = "0.1"
"""Version of an encoding file (spec/encoding.md, "Files")."""
