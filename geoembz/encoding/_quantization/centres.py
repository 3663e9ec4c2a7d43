"""256 centres of vectors by k-means: what the bytes of `pq` and `rq` stand for."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoembz.encoding._quantization.base import Codes
from geoembz.errors import InvalidConfigError

N_CENTRES = 256
"""As many as a byte tells apart."""

MAX_SAMPLES = 65_536
"""Pixels that k-means sees, 256 for each centre; more gain nothing measurable."""


def choose_pixels(kind: str, components: NDArray[np.float32], seed: int) -> NDArray[np.float32]:
    """Return at most `MAX_SAMPLES` pixels, in their order, chosen by `seed`.

    Parameters
    ----------
    kind
        Name of the quantizer, for the message.
    components
        Shape ``(n_components, n_pixels)``.
    seed
        Of the choice.

    Raises
    ------
    InvalidConfigError
        If there are fewer pixels than centres.
    """
    n_pixels = components.shape[1]
    if n_pixels < N_CENTRES:
        raise InvalidConfigError(
            f"{kind}: {n_pixels} sampled pixels for {N_CENTRES} codewords; "
            f"take at least {N_CENTRES}"
        )
    if n_pixels <= MAX_SAMPLES:
        return components
    chosen = np.random.default_rng(seed).choice(n_pixels, MAX_SAMPLES, replace=False)
    return components[:, np.sort(chosen)]


def code_in_blocks(
    components: NDArray[np.float32],
    n_codes: int,
    width: int,
    nearest: Callable[[NDArray[np.float32]], Codes],
) -> NDArray[np.uint8]:
    """Return the codes of pixels, uint8 ``(n_codes, n_pixels)``, some pixels at a time.

    Every block has one width, padded with zeros: BLAS rounds differently from width to width, and
    codes must not depend on the window.

    Parameters
    ----------
    components
        Finite float32, shape ``(n_components, n_pixels)``.
    n_codes
        Codes of a pixel.
    width
        Pixels of a block.
    nearest
        Codes ``(n_codes, width)`` of a block ``(n_components, width)``.
    """
    n_components, n_pixels = components.shape
    codes = np.empty((n_codes, n_pixels), dtype=np.uint8)
    block = np.zeros((n_components, width), dtype=np.float32)
    for start in range(0, n_pixels, width):
        here = min(width, n_pixels - start)
        block[:, :here] = components[:, start : start + here]
        block[:, here:] = 0
        codes[:, start : start + here] = nearest(block)[:, :here]
    return codes


@contextmanager
def repeated_centres() -> Iterator[None]:
    """Do not warn of fewer distinct points than centres: repeated centres lose nothing.

    Filters of warnings belong to the process: use it outside of threads.
    """
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def k_means(
    points: NDArray[np.float32],
    seed: int,
    n_iterations: int,
    start: NDArray[np.float32] | None = None,
) -> NDArray[np.float32]:
    """Return centres of points ``(n_points, width)``, float32 ``(256, width)``.

    They start from `start`, of that shape, or by k-means++.

    They are repeated where there are fewer distinct points: scikit-learn warns of that, unless
    `repeated_centres` are expected.
    """
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    init: Any = "k-means++" if start is None else start
    model = KMeans(
        N_CENTRES, init=init, n_init=1, max_iter=n_iterations, tol=0.0, random_state=seed
    )
    # Threads add their partial sums in the order in which they finish: one thread, one result.
    with threadpool_limits(limits=1):
        model.fit(points)
    return np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)
