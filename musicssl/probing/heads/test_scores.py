"""Test the chosen heads once: `evaluate` metrics per seed, a bootstrap interval, and what the pictures need.

Shapes: K seeds, n scored clips (tracks or windows), C outputs, R bootstrap resamples.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from musicssl.probing.heads import scores
from musicssl.probing.heads.head_data import Problem
from musicssl.probing.metrics.accuracy import Accuracy
from musicssl.probing.metrics.beat_f import BeatF, f_measure, match_counts
from musicssl.probing.metrics.key_score import KeyScore
from musicssl.probing.metrics.r2 import R2
from musicssl.probing.metrics.tagging import Tagging


@dataclass
class Evaluation:
    """Scores on the test split.

    Attributes:
        seeds: metric -> one value per seed.
        resampled: metric -> (R, K) values, one row per bootstrap resample of the test tracks.
        details: what the report draws (confusion counts, key errors, a beat example, absent tags).
    """

    seeds: dict[str, list[float]]
    resampled: dict[str, np.ndarray]
    details: dict = field(default_factory=dict)

    def metrics(self, generator: np.random.Generator) -> dict[str, dict]:
        """metric -> {"mean", "ci95", "seeds"}: the interval holds the spread over test clips and over seeds."""
        summary = {}
        for name, values in self.seeds.items():
            resampled = self.resampled[name]
            seeds = generator.integers(resampled.shape[1], size=resampled.shape)
            means = np.take_along_axis(resampled, seeds, axis=1).mean(axis=1)
            defined = means[np.isfinite(means)]
            interval = np.percentile(defined, [2.5, 97.5]).tolist() if len(defined) else None
            summary[name] = {"mean": _finite(np.mean(values)), "ci95": interval, "seeds": [_finite(v) for v in values]}
        return summary


def evaluate_test(problem: Problem, outputs: torch.Tensor, labels: tuple[str, ...], resamples: int) -> Evaluation:
    """Score the test outputs (K, n, C) of one head per seed, window by window, over `resamples` of the tracks."""
    weights = bootstrap_weights(len(problem.test.track_ids), resamples)
    judged, targets = problem.judged(outputs, problem.test)
    if problem.aggregate == "window":
        weights = weights[:, problem.test.tracks]
    judged, targets, weights = judged.cpu(), targets.cpu(), torch.from_numpy(weights).float()
    return _EVALUATORS[problem.kind](judged, targets, weights, labels)


def evaluate_beats(
    labelled: Sequence[np.ndarray], decoded: Sequence[Sequence[np.ndarray]], resamples: int
) -> Evaluation:
    """Score beat times in seconds: `labelled` one array per track, `decoded` the same for each seed."""
    references = [times.tolist() for times in labelled]
    results = [
        BeatF().compute(predictions=[times.tolist() for times in seed], references=references) for seed in decoded
    ]
    counts = {
        tolerance: np.array(
            [[match_counts(*track, tolerance) for track in zip(labelled, seed, strict=True)] for seed in decoded]
        )
        for tolerance in (0.07, 0.02)
    }  # (K, tracks, 3)
    weights = bootstrap_weights(len(labelled), resamples)
    pooled = {tolerance: np.einsum("rt,ktc->rkc", weights, each) for tolerance, each in counts.items()}
    resampled = {
        "beat_f1_70ms_micro": f_measure(pooled[0.07]),
        "beat_f1_70ms": weights @ f_measure(counts[0.07]).T / len(labelled),
        "beat_f1_20ms_micro": f_measure(pooled[0.02]),
    }
    return Evaluation({name: [result[name] for result in results] for name in resampled}, resampled)


def bootstrap_weights(num_tracks: int, resamples: int, seed: int = 0) -> np.ndarray:
    """(R, tracks): how often each resample draws each track; equal for all models, so that they can be paired."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(num_tracks, np.full(num_tracks, 1 / num_tracks), size=resamples)


def _evaluate_classes(outputs, targets, weights, labels) -> Evaluation:
    predicted = outputs.argmax(dim=-1)
    seeds = [Accuracy().compute(predictions=each, references=targets)["accuracy"] for each in predicted]
    confusion = np.zeros((len(labels), len(labels)), dtype=int)
    for each in predicted:
        np.add.at(confusion, (targets.numpy(), each.numpy()), 1)
    resampled = {"accuracy": scores.accuracy(outputs, targets, weights).numpy()}
    return Evaluation({"accuracy": seeds}, resampled, {"confusion": confusion.tolist(), "labels": list(labels)})


def _evaluate_keys(outputs, targets, weights, labels) -> Evaluation:
    classes = _evaluate_classes(outputs, targets, weights, labels)
    predicted = outputs.argmax(dim=-1)
    seeds = [KeyScore().compute(predictions=each, references=targets)["key_score"] for each in predicted]
    resampled = {"key_score": scores.key_score(outputs, targets, weights).numpy()}
    return Evaluation({"key_score": seeds} | classes.seeds, resampled | classes.resampled, classes.details)


def _evaluate_tags(outputs, targets, weights, labels) -> Evaluation:
    results = [Tagging().compute(predictions=each, references=targets.to(torch.int8)) for each in outputs]
    seeds = {name: [result[name] for result in results] for name in ("roc_auc", "average_precision")}
    resampled = {
        "roc_auc": scores.roc_auc(outputs, targets, weights).nanmean(dim=-1).numpy(),
        "average_precision": scores.average_precision(outputs, targets, weights).nanmean(dim=-1).numpy(),
    }
    absent = [labels[tag] for tag in results[0]["absent_tags"]]
    everything = torch.ones(1, len(targets))
    per_tag = scores.roc_auc(outputs, targets, everything)[0].mean(dim=0)
    details = {
        "absent_tags": absent,
        "roc_auc_per_tag": dict(zip(labels, map(_finite, per_tag.tolist()), strict=True)),
    }
    return Evaluation(seeds, resampled, details)


def _evaluate_regression(outputs, targets, weights, labels) -> Evaluation:
    results = [R2().compute(predictions=each, references=targets) for each in outputs]
    resampled = scores.r2(outputs, targets, weights).numpy()
    seeds = {"r2": [result["r2"] for result in results]}
    spread = {"r2": np.nanmean(resampled, axis=-1)}
    for index, label in enumerate(labels if len(labels) > 1 else ()):
        seeds[f"r2_{label}"] = [result["r2_per_dimension"][index] for result in results]
        spread[f"r2_{label}"] = resampled[..., index]
    return Evaluation(seeds, spread)


_EVALUATORS = {
    "multiclass": _evaluate_classes,
    "key": _evaluate_keys,
    "multilabel": _evaluate_tags,
    "regression": _evaluate_regression,
}


def _finite(value: float) -> float | None:
    """JSON has no NaN."""
    return float(value) if np.isfinite(value) else None
