"""Maps of clusters: centres found on a sample of vectors, and the nearest of them everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from geoembz._export.region import Region
from geoembz._map.bands import Colour, MapBands, MapClass
from geoembz._map.kernel import fingerprint
from geoembz._map.learners import features_of, lift_vectors
from geoembz._map.legend import ordered_colours
from geoembz._map.options import MapKeywords, gather_keywords
from geoembz._map.run import write_map
from geoembz._map.sampling import sample_codes
from geoembz._map.summary import MapSummary
from geoembz._search.linear_fold import LinearFold
from geoembz._text import aligned
from geoembz._util.options import check_whole
from geoembz._util.results import Result
from geoembz._util.threads import single_threaded_blas
from geoembz.encoding import Encoding
from geoembz.encoding._quantization import Codes
from geoembz.errors import InvalidConfigError
from geoembz.store import StoreReader

MOST_CLUSTERS = 255
SAMPLES = 65_536
"""Pixels that centres are found on, at most."""

_STARTS, _BATCH = 3, 4_096


@dataclass(frozen=True, eq=False)
class Clusters:
    """Centres of clusters, alike ones next to each other.

    Parameters
    ----------
    centres
        In original space, float64, shape ``(k, dimension)``.
    colours
        Of each.
    within_share
        Share of the sample's variance that is left within clusters, 0 to 1.
    n_samples
        Pixels that they were found on.
    """

    centres: NDArray[np.float64]
    colours: tuple[Colour, ...]
    within_share: float
    n_samples: int

    @property
    def bands(self) -> MapBands:
        """Clusters 1 to k, nodata 0."""
        classes = tuple(
            MapClass(number, f"cluster {number}", colour)
            for number, colour in enumerate(self.colours, 1)
        )
        return MapBands("clusters", ("cluster",), "uint8", 0, classes)

    def kernel(self, encoding: Encoding) -> "NearestCentre":
        """Fold the centres into an encoding.

        The nearest centre c of x has the largest ``c·x - |c|²/2``, which is linear in x. Both are
        taken from the mean of the centres: of shorter vectors less is cancelled.
        """
        mean = self.centres.mean(axis=0)
        moved = self.centres - mean
        fold = LinearFold.of(encoding, moved, -0.5 * np.square(moved).sum(axis=1), shift=mean)
        return NearestCentre(fold, self.bands, fingerprint([self.centres]))


@dataclass(frozen=True, eq=False)
class NearestCentre:
    """The number of the nearest centre, counted from 1.

    Parameters
    ----------
    fold
        Of each centre, what is largest where it is nearest.
    bands
        What the map holds.
    digest
        Stands for the centres.
    """

    fold: LinearFold
    bands: MapBands
    digest: str

    @property
    def identity(self) -> Mapping[str, Any]:
        """The centres."""
        return {"centres": self.digest}

    def __call__(self, *codes: Codes) -> NDArray[np.uint8]:
        """Return the clusters, shape ``(1, n_pixels)``."""
        return (self.fold(codes[0]).argmax(axis=0) + 1).astype(np.uint8)[np.newaxis]


def find_clusters(region: Region, k: int, samples: int, seed: int) -> Clusters:
    """Find centres on a sample of a region's pixels.

    Raises
    ------
    NoValidPixelsError
        If no pixel holds an embedding.
    InvalidConfigError
        If there are fewer different vectors than clusters.
    """
    from sklearn.cluster import MiniBatchKMeans

    encoding = region.reader.encoding
    (codes,) = sample_codes([region], samples, seed)
    drawn = features_of(encoding, np.ascontiguousarray(codes.T))
    if (found := len(np.unique(drawn, axis=0))) < k:
        raise InvalidConfigError(
            f"{region.reader.url}: a sample of {len(drawn):,} pixels holds {found} different "
            f"vectors; expected at least k={k}: ask for fewer clusters"
        )
    model = MiniBatchKMeans(k, random_state=seed, batch_size=_BATCH, n_init=_STARTS)
    with _one_thread():
        distances = model.fit(drawn).transform(drawn).min(axis=1)
    order, colours = ordered_colours(model.cluster_centers_)
    centres = lift_vectors(encoding, model.cluster_centers_[order])
    total = float(np.square(drawn - drawn.mean(axis=0, dtype=np.float64)).sum())
    within = float(np.square(distances, dtype=np.float64).sum())
    return Clusters(centres, tuple(colours), within / total if total else 0.0, len(drawn))


def _one_thread() -> Any:
    """Return what keeps scikit-learn's sums in one order."""
    from threadpoolctl import threadpool_limits

    return threadpool_limits(1, user_api="openmp")


