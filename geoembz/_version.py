"""The versions of this package and of the format it writes."""

__version__ = "0.1.0"

FORMAT_VERSION = "0.1"
"""Version of the format that this geoembz writes (spec/README.md, "Versions")."""
