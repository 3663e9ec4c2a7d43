"""Apply linear scikit-learn models to codes, without decoding them."""

from geoembz.folding.fold import fold
from geoembz.folding.folded import FoldedModel

__all__ = ["FoldedModel", "fold"]
