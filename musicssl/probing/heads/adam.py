"""Adam for many heads at once, each with its own learning rate.

Shapes: H heads; every tensor is (H, ...).
"""

import math
from collections.abc import Sequence

import torch
from torch.optim.adam import adam

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8


@torch.no_grad()
def adam_step(
    weights: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    first_moments: Sequence[torch.Tensor],
    second_moments: Sequence[torch.Tensor],
    learning_rates: torch.Tensor,
    step: int,
) -> None:
    """One update of torch.optim.Adam without weight decay, in place.

    On a CPU memory is the limit: torch's fused kernel updates head by head, in one pass instead of ten. On an
    accelerator kernel launches are the limit: each operation updates all heads.

    Args:
        learning_rates: (H,). step: counted from 1.
    """
    each = (weights, gradients, first_moments, second_moments)
    (_one_by_one if learning_rates.device.type == "cpu" else _together)(*each, learning_rates, step)


def _one_by_one(weights, gradients, first_moments, second_moments, learning_rates, step) -> None:
    for row, rate in enumerate(learning_rates.tolist()):
        steps = [torch.tensor(step - 1.0) for _ in weights]  # the kernel counts the update itself
        adam(
            *([tensor[row] for tensor in group] for group in (weights, gradients, first_moments, second_moments)),
            [],
            steps,
            fused=True,
            amsgrad=False,
            beta1=BETA1,
            beta2=BETA2,
            lr=rate,
            weight_decay=0.0,
            eps=EPS,
            maximize=False,
        )


def _together(weights, gradients, first_moments, second_moments, learning_rates, step) -> None:
    correction1, correction2 = 1 - BETA1**step, math.sqrt(1 - BETA2**step)
    for tensor, gradient, first, second in zip(weights, gradients, first_moments, second_moments, strict=True):
        first.lerp_(gradient, 1 - BETA1)
        second.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        rate = (learning_rates / correction1).view(-1, *[1] * (tensor.dim() - 1))
        tensor.sub_(rate * first / (second.sqrt().div_(correction2).add_(EPS)))
