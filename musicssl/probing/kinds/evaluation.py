"""The result of a test: `evaluate` metrics per seed, bootstrap intervals, and data for the pictures.

Shapes: K seeds, R bootstrap resamples.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch


@dataclass
class Evaluation:
    """Scores on the test split.

    Attributes:
        seeds: metric -> one value per seed.
        resampled: metric -> (R, K) values, one row per bootstrap resample of the test tracks.
        details: what the report draws (confusion counts, a beat example, scores of single tags).
        notes: remarks for readers of the scores, one sentence each.
    """

    seeds: Mapping[str, Sequence[float]]
    resampled: Mapping[str, np.ndarray]
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def metrics(self, generator: np.random.Generator) -> dict[str, dict]:
        """metric -> {"mean", "ci95", "seeds"}: the interval holds the spread over test clips and over seeds."""
        summary = {}
        for name, values in self.seeds.items():
            resampled = self.resampled[name]
            seeds = generator.integers(resampled.shape[1], size=resampled.shape)
            means = np.take_along_axis(resampled, seeds, axis=1).mean(axis=1)
            defined = means[np.isfinite(means)]
            interval = np.percentile(defined, [2.5, 97.5]).tolist() if len(defined) else None
            summary[name] = {"mean": finite(np.mean(values)), "ci95": interval, "seeds": [finite(v) for v in values]}
        return summary


def bootstrap_weights(num_tracks: int, resamples: int, seed: int = 0) -> torch.Tensor:
    """(R, tracks) int64: how often each resample draws each track; the same for all models, so they can be paired."""
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(num_tracks, np.full(num_tracks, 1 / num_tracks), size=resamples)
    return torch.from_numpy(drawn)


def finite(value: float | np.floating) -> float | None:
    """The value, or None in the place of NaN and infinity, which JSON does not have."""
    return float(value) if np.isfinite(value) else None
