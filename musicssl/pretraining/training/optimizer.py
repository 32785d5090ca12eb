"""The optimizer of both references: Adam with decoupled weight decay on every parameter."""

import math

import torch
from torch import nn


class ReferenceAdamW(torch.optim.AdamW):
    """AdamW with epsilon where the reference has it: added before the bias correction (fairseq `optim/adam.py`).

    PyTorch adds it after. In the same terms the reference's epsilon is 1 / sqrt(1 - beta2^t) times larger at step t:
    7 times at the first, the same after a few hundred. It matters to parameters with gradients as small as epsilon
    (queries and keys), by about the learning rate per early step.
    """

    def __init__(self, parameters, **settings):
        super().__init__(parameters, **settings)
        for group in self.param_groups:
            group.update(reference_eps=group["eps"], num_steps=0)

    def step(self, closure=None):
        for group in self.param_groups:
            group["num_steps"] += 1
            group["eps"] = group["reference_eps"] / math.sqrt(1 - group["betas"][1] ** group["num_steps"])
        return super().step(closure)


def make_optimizer(
    model: nn.Module,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    fused: bool = True,
) -> ReferenceAdamW:
    """Adam over all trainable parameters in one group.

    The defaults are those of `base_librispeech.yaml` and `hubert_base_librispeech.yaml`; biases, norms and the mask
    embedding decay too, as there. The teacher of music2vec takes no gradient and is left out.

    Args:
        fused: one kernel for all parameters, on CPUs as on GPUs; False for devices without it.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return ReferenceAdamW(trainable, lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused)