@dataclass(frozen=True, eq=False)
class ClusterMap(Result):
    """A map of clusters.

    Parameters
    ----------
    map
        What was written.
    clusters
        Centres and colours.
    """

    map: MapSummary
    clusters: Clusters

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Pixels of each cluster, shape ``(k,)``."""
        counts = self.map.figures.counts or {}
        numbers = range(1, len(self.clusters.centres) + 1)
        return np.array([counts.get(number, 0) for number in numbers], np.int64)

    def to_json(self) -> dict[str, Any]:
        """Return the result as JSON values, centres in original space included."""
        return {
            **self.map.to_json(),
            "within_share": self.clusters.within_share,
            "sampled": self.clusters.n_samples,
            "centres": self.clusters.centres.tolist(),
        }

    def to_table(self) -> str:
        """Return what was written, the size of each cluster and the one most like it."""
        rows = [
            ("sampled", f"{self.clusters.n_samples:,} pixels"),
            ("within clusters", f"{self.clusters.within_share:.1%} of the variance"),
        ]
        near = [("cluster", "pixels", "share", "colour", "most like", "distance")]
        for number, (other, distance) in enumerate(_nearest_others(self.clusters.centres), 1):
            size, colour = int(self.sizes[number - 1]), self.clusters.colours[number - 1]
            share = size / max(self.map.valid_pixels, 1)
            shown = "#{:02x}{:02x}{:02x}".format(*colour)
            like = "" if other is None else str(other + 1)
            gap = "" if other is None else f"{distance:.4g}"
            near.append((str(number), f"{size:,}", f"{share:.1%}", shown, like, gap))
        written = "\n".join(
            line for line in self.map.to_table().split("\n") if not line.startswith("cluster ")
        )
        return "\n".join([written, aligned(rows), "", aligned(near)])


def map_cluster(
    store: str | Path | StoreReader,
    out: str | Path,
    *,
    k: int,
    seed: int = 0,
    samples: int = SAMPLES,
    **flat: Unpack[MapKeywords],
) -> ClusterMap:
    """Map clusters: k-means on a sample of the vectors, then the nearest centre of every pixel.

    Centres are found by mini-batch k-means, by Euclidean distance between decoded vectors; every
    pixel is compared with them on its codes. Clusters are numbered, and coloured, so that
    neighbouring ones are alike. One seed gives one map, whatever the number of workers.

    Parameters
    ----------
    store
        Path, URL, or an open `StoreReader`.
    out
        ``.tif`` or ``.zarr``: uint8, clusters 1 to k, nodata 0.
    k
        Clusters, 2 to 255.
    seed
        Of the sample and of the first centres.
    samples
        Pixels that centres are found on, about.
    **flat
        What all maps take: `bbox`, `bbox_crs`, `time`, `level`, `grid`, `png`, `workers`,
        `scheduler`, `overwrite`, `break_lock` and `progress`, as in `map_similar`. The sample is
        drawn from the part that is mapped.

    Returns
    -------
    result
        What was written, with sizes and centres.

    Raises
    ------
    InvalidConfigError
        If the options cannot work, or there are fewer different vectors than clusters.
    NoValidPixelsError
        If the part that is mapped has no pixel with an embedding.
    StoreError
        If the store cannot be read, or the map cannot be written.

    References
    ----------
    D. Sculley, Web-scale k-means clustering (WWW 2010).

    Examples
    --------
    >>> files = geoembz.demo.write_demo(tmp_path, size=64)
    >>> _ = geoembz.convert(files.embedding, tmp_path / "k.zarr", pca=16)
    >>> map_cluster(tmp_path / "k.zarr", tmp_path / "k.tif", k=4).sizes.shape
    (4,)
    """
    place, options = gather_keywords("map_cluster", flat)
    options.check(out)
    check_whole(k=k, samples=samples, seed=seed)
    if seed < 0:
        raise InvalidConfigError(f"seed {seed}; expected 0 or more")
    if not 2 <= k <= MOST_CLUSTERS:
        raise InvalidConfigError(f"k={k}; expected 2 to {MOST_CLUSTERS} clusters")
    if samples < k:
        raise InvalidConfigError(f"samples={samples}; expected at least k={k}")
    region = place.open(options.place(store))
    with single_threaded_blas():
        clusters = find_clusters(region, k, samples, seed)
    written = write_map([region], clusters.kernel(region.reader.encoding), out, options)
    return ClusterMap(written, clusters)


def _nearest_others(centres: NDArray[np.float64]) -> list[tuple[int | None, float]]:
    """Return the nearest other centre of each, and how far it is."""
    from scipy.spatial.distance import cdist

    distances = cdist(centres, centres)
    np.fill_diagonal(distances, np.inf)
    nearest = distances.argmin(axis=1)
    return [(int(other), float(distances[row, other])) for row, other in enumerate(nearest)]
