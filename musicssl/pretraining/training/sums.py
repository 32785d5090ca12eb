"""Sums over micro-batches and processes: weighted metrics and their means, and whether something happened."""

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


class MetricWindow:
    """Weighted metric sums over the updates since the last row; floats on the host, part of every checkpoint."""

    def __init__(self, state: dict[str, list[float]] | None = None):
        self.totals: dict[str, tuple[float, float]] = {
            name: (total, weight) for name, (total, weight) in (state or {}).items()
        }

    def add(self, metrics: dict[str, tuple[float, float]]) -> None:
        for name, (total, weight) in metrics.items():
            sums = self.totals.get(name, (0.0, 0.0))
            self.totals[name] = (sums[0] + total, sums[1] + weight)

    def state_dict(self) -> dict[str, list[float]]:
        return {name: list(pair) for name, pair in self.totals.items()}


def on_any_process(accelerator: Accelerator, happened: bool) -> bool:
    """Whether something happened on any process; all call it and get the same answer."""
    flag = torch.tensor(float(happened), device=accelerator.device)
    return bool(accelerator.reduce(flag, "sum").item())


def mean_metrics(metrics: dict[str, tuple[float, float]]) -> dict[str, float]:
    """Sum over weight of every metric; NaN where the weight is 0."""
    return {name: total / weight if weight else math.nan for name, (total, weight) in metrics.items()}
