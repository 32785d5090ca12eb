"""The optimiser of both references: Adam with decoupled weight decay on every parameter."""

import torch
from torch import nn


def make_optimizer(
    model: nn.Module,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.98),
    eps: float = 1e-6,
    weight_decay: float = 0.01,
    fused: bool = True,
) -> torch.optim.AdamW:
    """AdamW over all trainable parameters in one group.

    The defaults are those of `base_librispeech.yaml` and `hubert_base_librispeech.yaml`; biases, norms and the mask
    embedding decay too, as there. The teacher of music2vec takes no gradient and is left out.

    Args:
        fused: one kernel for all parameters, on CPUs as on GPUs; False for devices without it.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return torch.optim.AdamW(
        trainable, lr=learning_rate, betas=betas, eps=eps, weight_decay=weight_decay, fused=fused
    )
