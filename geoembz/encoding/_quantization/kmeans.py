"""Seeded k-means for product quantization: scikit-learn's, or faiss' where asked for."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from geoembz._util.threads import single_threaded_blas, worker_count
from geoembz.errors import InvalidConfigError, MissingPackageError

ENGINES = ("sklearn", "faiss")
"""Names of the k-means implementations; faiss needs the extra ``geoembz[faiss]``."""


def kmeans_centres(
    points: NDArray[np.float32], n_centres: int, *, seed: int, n_iterations: int, engine: str
) -> NDArray[np.float32]:
    """Return `n_centres` centres of `points`, the same for the same seed, engine and version.

    Parameters
    ----------
    points
        Finite float32, shape ``(n_points, dimension)`` with ``n_points >= n_centres``.
    n_centres
        How many centres.
    seed
        Of the start.
    n_iterations
        At most this many Lloyd iterations.
    engine
        ``sklearn`` or ``faiss``.

    Returns
    -------
    centres
        float32, shape ``(n_centres, dimension)``; repeated where there are fewer distinct points.

    Raises
    ------
    InvalidConfigError
        If the engine is unknown.
    MissingPackageError
        If faiss is asked for and not installed.

    References
    ----------
    D. Arthur and S. Vassilvitskii, "k-means++", SODA 2007, for scikit-learn's start.

    Examples
    --------
    >>> points = np.array([[0.0], [1.0], [8.0], [9.0]], dtype=np.float32)
    >>> sorted(kmeans_centres(points, 2, seed=0, n_iterations=9, engine="sklearn").ravel().tolist())
    [0.5, 8.5]
    """
    if engine == "sklearn":
        return _sklearn(points, n_centres, seed, n_iterations)
    if engine == "faiss":
        return _faiss(points, n_centres, seed, n_iterations)
    raise InvalidConfigError(f"k-means engine {engine!r}; expected one of {', '.join(ENGINES)}")


def kmeans_of_groups(
    groups: Sequence[NDArray[np.float32]],
    n_centres: int,
    *,
    seed: int,
    n_iterations: int,
    engine: str,
) -> NDArray[np.float32]:
    """Return the centres of several groups of points, fitted side by side.

    Each group has a seed of its own and is fitted by one thread, so the result does not depend on
    the number of threads.

    Parameters
    ----------
    groups
        Of one shape, as in `kmeans_centres`.
    n_centres, n_iterations, engine
        As in `kmeans_centres`.
    seed
        Of the first group; the next one has the next number.

    Returns
    -------
    centres
        float32, shape ``(n_groups, n_centres, dimension)``.

    Raises
    ------
    InvalidConfigError
        If the engine is unknown.
    MissingPackageError
        If faiss is asked for and not installed.
    """
    from sklearn.exceptions import ConvergenceWarning

    def centres(number: int) -> NDArray[np.float32]:
        return kmeans_centres(
            np.ascontiguousarray(groups[number]),
            n_centres,
            seed=seed + number,
            n_iterations=n_iterations,
            engine=engine,
        )

    # Filters of warnings belong to the process: set them once, outside the threads.
    with (
        warnings.catch_warnings(),
        single_threaded_blas(),
        ThreadPoolExecutor(worker_count()) as pool,
    ):
        # Fewer distinct points than centres is no mistake here: repeated centres lose nothing.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.stack(list(pool.map(centres, range(len(groups)))))


def _sklearn(
    points: NDArray[np.float32], n_centres: int, seed: int, n_iterations: int
) -> NDArray[np.float32]:
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    model = KMeans(n_centres, n_init=1, max_iter=n_iterations, tol=0.0, random_state=seed)
    # Threads add their partial sums in the order in which they finish: one thread, one result.
    with threadpool_limits(limits=1):
        model.fit(points)
    return np.ascontiguousarray(model.cluster_centers_, dtype=np.float32)


def _faiss(
    points: NDArray[np.float32], n_centres: int, seed: int, n_iterations: int
) -> NDArray[np.float32]:
    try:
        import faiss
    except ImportError as error:
        raise MissingPackageError(
            "k-means engine 'faiss' needs faiss; install geoembz[faiss] or use 'sklearn'"
        ) from error
    model = faiss.Kmeans(
        points.shape[1],
        n_centres,
        niter=n_iterations,
        seed=seed,
        min_points_per_centroid=1,
        max_points_per_centroid=max(1, -(-len(points) // n_centres)),
    )
    model.train(np.ascontiguousarray(points))
    return np.asarray(model.centroids, dtype=np.float32).reshape(n_centres, -1)
