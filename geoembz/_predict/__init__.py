"""Apply linear scikit-learn models to codes, without decoding them."""

from geoembz._predict.apply import AppliedModel, apply_model

__all__ = ["AppliedModel", "apply_model"]
