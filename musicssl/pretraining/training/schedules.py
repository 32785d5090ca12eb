"""Learning-rate schedules of the references, as a factor of the peak at each update.

The factor of update n holds for the step that follows its backward pass; the first update is 0.
"""

import math
from collections.abc import Callable


def tri_stage(
    update: int,
    warmup_updates: int,
    hold_updates: int,
    decay_updates: int,
    initial_scale: float = 0.01,
    final_scale: float = 0.01,
) -> float:
    """Linear warm-up, constant, exponential decay (data2vec, fairseq `tri_stage_lr_scheduler.py`)."""
    if update < warmup_updates:
        return initial_scale + (1.0 - initial_scale) * update / warmup_updates
    decayed = update - warmup_updates - hold_updates
    if decayed <= 0:
        return 1.0
    if decayed >= decay_updates:
        return final_scale
    return math.exp(math.log(final_scale) * decayed / decay_updates)


def polynomial(update: int, warmup_updates: int, max_updates: int, power: float = 1.0) -> float:
    """Linear warm-up from 0, then polynomial decay to 0 (HuBERT, fairseq `polynomial_decay_schedule.py`)."""
    if update < warmup_updates:
        return update / warmup_updates
    if update >= max_updates:
        return 0.0
    return (1.0 - (update - warmup_updates) / (max_updates - warmup_updates)) ** power


def make_schedule(name: str, max_updates: int, warmup_updates: int, hold_updates: int = 0) -> Callable[[int], float]:
    """The factor of the peak learning rate as a function of the update.

    Args:
        name: "tri_stage", which decays over the updates that follow warm-up and hold, or "polynomial".

    Raises:
        ValueError: the name is unknown or the stages do not fit into `max_updates`.
    """
    if warmup_updates < 0 or hold_updates < 0 or warmup_updates + hold_updates > max_updates:
        raise ValueError(
            f"{warmup_updates} warm-up and {hold_updates} hold updates do not fit into {max_updates} updates"
        )
    if name == "tri_stage":
        decay_updates = max_updates - warmup_updates - hold_updates
        return lambda update: tri_stage(update, warmup_updates, hold_updates, decay_updates)
    if name == "polynomial":
        return lambda update: polynomial(update, warmup_updates, max_updates)
    raise ValueError(f"no schedule named {name!r}; available: tri_stage or polynomial")
