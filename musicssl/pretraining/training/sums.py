"""Weighted sums of metrics over micro-batches and processes, and their means."""

import math
from dataclasses import dataclass, field

import torch
from accelerate import Accelerator

from musicssl.distributed import in_float64
from musicssl.pretraining.training.objectives import WeightedMetrics


@dataclass
class MetricSums:
    """Weighted sums of metrics over micro-batches, on the device until they are asked for (mps: on the CPU)."""

    sums: dict[str, torch.Tensor] = field(default_factory=dict)
    weights: dict[str, torch.Tensor] = field(default_factory=dict)

    def add(self, metrics: WeightedMetrics) -> None:
        for name, (weighted_sum, weight) in metrics.items():
            self.sums[name] = self.sums.get(name, 0) + in_float64(weighted_sum)
            self.weights[name] = self.weights.get(name, 0) + in_float64(weight)

    def reduced(self, accelerator: Accelerator) -> dict[str, tuple[float, float]]:
        """Summed over processes, on the host: name -> (weighted sum, weight)."""
        vector = torch.stack([*self.sums.values(), *self.weights.values()])
        values = accelerator.reduce(vector, "sum").tolist()
        return dict(zip(self.sums, zip(values, values[len(self.sums) :], strict=False), strict=True))

    def local(self) -> dict[str, tuple[float, float]]:
        """This process's sums, on the host."""
        return {name: (self.sums[name].item(), self.weights[name].item()) for name in self.sums}


def mean_metrics(metrics: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Sum over weight of every metric; NaN where the weight is 0."""
    return {name: total / weight if weight else math.nan for name, (total, weight) in metrics.items()}
