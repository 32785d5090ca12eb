"""Train every probing head of a task at once, by MARBLE v1's rules.

Adam without weight decay, batches of 64, the learning rate halved on a plateau, early stopping, the best epoch kept.
Each head has its own weights, Adam moments, plateau and patience; the heads only share the arithmetic.

Shapes: H heads still training; the other letters as in `heads.py`.
"""

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from musicssl.files import whole_file
from musicssl.probing.heads.adam import adam_step
from musicssl.probing.heads.head_data import Problem
from musicssl.probing.heads.heads import Head, HeadSettings, HeadStack, TrainedHeads, grid

# Validation outputs in memory at once; heads of a large task are judged in turns.
OUTPUT_BYTES = 2 << 30


def train_heads(
    problem: Problem,
    settings: HeadSettings,
    device: torch.device,
    checkpoint: Path | None = None,
    checkpoint_seconds: float = 300.0,
    on_epoch: Callable[[int, int], None] | None = None,
) -> TrainedHeads:
    """Train the whole grid on one task.

    Args:
        checkpoint: file that a killed run resumes from, bit for bit; removed by the caller when the task is done.
        checkpoint_seconds: time between two writes of it.
        on_epoch: called with (epoch, heads still training).
    """
    heads = grid(problem.state_names, bool(problem.mixed_states), settings)
    network = HeadStack(heads, problem.state_names, problem.mixed_states, settings, device)
    run = _GridRun(heads, network, problem, settings, device)
    if checkpoint is not None and checkpoint.is_file():
        run.load_state_dict(torch.load(checkpoint, map_location=device, weights_only=True))
    written = time.monotonic()
    while run.epoch < settings.epochs and len(run.rows):
        run.train_epoch()
        run.judge_epoch()
        if on_epoch is not None:
            on_epoch(run.epoch, len(run.rows))
        if checkpoint is not None and time.monotonic() - written >= checkpoint_seconds:
            with whole_file(checkpoint) as partial:
                torch.save(run.state_dict(), partial)
            written = time.monotonic()
    return TrainedHeads(heads, run.best_weights, run.best, run.best_epoch, network)


