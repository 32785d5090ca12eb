"""The flags of musicHuBERT's labels. A comment gives the source or the reason of a default."""

from dataclasses import dataclass, fields
from typing import Any, Literal

from musicssl.flags import NOT_NEGATIVE, POSITIVE, flag


@dataclass(frozen=True)
class KMeansSettings:
    """How k-means runs.

    Attributes:
        iterations: passes over all the frames, after breathing on a part of them.
        restarts: runs from different starts, of which the best is kept.
        init: how the first centroids are drawn: "afkmc2", "kmeans++" or "random".
        standardize: bring every feature value to zero mean and unit variance first (the reference does not).
        spherical: cluster directions: frames and centroids of unit length (the reference does not).
    """

    # After breathing on a part of the frames, 10 beat the reference's MiniBatchKMeans (benchmarks/kmeans.py).
    iterations: int = 10
    restarts: int = 1
    init: str = "afkmc2"
    standardize: bool = False
    spherical: bool = False


DEFAULT_KMEANS = KMeansSettings()


@dataclass(frozen=True)
class LabelConfig:
    """Labels of musicHuBERT.

    A field with the fact `codebook` is part of what a fitted codebook depends on.
    """

    label_features: tuple[str, ...] = flag(
        "features to cluster, one codebook each: mfcc39, mfcc60, logmel229, chroma24, chroma264, cqt84, cqt336, or"
        " layerN (layer N of --label_model, for example layer6)",
        (),
        metavar="FEATURE",
    )
    num_clusters: tuple[int, ...] = flag("number of clusters of each codebook", (), codebook=True)
    label_model: str | None = flag(
        "earlier checkpoint that the layers in --label_features are taken from", metavar="DIR"
    )
    codebook: tuple[str, ...] = flag("directories of fitted codebooks, used instead of fitting", (), metavar="DIR")
    kmeans_iterations: int = flag(
        "k-means passes over all sampled frames", KMeansSettings.iterations, POSITIVE, codebook=True
    )
    kmeans_restarts: int = flag(
        "k-means runs from different starts, of which the best is kept", KMeansSettings.restarts, POSITIVE,
        codebook=True,
    )  # fmt: skip
    kmeans_init: Literal["afkmc2", "kmeans++", "random"] = flag(
        "how k-means draws its first centroids; afkmc2 is a fast approximation of kmeans++",
        KMeansSettings.init,
        codebook=True,
    )
    kmeans_standardize: bool = flag(
        "standardize feature values to zero mean and unit variance before k-means", KMeansSettings.standardize,
        codebook=True, formerly="kmeans_standardise",
    )  # fmt: skip
    kmeans_spherical: bool = flag(
        "spherical k-means: scale features and centroids to unit length", KMeansSettings.spherical, codebook=True
    )
    kmeans_max_points_per_cluster: int = flag("frames sampled for k-means, per cluster", 1000, codebook=True)
    kmeans_budget_mb: int = flag("memory for the frames sampled for k-means, in MiB", 2000, codebook=True)
    label_statistics_seconds: float = flag(
        "seconds of audio that the frames for k-means are sampled from; 0 uses all the audio", 0.0, NOT_NEGATIVE,
        codebook=True,
    )  # fmt: skip
    store_labels: bool = flag(
        "write all labels to disk before training instead of computing them for each crop", False
    )
    auxiliary_features: str | None = flag(
        "acoustic feature to regress beside the labels (cqt336 as in MERT)", metavar="FEATURE"
    )
    iterations: tuple[dict[str, Any], ...] = flag(
        "iterations of HuBERT, one mapping each, with features, clusters, updates and any other flag, for example"
        ' {"features": "mfcc39", "clusters": 500, "updates": 250000}',
        (), metavar="JSON", example="{features: mfcc39, clusters: 500, updates: 250000}",
    )  # fmt: skip
    # The reference starts each iteration from fresh weights.
    init_from_previous: bool = flag("start each iteration from the weights of the previous one", False)

    @property
    def kmeans(self) -> KMeansSettings:
        return KMeansSettings(
            self.kmeans_iterations, self.kmeans_restarts, self.kmeans_init, self.kmeans_standardize,
            self.kmeans_spherical,
        )  # fmt: skip

    def codebook_settings(self) -> dict[str, Any]:
        """The flags that decide what the codebooks become."""
        return {own.name: getattr(self, own.name) for own in fields(self) if own.metadata.get("codebook")}
