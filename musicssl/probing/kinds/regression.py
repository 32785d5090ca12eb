"""One or several numbers per clip."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from musicssl.probing.kinds.base import ClipKind, HeadOutputs
from musicssl.probing.kinds.evaluation import Evaluation
from musicssl.probing.metrics import batched
from musicssl.probing.metrics.r2 import R2


class Regression(ClipKind):
    """A label is a tuple of numbers, one per dimension."""

    name = "regression"
    column = "a number; A+B: columns A and B are the dimensions of one label"
    metrics = ("r2",)

    def columns(self, label: str) -> list[str]:
        """A column per dimension."""
        return label.split("+")

    def parse(self, values: Sequence[Any]) -> Any:
        """The numbers."""
        return tuple(float(value) for value in values)

    def encode(self, columns: Sequence[str], labels: Sequence[Any]) -> tuple[tuple[str, ...], Sequence[Any]]:
        """The names of the columns."""
        return tuple(columns), labels

    def target(self, label: Any, vocabulary: Sequence[str]) -> np.ndarray | int:
        """The numbers."""
        return np.array(label, dtype=np.float32)

    def target_scale(self, targets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor] | None:
        """Mean and standard deviation of the training tracks: R2 does not change, and the learning rates fit."""
        return targets.mean(dim=0), targets.std(dim=0, correction=0).clamp(min=1e-6)

    def loss(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Squared error."""
        return F.mse_loss(outputs, targets, reduction="none").mean(dim=2).sum(dim=1)

    def monitor(self, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Mean R2 of the dimensions, as MARBLE v1."""
        return batched.r2(outputs, targets, batched.all_once(outputs))[0].nanmean(dim=-1)

    def evaluate(self, test: HeadOutputs) -> Evaluation:
        """Mean R2, and with several dimensions also the R2 of each."""
        results = [R2().compute(predictions=each, references=test.targets) for each in test.outputs]
        of_resamples = batched.r2(test.outputs, test.targets, test.weights).numpy()
        seeds = {"r2": [result["r2"] for result in results]}
        resampled = {"r2": np.nanmean(of_resamples, axis=-1)}
        for index, name in enumerate(test.vocabulary if len(test.vocabulary) > 1 else ()):
            seeds[f"r2_{name}"] = [result["r2_per_dimension"][index] for result in results]
            resampled[f"r2_{name}"] = of_resamples[..., index]
        return Evaluation(seeds, resampled)