class _GridRun:
    """The state of a grid in training; the heads that stopped leave the batch."""

    def __init__(
        self, heads: Sequence[Head], network: HeadStack, problem: Problem, settings: HeadSettings, device: torch.device
    ) -> None:
        self.network, self.problem, self.settings, self.device = network, problem, settings, device
        width, num_heads = problem.train.width, len(heads)
        self.rows = torch.arange(num_heads, device=device)  # (H,) which heads of the grid still train
        self.weights = network.initial_weights(heads, width, problem.num_outputs)
        self.first_moment = {name: torch.zeros_like(tensor) for name, tensor in self.weights.items()}
        self.second_moment = {name: torch.zeros_like(tensor) for name, tensor in self.weights.items()}
        self.learning_rate = torch.tensor([head.learning_rate for head in heads], device=device)
        self.best_weights = {name: tensor.clone() for name, tensor in self.weights.items()}
        self.best = torch.full((num_heads,), -math.inf, device=device)
        self.best_epoch = torch.zeros(num_heads, dtype=torch.long, device=device)
        self.plateau_best = torch.full((num_heads,), -math.inf, device=device)
        self.plateau_epochs = torch.zeros(num_heads, dtype=torch.long, device=device)
        self.epoch = self.step = 0
        self.order_generators = [torch.Generator().manual_seed(seed) for seed in settings.seeds]
        self.dropout_generators = [torch.Generator(device=device).manual_seed(seed) for seed in settings.seeds]

    def train_epoch(self) -> None:
        """One pass over the training examples, in another order for each seed."""
        train = self.problem.train
        orders = torch.stack([torch.randperm(len(train), generator=each) for each in self.order_generators])
        for batch in orders.split(self.settings.batch_size, dim=1):
            self.step += 1
            parts = batch.split(self.network.examples_at_once(train), dim=1)
            groups = self.network.groups(len(self.rows), parts[0].shape[1] * train.frames_per_example, train.width)
            leaves = [
                {name: tensor[group].detach().requires_grad_() for name, tensor in self.weights.items()}
                for group in groups
            ]
            for number, part in enumerate(parts, start=1):
                features, targets = train.batch(part, self.device, self.order_generators)
                dropout = self.network.draw_dropout(features.shape[1], self.dropout_generators)
                for group, weights in zip(groups, leaves, strict=True):
                    rows = self.rows[group]
                    outputs = self.network.forward(weights, rows, features, dropout)
                    loss = self.problem.kind.loss(outputs, targets[self.network.seed_row[rows]])  # (heads,)
                    # Sum over heads: each head's gradient is that of its own mean loss.
                    (loss.sum() / (batch.shape[1] * train.frames_per_example)).backward()
                    if number == len(parts):
                        self._update(group, weights)

    def _update(self, group: slice, weights: dict[str, torch.Tensor]) -> None:
        """Adam for some heads, while their gradients are still in the cache; frees the gradients."""
        names = [name for name, tensor in weights.items() if tensor.grad is not None]  # no "mix" without mixed heads
        adam_step(
            [weights[name].detach() for name in names],
            [weights[name].grad for name in names],
            [self.first_moment[name][group] for name in names],
            [self.second_moment[name][group] for name in names],
            self.learning_rate[group],
            self.step,
        )
        weights.clear()

    def judge_epoch(self) -> None:
        """Score every head on validation; keep the best ones, halve rates on a plateau, drop heads out of patience."""
        self.epoch += 1
        score = self._validation_scores()
        improved = score > self.best[self.rows]
        better = self.rows[improved]
        self.best[better] = score[improved]
        self.best_epoch[better] = self.epoch
        for name, tensor in self.weights.items():
            self.best_weights[name][better] = tensor[improved]
        self._reduce_on_plateau(score)
        running = self.epoch - self.best_epoch[self.rows] < self.settings.patience
        if not running.all():
            self._keep(running)

    def _validation_scores(self) -> torch.Tensor:
        """(H,), -inf where there is no score."""
        validation = self.problem.validation
        at_once = max(1, OUTPUT_BYTES // (4 * len(validation) * self.problem.num_outputs))
        scores = []
        for first in range(0, len(self.rows), at_once):
            group = slice(first, first + at_once)
            weights = {name: tensor[group] for name, tensor in self.weights.items()}
            scores.append(self.problem.validation_score(self.network.outputs(weights, self.rows[group], validation)))
        return torch.cat(scores).nan_to_num(nan=-math.inf).float().to(self.device)

    def _reduce_on_plateau(self, score: torch.Tensor) -> None:
        """torch's ReduceLROnPlateau(mode="max", threshold=1e-4 relative), a plateau per head."""
        better = score > self.plateau_best * (1 + 1e-4)
        self.plateau_best = torch.where(better, score, self.plateau_best)
        self.plateau_epochs = torch.where(better, 0, self.plateau_epochs + 1)
        over = self.plateau_epochs > self.settings.plateau_patience
        self.learning_rate = torch.where(over, self.learning_rate * self.settings.plateau_factor, self.learning_rate)
        self.plateau_epochs = torch.where(over, 0, self.plateau_epochs)

    def _keep(self, running: torch.Tensor) -> None:
        for group in (self.weights, self.first_moment, self.second_moment):
            for name, tensor in group.items():
                group[name] = tensor[running]
        for name in ("rows", "learning_rate", "plateau_best", "plateau_epochs"):
            setattr(self, name, getattr(self, name)[running])

    _TENSORS = (
        "rows", "weights", "first_moment", "second_moment", "learning_rate", "best_weights", "best", "best_epoch",
        "plateau_best", "plateau_epochs", "epoch", "step",
    )  # fmt: skip

    def state_dict(self) -> dict:
        """Everything the rest of the training depends on, random generators included."""
        state = {name: getattr(self, name) for name in self._TENSORS}
        generators = [*self.order_generators, *self.dropout_generators]
        return state | {"generators": [generator.get_state() for generator in generators]}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict` was taken."""
        for name in self._TENSORS:
            setattr(self, name, state[name])
        generators = [*self.order_generators, *self.dropout_generators]
        for generator, saved in zip(generators, state["generators"], strict=True):
            generator.set_state(saved.cpu())
