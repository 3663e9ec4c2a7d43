"""Apply linear scikit-learn models to codes, without decoding them."""

from geoembz._search.predict.applied import AppliedModel
from geoembz._search.predict.apply import apply_model

__all__ = ["AppliedModel", "apply_model"]
