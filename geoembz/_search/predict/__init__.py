"""Apply linear scikit-learn models to codes, without decoding them."""

from geoembz._search.predict.fold import fold
from geoembz._search.predict.folded import FoldedModel

__all__ = ["FoldedModel", "fold"]
