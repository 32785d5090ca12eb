"""Guards that stop a run which no longer learns, naming the cause, the last healthy checkpoint and what to try."""

import math
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from musicssl.errors import UserError
from musicssl.pretraining.config.settings import HealthConfig

# The loss is smoothed over about this many updates before it is compared with its best.
SMOOTHING_UPDATES = 100


class UnhealthyRun(UserError):
    """A guard stopped training; the message says why and what to try."""


@dataclass
class HealthState:
    """What the guards remember between updates; part of every checkpoint."""

    nonfinite_in_row: int = 0
    skipped_updates: int = 0
    smoothed_loss: float | None = None
    best_loss: float | None = None
    updates_above_best: int = 0
    warned_of_divergence: bool = False


class HealthMonitor:
    """Checks the numbers of every update; its messages recommend `last_checkpoint` to return to."""

    def __init__(self, limits: HealthConfig, state: dict | None = None):
        self.limits = limits
        self.state = HealthState(**(state or {}))
        self.last_checkpoint: Path | None = None

    def state_dict(self) -> dict:
        return asdict(self.state)

    def check_finite(self, update: int, loss: float, grad_norm: float) -> bool:
        """Whether the update may be applied; counts those that may not.

        Raises:
            UnhealthyRun: after `max_nonfinite_updates` in a row.
        """
        if math.isfinite(loss) and math.isfinite(grad_norm):
            self.state.nonfinite_in_row = 0
            return True
        self.state.nonfinite_in_row += 1
        self.state.skipped_updates += 1
        if self.state.nonfinite_in_row >= self.limits.max_nonfinite_updates:
            self._stop(
                update,
                f"the loss ({loss:g}) or gradient norm ({grad_norm:g}) was not finite "
                f"{self.state.nonfinite_in_row} times in a row",
                "a lower --learning_rate, --max_grad_norm 10, --mixed_precision no, or another --sdpa_backend",
            )
        return False

    def check_update(self, update: int, metrics: dict[str, float]) -> None:
        """Collapse and divergence after an applied update, from its own metrics.

        Raises:
            UnhealthyRun: a guard tripped.
        """
        if update >= self.limits.collapse_grace_updates:
            self._check_std(update, metrics, "target/std", "min_target_std", "the teacher's targets")
            self._check_std(update, metrics, "prediction/std", "min_prediction_std", "the predictions")
        self._check_divergence(update, next(iter(metrics.values())))

    def check_labels(self, update: int, perplexities: dict[str, float]) -> None:
        """Raise UnhealthyRun when nearly all frames carry the same label."""
        for name, perplexity in perplexities.items():
            if perplexity < self.limits.min_label_perplexity:
                self._stop(
                    update,
                    f"{name} is {perplexity:.2f}, below --min_label_perplexity "
                    f"{self.limits.min_label_perplexity:g}: nearly every frame has the same label",
                    "listening to the data (silence?), or fitting the codebook again with more audio",
                )

    def _check_std(self, update: int, metrics: dict[str, float], name: str, flag: str, what: str) -> None:
        floor = getattr(self.limits, flag)
        if metrics.get(name, math.inf) < floor:
            self._stop(
                update,
                f"collapse: {name} is {metrics[name]:.4g}, below --{flag} {floor:g}; {what} are nearly constant",
                "a lower --learning_rate, a longer warm-up, or more audio per update",
            )

    def _check_divergence(self, update: int, loss: float) -> None:
        state, limits = self.state, self.limits
        previous = loss if state.smoothed_loss is None else state.smoothed_loss
        state.smoothed_loss = previous + (loss - previous) / SMOOTHING_UPDATES
        if state.best_loss is None or state.smoothed_loss < state.best_loss:
            state.best_loss = state.smoothed_loss
        above = state.smoothed_loss > state.best_loss + limits.divergence_margin * abs(state.best_loss)
        state.updates_above_best = state.updates_above_best + 1 if above else 0
        if state.updates_above_best < limits.divergence_updates:
            return
        cause = (
            f"divergence: the smoothed loss {state.smoothed_loss:.4g} has been more than "
            f"{limits.divergence_margin:.0%} above its best {state.best_loss:.4g} "
            f"for {state.updates_above_best} updates"
        )
        if limits.divergence_action == "stop":
            self._stop(update, cause, "a lower --learning_rate, a longer warm-up, or --divergence_action warn")
        elif not state.warned_of_divergence:
            state.warned_of_divergence = True
            print(f"warning: update {update}: {cause}", file=sys.stderr)

    def _stop(self, update: int, cause: str, remedy: str) -> None:
        where = self.last_checkpoint or "none was written yet"
        raise UnhealthyRun(f"stopped at update {update}: {cause}. Last healthy checkpoint: {where}. Try {remedy}.")
