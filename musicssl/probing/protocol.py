"""The probing protocol: choose layer and learning rate on validation, test once (MARBLE, arXiv:2306.10548).

The original evaluation scripts ranked layers by their *test* score; nothing here reads the test split before the
choice is made.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import torch

from musicssl.errors import UserError
from musicssl.probing.encoders.features import ExtractionSettings, Extractor, WindowRule
from musicssl.probing.heads.heads import HeadSettings, TrainedHeads
from musicssl.probing.heads.tensors import build_problem
from musicssl.probing.heads.training import train_heads
from musicssl.probing.kinds import get_kind
from musicssl.probing.results.results import Probed, TaskResult
from musicssl.probing.tasks.base import Task, TaskData


@dataclass(frozen=True)
class ProbeSettings:
    """The part of the protocol that users may change, see `ProbeRequest`; None leaves the task's own value."""

    extraction: ExtractionSettings
    learning_rates: tuple[float, ...] | None = None
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int | None = None
    window_seconds: float | None = None
    channel_mode: str = "mean"
    pooling: str = "mean"
    feature_scaling: str = "auto"
    bootstrap_resamples: int = 1000
    head_device: torch.device = torch.device("cpu")
    checkpoint_seconds: float = 300.0

    @property
    def standard(self) -> bool:
        """Whether every task keeps its own protocol: only then are scores comparable with published ones."""
        own = (self.learning_rates, self.epochs, self.window_seconds) == (None, None, None)
        return own and self.channel_mode == self.pooling == "mean" and self.feature_scaling == "auto"

    def heads(self, task: Task) -> HeadSettings:
        """Training settings of a task's heads."""
        return HeadSettings(
            learning_rates=self.learning_rates or get_kind(task.kind).learning_rates,
            seeds=self.seeds,
            epochs=self.epochs or task.epochs,
            patience=task.patience,
            plateau_patience=task.plateau_patience,
        )

    def window_rule(self, task: Task) -> WindowRule:
        """How the task's clips are cut; kinds of frames need the whole clip."""
        if get_kind(task.kind).of_frames:
            return WindowRule(None, 0.0, "frames", self.channel_mode)
        seconds = self.window_seconds or task.window_seconds
        return WindowRule(seconds, task.minimum_window_seconds, self.pooling, self.channel_mode)


def fingerprint(task: Task, data: TaskData, extractor: Extractor, settings: ProbeSettings) -> str:
    """Hash of everything a result depends on; a finished task with the same hash is not done again."""
    labels = sorted(
        [e.clip_id, e.split, e.track_id, str(e.label), e.start_seconds, str(e.seconds)] for e in data.examples
    )
    facts = [
        task.name,
        task.kind,
        task.aggregate,
        task.labels,
        labels,
        extractor.encoder.fingerprint,
        asdict(extractor.rule),
        asdict(settings.heads(task)),
        settings.feature_scaling,
        settings.bootstrap_resamples,
        extractor.settings.feature_dtype,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def probe_task(
    task: Task,
    data: TaskData,
    extractor: Extractor,
    settings: ProbeSettings,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, int], None] | None = None,
) -> Probed:
    """Train every head of the grid, choose on validation, test the choice once.

    `extractor` must hold the features of `data` (see `Extractor.extract`).

    Raises:
        UserError: a split has no usable clip, or the kind of task does not give the task's primary metric.
    """
    encoder = extractor.encoder
    scaling = encoder.scaling if settings.feature_scaling == "auto" else settings.feature_scaling
    problem = build_problem(task, data.examples, extractor, scaling)
    trained = train_heads(
        problem, settings.heads(task), settings.head_device, checkpoint, settings.checkpoint_seconds, on_epoch
    )
    layers = layer_scores(trained)
    layer = max(layers, key=lambda name: layers[name]["validation"])
    rate = layers[layer]["learning_rate"]
    chosen = [i for i, head in enumerate(trained.heads) if head.layer == layer and head.learning_rate == rate]
    evaluation = problem.evaluate(trained.predict(problem.test, chosen), settings.bootstrap_resamples)
    if task.primary_metric not in evaluation.seeds:
        known = ", ".join(evaluation.seeds)
        raise UserError(f"task {task.name}: primary metric {task.primary_metric} is not one of {known}")
    skipped = {example.clip_id: reason for example in data.examples if (reason := extractor.skip_reason(example))}
    used = [example for example in data.examples if example.clip_id not in skipped]
    notes = [*data.notes, *evaluation.notes]
    if skipped:
        notes.append(f"{len(skipped)} clips left out, first {next(iter(skipped.items()))}")
    result = TaskResult(
        metrics=evaluation.metrics(np.random.default_rng(0)),
        primary_metric=task.primary_metric,
        layer=layer,
        learning_rate=rate,
        layers=layers,
        split_sizes=replace(data, examples=used).counts(),
        comparable=data.comparable and settings.standard,
        comparable_to=_comparable_to(task, data, settings),
        kind=task.kind,
        title=task.title,
        epochs=[int(trained.best_epoch[i]) for i in chosen],
        feature_scaling=scaling,
        skipped=skipped,
        notes=notes,
        details=dict(evaluation.details),
        fingerprint=fingerprint(task, data, extractor, settings),
    )
    # For the paired comparison of two models: both resample the same tracks in the same order.
    resampled = {f"resampled/{name}": values for name, values in evaluation.resampled.items()}
    return Probed(result, {"track_ids": np.array(problem.test.track_ids), **resampled})


def layer_scores(trained: TrainedHeads) -> dict[str, dict]:
    """Per layer, the learning rate whose mean validation score over seeds is best, and that score."""
    scores: dict[str, dict[float, list[float]]] = {}
    for head, score in zip(trained.heads, trained.validation.tolist(), strict=True):
        scores.setdefault(head.layer, {}).setdefault(head.learning_rate, []).append(score)
    layers = {}
    for layer, rates in scores.items():
        rate = max(rates, key=lambda each: np.mean(rates[each]))
        seeds = rates[rate]
        layers[layer] = {"validation": float(np.mean(seeds)), "seeds": seeds, "learning_rate": rate}
    return layers


def _comparable_to(task: Task, data: TaskData, settings: ProbeSettings) -> str:
    if not data.comparable:
        return f"not {task.comparable_to}: {data.notes[-1]}"
    return task.comparable_to if settings.standard else f"not {task.comparable_to}: flags changed the protocol"
