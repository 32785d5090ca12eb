"""A codebook: k-means centroids and the feature they were fitted on; fitting, labelling, saving and loading.

Shapes: n frames, d feature values, K clusters.
"""

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import faiss
import numpy as np
import torch
from safetensors.numpy import load_file, save_file

from musichubert.errors import LabelError
from musicssl.files import read_json, whole_file, write_json
from musicssl.labels.kmeans import fit_kmeans
from musicssl.labels.settings import DEFAULT_KMEANS, KMeansSettings

Frames = TypeVar("Frames", np.ndarray, torch.Tensor)

FORMAT_VERSION = 1
TENSORS, METADATA = "codebook.safetensors", "codebook.json"


@dataclass(frozen=True)
class Codebook:
    """Centroids (K, d) float32; frames are first standardized (with `mean`) or scaled to unit length (if `spherical`).

    `metadata` records the feature recipe and its fingerprint, the frames used, the objective (mean squared distance
    of a frame to its centroid, in the space of the centroids), the usage perplexity and the k-means settings.
    """

    centroids: np.ndarray
    mean: np.ndarray | None = None
    scale: np.ndarray | None = None
    spherical: bool = False
    metadata: dict = field(default_factory=dict)

    @property
    def num_clusters(self) -> int:
        return len(self.centroids)

    @property
    def dimension(self) -> int:
        return self.centroids.shape[1]

    @cached_property
    def hash(self) -> str:
        """Changes with anything that could change a label: centroids, scaling and the feature they belong to."""
        digest = hashlib.sha256(f"{self.metadata.get('feature_fingerprint')}|{self.spherical}".encode())
        for array in (self.centroids, self.mean, self.scale):
            digest.update(b"-" if array is None else np.ascontiguousarray(array, np.float32).tobytes())
        return digest.hexdigest()[:16]

    def assign(self, frames: Frames) -> Frames:
        """The nearest centroid of each frame: FAISS for numpy arrays and CPU tensors, one matmul on a device.

        Args:
            frames: (n, d) float32.

        Returns:
            (n,) int64, of the same kind and on the same device as `frames`.

        Raises:
            LabelError: frames of another dimension.
        """
        if frames.ndim != 2 or frames.shape[1] != self.dimension:
            feature = self.metadata.get("feature", "unknown feature")
            raise LabelError(
                f"frames of shape {tuple(frames.shape)} given to a codebook of {feature}, d = {self.dimension}"
            )
        if isinstance(frames, torch.Tensor) and frames.device.type != "cpu":
            return self.assign_by_matmul(frames.float())
        nearest = self.index.search(self.transform(np.asarray(frames)), 1)[1][:, 0]
        return torch.from_numpy(nearest) if isinstance(frames, torch.Tensor) else nearest

    def transform(self, frames: np.ndarray) -> np.ndarray:
        """Frames in the space of the centroids, (n, d) float32: standardized or scaled as in the fit."""
        frames = np.ascontiguousarray(frames, np.float32)
        if self.mean is not None:
            frames = (frames - self.mean) / self.scale
        return unit_length(frames) if self.spherical else frames

    @cached_property
    def index(self) -> faiss.IndexFlatL2:
        """A FAISS index of the centroids."""
        index = faiss.IndexFlatL2(self.dimension)
        index.add(np.ascontiguousarray(self.centroids, np.float32))
        return index

    def assign_by_matmul(self, frames: torch.Tensor) -> torch.Tensor:
        """`assign` in torch, on the device of `frames` (n, d): (n,) int64."""
        if self.mean is not None:
            frames = (frames - self._on(frames.device, "mean")) / self._on(frames.device, "scale")
        if self.spherical:
            frames = torch.nn.functional.normalize(frames, dim=-1)
        centroids = self._on(frames.device, "centroids")
        # |x|^2 is the same for every centroid, so the nearest maximizes x.c - |c|^2 / 2. Never in half precision.
        with torch.autocast(frames.device.type, enabled=False):
            return torch.addmm(centroids.square().sum(1).mul(-0.5), frames, centroids.T).argmax(dim=1)

    def _on(self, device: torch.device, name: str) -> torch.Tensor:
        cache = self.__dict__.setdefault("_tensors", {})
        if (device, name) not in cache:
            cache[device, name] = torch.from_numpy(getattr(self, name)).float().to(device)
        return cache[device, name]

    def save(self, directory: str | Path) -> None:
        """Write codebook.safetensors and codebook.json."""
        directory = Path(directory)
        tensors = {"centroids": self.centroids, "mean": self.mean, "scale": self.scale}
        with whole_file(directory / TENSORS) as partial:
            save_file({k: np.ascontiguousarray(v, np.float32) for k, v in tensors.items() if v is not None}, partial)
        described = {**self.metadata, "format_version": FORMAT_VERSION, "hash": self.hash, "spherical": self.spherical}
        write_json(directory / METADATA, described)

    @classmethod
    def load(cls, directory: str | Path) -> "Codebook":
        """Read what `save` wrote.

        Raises:
            LabelError: a missing file, another format version, or centroids that do not belong to the metadata.
        """
        directory = Path(directory)
        for name in (TENSORS, METADATA):
            if not (directory / name).is_file():
                raise LabelError(f"{directory} is no codebook: it has no {name}; give the folder of a fitted codebook")
        metadata = read_json(directory / METADATA)
        if metadata.pop("format_version", None) != FORMAT_VERSION:
            raise LabelError(f"{directory / METADATA}: format_version is not {FORMAT_VERSION}: fit the codebook again")
        written_hash = metadata.pop("hash")
        codebook = cls(**load_file(directory / TENSORS), spherical=metadata.pop("spherical"), metadata=metadata)
        if codebook.hash != written_hash:
            raise LabelError(
                f"{directory}: {TENSORS} (hash {codebook.hash}) does not belong to {METADATA} (hash {written_hash})"
            )
        return codebook


