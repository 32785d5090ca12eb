"""One optimizer update: micro-batches forward and back, exact global normalization, clipping, step.

The gradient of an update is d(sum of losses) / d(parameters) over all micro-batches and processes, divided by the
number of masked frames over all of them: how a batch is spread makes no difference beyond rounding.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from musicssl.pretraining.randomness import mask_generator, seed_dropout
from musicssl.pretraining.training.state import TrainingRun
from musicssl.pretraining.training.sums import MetricSums, mean_metrics


@dataclass(frozen=True)
class UpdateResult:
    """What an update gave, the same on all processes."""

    metrics: dict[str, tuple[float, float]]
    grad_norm: float

    @property
    def loss(self) -> float:
        """Mean over the masked frames of the update: the first metric of every objective."""
        return next(iter(mean_metrics(self.metrics).values()))


def compute_gradients(run: TrainingRun, batches: Iterator[dict[str, Any]], **forward_options: Any) -> UpdateResult:
    """Leave the gradient of update number `run.update`, normalized and clipped, in the model's parameters.

    Args:
        run: its model is prepared by the accelerator, and the gradients of its parameters are empty.
        batches: gives the micro-batches of this process.
        forward_options: handed to the model beside the objective's inputs.
    """
    accelerator, objective, optimisation = run.accelerator, run.objective, run.config.optimisation
    objective.before_forward(run.update)
    sums = MetricSums()
    world_size = accelerator.num_processes
    for index in range(run.geometry.accumulation):
        # Numbered over processes, so 4 x 1 and 2 x 2 micro-batches draw the same masks and dropout.
        place = (run.update, index * world_size + accelerator.process_index)
        inputs = objective.prepare(next(batches), mask_generator(optimisation.seed, *place))
        seed_dropout(optimisation.seed, *place)
        is_last = index == run.geometry.accumulation - 1
        with nullcontext() if is_last else accelerator.no_sync(run.model):
            outputs = run.model(**inputs, **forward_options)
            accelerator.backward(outputs.loss_sum)
        sums.add(objective.metrics(outputs))
    metrics = sums.reduced(accelerator)
    _, num_masked_frames = next(iter(metrics.values()))
    # Data parallel wrappers average over processes where the update needs the sum.
    grad_norm = _normalize_and_clip(run.model, world_size / num_masked_frames, optimisation.max_grad_norm)
    return UpdateResult(metrics, grad_norm)


@torch.no_grad()
def _normalize_and_clip(model: torch.nn.Module, scale: float, max_norm: float) -> float:
    """Multiply all gradients by `scale` and clip them, in one pass; returns the norm before clipping."""
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in trainable:
        # A layer that LayerDrop left out of the whole update has a gradient of zero, as in the reference, so that its
        # momentum keeps acting. With None it would depend on which process dropped which layers.
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
