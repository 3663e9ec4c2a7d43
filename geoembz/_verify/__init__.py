"""Read a whole store again and name what is wrong with it."""

from geoembz._verify.listing import Verification
from geoembz._verify.run import verify

__all__ = ["Verification", "verify"]
