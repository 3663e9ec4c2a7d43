"""Scale vectors to length 1, where only their direction counts (the cosine metric)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def normalized(values: NDArray[Any]) -> NDArray[np.float32]:
    """Scale columns to length 1; columns of length 0 stay, those not finite stay not finite."""
    wide = values.astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("ij,ij->j", wide, wide))
        wide /= np.where(length == 0, 1.0, length)
    return wide.astype(np.float32)
