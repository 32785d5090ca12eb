"""One optimiser update: micro-batches forward and back, exact global normalisation, clipping, step.

The gradient of an update is d(sum of losses) / d(parameters) over all micro-batches and processes, divided by the
number of masked frames over all of them: how a batch is spread makes no difference beyond rounding.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator

from musicssl.distributed import in_float64
from musicssl.pretraining.randomness import mask_generator, seed_dropout
from musicssl.pretraining.training.objectives import Objective, WeightedMetrics


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


@dataclass(frozen=True)
class UpdateResult:
    """What an update gave, the same on all processes."""

    metrics: dict[str, tuple[float, float]]
    grad_norm: float

    @property
    def loss(self) -> float:
        """Mean over the masked frames of the update: the first metric of every objective."""
        return next(iter(mean_metrics(self.metrics).values()))


def mean_metrics(metrics: dict[str, tuple[float, float]]) -> dict[str, float]:
    return {name: total / weight if weight else math.nan for name, (total, weight) in metrics.items()}


def compute_gradients(
    model: torch.nn.Module,
    objective: Objective,
    accelerator: Accelerator,
    batches: Iterator[dict[str, Any]],
    accumulation: int,
    update: int,
    seed: int,
    max_grad_norm: float,
    **forward_options: Any,
) -> UpdateResult:
    """Leave the update's gradient, normalised and clipped, in the parameters.

    Args:
        model: as prepared by the accelerator; its parameters' gradients are empty.
        batches: gives the `accumulation` micro-batches of this process.
        update: 0-based number of the update.
        max_grad_norm: clip to this global norm; 0 does not clip.
        forward_options: handed to the model beside the objective's inputs.
    """
    objective.before_forward(update)
    sums = MetricSums()
    world_size = accelerator.num_processes
    for index in range(accumulation):
        # Numbered over processes, so 4 x 1 and 2 x 2 micro-batches draw the same masks and dropout.
        place = (update, index * world_size + accelerator.process_index)
        inputs = objective.prepare(next(batches), mask_generator(seed, *place))
        seed_dropout(seed, *place)
        is_last = index == accumulation - 1
        with nullcontext() if is_last else accelerator.no_sync(model):
            outputs = model(**inputs, **forward_options)
            accelerator.backward(outputs.loss_sum)
        sums.add(objective.metrics(outputs))
    metrics = sums.reduced(accelerator)
    _, num_masked_frames = next(iter(metrics.values()))
    # Data parallel wrappers average over processes where the update needs the sum.
    grad_norm = _normalise_and_clip(model, world_size / num_masked_frames, max_grad_norm)
    return UpdateResult(metrics, grad_norm)


@torch.no_grad()
def _normalise_and_clip(model: torch.nn.Module, scale: float, max_norm: float) -> float:
    """Multiply all gradients by `scale` and clip them, in one pass; returns the norm before clipping."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        # A layer that LayerDrop left out of the whole update has a gradient of zero, as in the reference: its
        # momentum goes on. Left as None, it would depend on how the layers fell on the processes.
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    gradients = [parameter.grad for parameter in trainable]
    total_norm = torch.nn.utils.get_total_norm(gradients)
    # Sharded gradients give a sharded norm.
    total_norm = total_norm.full_tensor() if hasattr(total_norm, "full_tensor") else total_norm
    norm = scale * total_norm.item()
    if max_norm > 0 and math.isfinite(norm):
        scale *= min(1.0, max_norm / (norm + 1e-6))
    torch._foreach_mul_(gradients, scale)
    return norm
