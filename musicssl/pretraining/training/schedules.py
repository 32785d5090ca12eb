"""Learning-rate schedules of the references, as a factor of the peak at each update.

The factor of update n holds for the step that follows its backward pass; the first update is 0.
"""

import math
from collections.abc import Callable


def make_schedule(name: str, max_updates: int, warmup_updates: int, hold_updates: int = 0) -> Callable[[int], float]:
    """The factor of the peak learning rate as a function of the update.

    Args:
        name: "tri_stage": linear warm-up from 0.01, constant, exponential decay to 0.01 over the updates that remain
            (data2vec, fairseq `tri_stage_lr_scheduler.py`); or "polynomial": linear warm-up from 0 and linear decay
            to 0 (HuBERT, fairseq `polynomial_decay_schedule.py`).

    Raises:
        ValueError: the name is unknown or the stages do not fit into `max_updates`.
    """
    if warmup_updates < 0 or hold_updates < 0 or warmup_updates + hold_updates > max_updates:
        raise ValueError(
            f"{warmup_updates} warm-up and {hold_updates} hold updates do not fit into {max_updates} updates"
        )
    decay_updates = max_updates - warmup_updates - hold_updates

    def tri_stage(update: int) -> float:
        if update < warmup_updates:
            return 0.01 + (1.0 - 0.01) * update / warmup_updates
        decayed = update - warmup_updates - hold_updates
        if decayed <= 0:
            return 1.0
        if decayed >= decay_updates:
            return 0.01
        return math.exp(math.log(0.01) * decayed / decay_updates)

    def polynomial(update: int) -> float:
        if update < warmup_updates:
            return update / warmup_updates
        if update >= max_updates:
            return 0.0
        return 1.0 - (update - warmup_updates) / (max_updates - warmup_updates)

    schedules = {"tri_stage": tri_stage, "polynomial": polynomial}
    if name not in schedules:
        raise ValueError(f"no schedule named {name!r}; available: tri_stage or polynomial")
    return schedules[name]
