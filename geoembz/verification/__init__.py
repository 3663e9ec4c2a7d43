"""Read a whole store again and name what is wrong with it."""

from geoembz.verification.result import Verification
from geoembz.verification.run import verify

__all__ = ["Verification", "verify"]
