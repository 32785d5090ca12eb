"""K-means by FAISS.

Shapes: n frames, d values, K clusters.
"""

from dataclasses import dataclass

import faiss
import numpy as np

from musichubert.errors import LabelError

INITS = {
    "random": faiss.ClusteringInitMethod_RANDOM,
    "kmeans++": faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
    "afkmc2": faiss.ClusteringInitMethod_AFK_MC2,
}


@dataclass(frozen=True)
class KMeansFit:
    """Centroids (K, d), labels (n,), mean squared distance, and how often an emptied cluster was refilled."""

    centroids: np.ndarray
    labels: np.ndarray
    objective: float
    refilled_clusters: int


def fit_kmeans(
    frames: np.ndarray,
    num_clusters: int,
    seed: int = 0,
    niter: int = 25,
    nredo: int = 1,
    init: str = "afkmc2",
    spherical: bool = False,
) -> KMeansFit:
    """Lloyd's algorithm over all the frames (n, d) float32.

    Raises:
        LabelError: an unknown `init`.
    """
    if init not in INITS:
        raise LabelError(f"unknown k-means init {init!r}: choose one of {', '.join(INITS)}")
    kmeans = faiss.Kmeans(
        frames.shape[1],
        num_clusters,
        niter=niter,
        nredo=nredo,
        seed=seed,
        spherical=spherical,
        init_method=INITS[init],
        # FAISS would drop all frames beyond 256 per cluster without a word, and warn below 39.
        max_points_per_centroid=len(frames),
        min_points_per_centroid=1,
    )
    kmeans.train(frames)
    distances, labels = kmeans.index.search(frames, 1)
    refilled = int(sum(stats["nsplit"] for stats in kmeans.iteration_stats))
    return KMeansFit(kmeans.centroids, labels[:, 0], float(distances.mean(dtype=np.float64)), refilled)
