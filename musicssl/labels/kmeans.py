"""K-means by FAISS: a careful start, breathing on a part of the frames, then few passes over all of them.

Shapes: n frames, d values, K clusters.

Where k-means ends is decided by where it starts. AFK-MC2 draws the first centroids as k-means++ does, without its K
passes. Then, on a quarter of the frames, the codebook breathes (Fritzke, "Breathing K-Means", arXiv 2006.15666):
centroids are added where the error is largest, and as many removed where they are missed least, which moves
centroids between regions as Lloyd's iterations cannot. benchmarks/kmeans.py measures what it gives.
"""

from dataclasses import dataclass

import faiss
import numpy as np

from musichubert.errors import LabelError
from musicssl.labels.settings import DEFAULT_KMEANS, KMeansSettings

INITS = {
    "random": faiss.ClusteringInitMethod_RANDOM,
    "kmeans++": faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
    "afkmc2": faiss.ClusteringInitMethod_AFK_MC2,
}
PART = 4  # breathing uses one frame in four
PART_POINTS = 40  # per cluster at least
FIRST_ITERATIONS = 6
BREATHS = (0.2, 0.1)  # share of the centroids that each breath moves
BREATH_ITERATIONS = 3


@dataclass(frozen=True)
class KMeansFit:
    """Centroids (K, d), labels (n,), mean squared distance, and how often an emptied cluster was refilled."""

    centroids: np.ndarray
    labels: np.ndarray
    objective: float
    refilled_clusters: int


def fit_kmeans(
    frames: np.ndarray, num_clusters: int, seed: int = 0, settings: KMeansSettings = DEFAULT_KMEANS
) -> KMeansFit:
    """Cluster all the frames (n, d) float32; of several runs the one with the lowest error is kept.

    Raises:
        LabelError: an unknown `settings.init`.
    """
    if settings.init not in INITS:
        raise LabelError(f"unknown k-means init {settings.init!r}; available: {', '.join(INITS)}")
    fits = (_fit_once(frames, num_clusters, seed + restart, settings) for restart in range(settings.restarts))
    return min(fits, key=lambda fit: fit.objective)


def _fit_once(frames: np.ndarray, num_clusters: int, seed: int, settings: KMeansSettings) -> KMeansFit:
    generator = np.random.default_rng(seed)
    size = min(max(len(frames) // PART, PART_POINTS * num_clusters), len(frames))
    part = frames[np.sort(generator.choice(len(frames), size, replace=False))] if size < len(frames) else frames
    options = {"seed": seed, "spherical": settings.spherical, "init_method": INITS[settings.init]}
    centroids, refilled_at_first = _lloyd(part, num_clusters, FIRST_ITERATIONS, None, options)
    for share in BREATHS:
        moved = int(share * num_clusters)
        if moved and len(part) >= 2 * (num_clusters + moved):
            centroids = _breathe(part, centroids, moved, generator, options)
    centroids, refilled = _lloyd(frames, num_clusters, settings.iterations, centroids, options)
    distances, labels = _search(frames, centroids, 1)
    return KMeansFit(centroids, labels[:, 0], float(distances.mean(dtype=np.float64)), refilled_at_first + refilled)


def _lloyd(
    points: np.ndarray, num_clusters: int, iterations: int, start: np.ndarray | None, options: dict
) -> tuple[np.ndarray, int]:
    """Centroids (K, d), and how often an emptied cluster was refilled."""
    # FAISS would drop all frames beyond 256 per cluster without a word, and warn below 39.
    kmeans = faiss.Kmeans(
        points.shape[1], num_clusters, niter=iterations,
        max_points_per_centroid=len(points), min_points_per_centroid=1, **options,
    )  # fmt: skip
    kmeans.train(points, init_centroids=start)
    refilled = sum(stats["nsplit"] for stats in kmeans.iteration_stats or [])
    return np.asarray(kmeans.centroids), int(refilled)


def _breathe(
    points: np.ndarray, centroids: np.ndarray, moved: int, generator: np.random.Generator, options: dict
) -> np.ndarray:
    """Add `moved` centroids beside those with the largest error, iterate, drop the `moved` least missed: (K, d)."""
    num_clusters = len(centroids)
    distances, nearest = _search(points, centroids, 1)
    error = np.bincount(nearest[:, 0], weights=distances[:, 0], minlength=num_clusters)
    counts = np.bincount(nearest[:, 0], minlength=num_clusters)
    worst = np.argsort(-error)[:moved]
    spread = np.sqrt(error[worst] / np.maximum(counts[worst], 1) / points.shape[1])[:, None]
    beside = centroids[worst] + 0.1 * spread * generator.standard_normal((moved, points.shape[1]))
    start = np.concatenate([centroids, beside]).astype(np.float32)
    more, _ = _lloyd(points, num_clusters + moved, BREATH_ITERATIONS, start, options)

    # A centroid is missed by how much farther its frames would have to go.
    distances, nearest = _search(points, more, 2)
    missed = np.bincount(nearest[:, 0], weights=distances[:, 1] - distances[:, 0], minlength=len(more))
    neighbour = _search(more, more, 2)[1][:, 1]
    dropped: list[int] = []
    spared = set()  # whoever takes over the frames of a dropped centroid
    for centroid in np.argsort(missed):
        if len(dropped) < moved and centroid not in spared:
            dropped.append(centroid)
            spared.add(neighbour[centroid])
    return np.delete(more, dropped, axis=0)[:num_clusters]


def _search(points: np.ndarray, centroids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared distances and indices (n, count) of the nearest centroids."""
    index = faiss.IndexFlatL2(points.shape[1])
    index.add(np.ascontiguousarray(centroids, np.float32))
    return index.search(points, count)
