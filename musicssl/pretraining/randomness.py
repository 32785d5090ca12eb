"""Randomness that needs no state: masks and dropout are pure functions of (seed, update, micro-batch).

Micro-batches are numbered over all processes. So the numbers depend neither on how a batch is spread over devices nor
on what was drawn before, and a resumed run draws what an uninterrupted one would have drawn.
"""

import numpy as np
import torch

WEIGHTS, MASKS, DROPOUT, VALIDATION = range(4)


def derive_seed(seed: int, purpose: int, *position: int) -> int:
    """A 63-bit seed, well mixed, from the run's seed, one of the purposes above and a position."""
    return int(np.random.SeedSequence([seed, purpose, *position]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def mask_generator(seed: int, *position: int) -> torch.Generator:
    """The generator of one micro-batch's masks; on the CPU, so that all devices see the same masks."""
    return torch.Generator().manual_seed(derive_seed(seed, MASKS, *position))


def seed_dropout(seed: int, *position: int) -> None:
    """Seed dropout and LayerDrop of one micro-batch on every device."""
    torch.manual_seed(derive_seed(seed, DROPOUT, *position))
