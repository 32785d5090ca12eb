"""A uniform sample of feature frames within a memory budget, whatever the size of the collection.

Shapes: n frames, d feature values.

Every frame has a random key that is a pure function of (seed, clip, place); the sample is the frames with the smallest
keys. So it is uniform over all frames, and the same for any number of processes and any order of the clips.
"""

import hashlib
from collections.abc import Iterable

import numpy as np
import torch

from musichubert.acoustic_features import SAMPLE_RATE
from musicssl.errors import UserError
from musicssl.labels.labeller import FeatureSource, window_features

Clips = Iterable[tuple[str, np.ndarray]]


class FrameSample:
    """A uniform sample of at most `capacity` frames out of any number, in one fixed buffer."""

    def __init__(self, capacity: int, dimension: int):
        self.frames = np.empty((capacity, dimension), np.float32)
        self.keys = np.empty(capacity, np.float64)
        self.filled = 0
        self.seen = 0

    def add(self, frames: np.ndarray, keys: np.ndarray) -> None:
        """Offer frames (n, d) with their keys (n,) in [0, 1)."""
        self.seen += len(frames)
        room = min(len(self.keys) - self.filled, len(frames))
        self.frames[self.filled : self.filled + room] = frames[:room]
        self.keys[self.filled : self.filled + room] = keys[:room]
        self.filled += room
        frames, keys = frames[room:], keys[room:]
        if not len(frames) or not self.filled:
            return
        candidates = keys < self.keys.max()
        frames, keys = frames[candidates], keys[candidates]
        kept = np.zeros(self.filled + len(keys), bool)
        kept[np.argsort(np.concatenate([self.keys, keys]), kind="stable")[: self.filled]] = True
        freed, taken = np.flatnonzero(~kept[: self.filled]), np.flatnonzero(kept[self.filled :])
        self.frames[freed], self.keys[freed] = frames[taken], keys[taken]

    def in_order(self) -> tuple[np.ndarray, np.ndarray]:
        """Frames (n, d) and keys (n,) by ascending key, whatever order they came in."""
        order = np.argsort(self.keys[: self.filled], kind="stable")
        return self.frames[order], self.keys[order]


def frame_keys(seed: int, clip_id: str, count: int) -> np.ndarray:
    """(count,) uniform keys of a clip's frames."""
    digest = hashlib.sha256(f"{seed}|{clip_id}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "little")).random(count)


def sample_capacity(dimension: int, num_clusters: int, points_per_cluster: int, budget_mb: int) -> int:
    """Frames to keep: `points_per_cluster` for each cluster, or as many as fit twice into the budget.

    Twice, because a second copy is needed to order and to scale the sample.

    Raises:
        UserError: a budget too small for one frame per cluster.
    """
    affordable = budget_mb * 2**20 // (2 * 4 * dimension)
    if affordable < num_clusters:
        needed = -(-num_clusters * 8 * dimension // 2**20)
        raise UserError(
            f"--kmeans_budget_mb {budget_mb} holds {affordable} frames of {dimension} values, fewer than "
            f"{num_clusters} clusters: give at least {needed}"
        )
    return min(num_clusters * points_per_cluster, affordable)


@torch.no_grad()
def sample_frames(
    sources: list[FeatureSource],
    clips: Clips,
    capacities: list[int],
    seed: int,
    device: torch.device | str = "cpu",
    max_seconds: float = 0.0,
) -> list[FrameSample]:
    """One pass over the clips for all features: a `FrameSample` each."""
    samples = [FrameSample(n, source.dimension) for n, source in zip(capacities, sources, strict=True)]
    seconds = 0.0
    for clip_id, waveform in clips:
        if max_seconds and seconds >= max_seconds:
            break
        seconds += len(waveform) / SAMPLE_RATE
        on_device = torch.from_numpy(waveform).to(device)
        for source, sample in zip(sources, samples, strict=True):
            windows = [frames.cpu().numpy() for frames in window_features(source, on_device)]
            keys = frame_keys(seed, clip_id, sum(map(len, windows)))
            start = 0
            for frames in windows:
                sample.add(frames, keys[start : start + len(frames)])
                start += len(frames)
    return samples