def unit_length(frames: np.ndarray) -> np.ndarray:
    """Rows divided by their Euclidean length; rows of zeros stay zero."""
    return frames / np.maximum(np.linalg.norm(frames, axis=1, keepdims=True), 1e-12)


def fit_codebook(
    frames: np.ndarray,
    num_clusters: int,
    seed: int = 0,
    kmeans: KMeansSettings = DEFAULT_KMEANS,
    metadata: dict | None = None,
) -> Codebook:
    """Cluster frames by k-means; every frame given is used, none is silently dropped.

    Args:
        frames: (n, d) float32, e.g. a uniform sample of training frames.
        num_clusters: K.
        seed: the same frames, seed and number of threads give the same codebook.
        metadata: what the caller knows of the frames (feature, fingerprint, rate); kept with the codebook.

    Raises:
        LabelError: frames that are not (n, d), not finite, or fewer than clusters.
    """
    frames = np.asarray(frames, np.float32)
    _check_frames(frames, num_clusters)
    mean = scale = None
    if kmeans.standardize:
        mean = frames.mean(axis=0)
        scale = np.maximum(frames.std(axis=0), 1e-6)
    frames = Codebook(np.empty((0, frames.shape[1])), mean, scale, kmeans.spherical).transform(frames)
    fit = fit_kmeans(frames, num_clusters, seed, kmeans)

    counts = np.bincount(fit.labels, minlength=num_clusters)
    metadata = {
        **(metadata or {}),
        "num_clusters": num_clusters,
        "dimension": frames.shape[1],
        "num_frames_used": len(frames),
        "objective": fit.objective,
        "usage_perplexity": perplexity(counts),
        "unused_clusters": int((counts == 0).sum()),
        "refilled_clusters": fit.refilled_clusters,
        "standardise": kmeans.standardize,
        "seed": seed,
        "niter": kmeans.iterations,
        "nredo": kmeans.restarts,
        "init": kmeans.init,
        "faiss_version": faiss.__version__,
    }
    return Codebook(fit.centroids, mean, scale, kmeans.spherical, metadata)


def _check_frames(frames: np.ndarray, num_clusters: int) -> None:
    if frames.ndim != 2:
        raise LabelError(f"frames must be (n, d), got shape {frames.shape}")
    if not 1 <= num_clusters <= len(frames):
        raise LabelError(f"{num_clusters} clusters asked of {len(frames)} frames: give more audio or fewer clusters")
    # Block by block: a mask of all the frames would be a quarter of their size again.
    for start in range(0, len(frames), 65536):
        finite = np.isfinite(frames[start : start + 65536]).all(axis=1)
        if not finite.all():
            first = start + int(np.argmin(finite))
            raise LabelError(f"frame {first} of {len(frames)} holds NaN or infinity: the audio or the model is broken")


def perplexity(counts: np.ndarray) -> float:
    """exp(entropy) of cluster counts: how many clusters are in effective use, from 1 to K."""
    share = counts[counts > 0] / counts.sum()
    return float(np.exp(-(share * np.log(share)).sum()))
