"""Train every probing head of a task at once: hidden states x learning rates x seeds as one batched computation.

Shapes: H heads still training, B examples of a batch, K seeds, S hidden states, D width, U hidden units,
C outputs, n windows (or pieces of frames) of a split, T frames of a piece.

A head is MARBLE's `ProberForBertUtterCLS`: Linear(D, 512), ReLU, Dropout(0.2), Linear(512, C) on one hidden state,
or on the softmax-weighted sum of the mixed ones. Its training is MARBLE v1's: Adam without weight decay, batches
of 64, the learning rate halved on a plateau, early stopping, the best epoch kept (tasks.md section 1). The heads
never meet: each has its own weights, Adam moments, plateau and patience; only the arithmetic is shared.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from musicssl.probing.problem import Problem, Split

MIXED = "sum"  # the name of the softmax-weighted sum among the layers


@dataclass(frozen=True)
class HeadSettings:
    """How heads are trained; the defaults are MARBLE v1's (tasks.md sections 0 and 1).

    Attributes:
        plateau_patience: epochs without improvement after which a head's learning rate is halved.
        patience: epochs without improvement after which a head stops.
        activation_bytes: memory for one forward pass; larger batches are accumulated in parts, with equal results.
    """

    learning_rates: tuple[float, ...] = (5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2)
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 100
    patience: int = 10
    plateau_patience: int = 3
    plateau_factor: float = 0.5
    hidden_units: int = 512
    dropout: float = 0.2
    batch_size: int = 64
    activation_bytes: int = 1 << 28


@dataclass(frozen=True)
class Head:
    """One point of the grid."""

    layer: str
    learning_rate: float
    seed: int


@dataclass
class TrainedHeads:
    """Every head at its best epoch.

    Attributes:
        heads: the grid.
        weights: name -> (heads, ...) tensors.
        validation: (heads,) best validation score.
        best_epoch: (heads,) epoch of it, counted from 1.
    """

    heads: list[Head]
    weights: dict[str, torch.Tensor]
    validation: torch.Tensor
    best_epoch: torch.Tensor
    network: "HeadStack"

    def predict(self, split: Split, chosen: Sequence[int]) -> torch.Tensor:
        """Outputs (len(chosen), n, C) of some heads, without dropout."""
        rows = torch.tensor(chosen, device=self.validation.device)
        weights = {name: tensor[rows] for name, tensor in self.weights.items()}
        return self.network.outputs(weights, rows, split)


class HeadStack:
    """The forward pass of many heads on the features of one task."""

    def __init__(self, heads: Sequence[Head], state_names: Sequence[str], mixed_states: Sequence[int],
                 settings: HeadSettings, device: torch.device) -> None:
        self.settings = settings
        self.device = device
        self.mixed_states = list(mixed_states)
        seeds = list(settings.seeds)
        self.seed_row = torch.tensor([seeds.index(head.seed) for head in heads], device=device)
        # The mixed heads have no state of their own; -1 marks them.
        self.state = torch.tensor(
            [-1 if head.layer == MIXED else list(state_names).index(head.layer) for head in heads], device=device
        )

    def initial_weights(self, heads: Sequence[Head], width: int, outputs: int) -> dict[str, torch.Tensor]:
        """torch.nn.Linear's initialisation and `randn` mixing weights, one draw per seed, so that layers compare."""
        settings, units = self.settings, self.settings.hidden_units
        shapes = {"w1": (width, units), "b1": (1, units), "w2": (units, outputs), "b2": (1, outputs)}
        bounds = {"w1": width, "b1": width, "w2": units, "b2": units}
        drawn = {}
        for seed in settings.seeds:
            generator = torch.Generator().manual_seed(seed)
            drawn[seed] = {
                name: (torch.rand(shape, generator=generator) * 2 - 1) / math.sqrt(bounds[name])
                for name, shape in shapes.items()
            }
            drawn[seed]["mix"] = torch.randn(max(len(self.mixed_states), 1), generator=generator)
        return {
            name: torch.stack([drawn[head.seed][name] for head in heads]).to(self.device)
            for name in (*shapes, "mix")
        }

    def inputs(self, features: torch.Tensor, rows: torch.Tensor, mix: torch.Tensor) -> torch.Tensor:
        """Each head's view of the batch.

        Args:
            features: (K, B, S, D), a batch per seed; K = 1 serves every seed.
            rows: (H,) the heads in the whole grid. mix: (H, mixed states) their mixing weights.

        Returns:
            (H, B, D)
        """
        seed_row = self.seed_row[rows] if features.shape[0] > 1 else torch.zeros_like(rows)
        state = self.state[rows]
        single, mixed = (state >= 0).nonzero()[:, 0], (state < 0).nonzero()[:, 0]
        parts = [features.transpose(1, 2)[seed_row[single], state[single]]]
        if len(mixed):
            weights = torch.softmax(mix[mixed], dim=-1)
            states = features[:, :, self.mixed_states].permute(0, 2, 1, 3)  # (K, mixed states, B, D)
            if features.shape[0] == 1:
                parts.append(torch.tensordot(weights, states[0], dims=1))
            else:
                parts.append(torch.einsum("hs,hsbd->hbd", weights, states[seed_row[mixed]]))
        # `single` and `mixed` keep the grid's order, in which the mixed heads come last.
        return torch.cat(parts)

    def forward(self, weights: dict[str, torch.Tensor], rows: torch.Tensor, features: torch.Tensor,
                generator: torch.Generator | None = None) -> torch.Tensor:
        """(K, B, S, D) -> (H, B, C); with `generator`, dropout is on."""
        hidden = torch.relu(torch.baddbmm(weights["b1"], self.inputs(features, rows, weights["mix"]), weights["w1"]))
        if generator is not None and self.settings.dropout > 0:
            keep = 1 - self.settings.dropout
            hidden = hidden * torch.empty_like(hidden).bernoulli_(keep, generator=generator).div_(keep)
        return torch.baddbmm(weights["b2"], hidden, weights["w2"])

    @torch.no_grad()
    def outputs(self, weights: dict[str, torch.Tensor], rows: torch.Tensor, split: Split) -> torch.Tensor:
        """(H, n, C): the outputs for every window (beat tracking: frame) of a split."""
        parts = []
        for index in torch.arange(len(split)).split(self.fitting(len(rows), split)):
            features, _ = split.batch(index[None], self.device)
            parts.append(self.forward(weights, rows, features))
        return torch.cat(parts, dim=1)

    def fitting(self, num_heads: int, split: Split) -> int:
        """How many examples of a split go through `num_heads` heads at once."""
        floats = num_heads * split.frames_per_example * 4 * self.settings.hidden_units
        return max(1, self.settings.activation_bytes // (4 * floats))


def grid(state_names: Sequence[str], mixed: bool, settings: HeadSettings) -> list[Head]:
    """Every hidden state, then the weighted sum, times learning rates, times seeds."""
    layers = (*state_names, MIXED) if mixed else tuple(state_names)
    return [Head(*point) for point in product(layers, settings.learning_rates, settings.seeds)]


def train_heads(problem: Problem, settings: HeadSettings, device: torch.device, checkpoint: Path | None = None,
                checkpoint_seconds: float = 300.0, on_epoch: Callable[[int, int], None] | None = None) -> TrainedHeads:
    """Train the whole grid on one task.

    Args:
        problem: features, targets, loss and validation score of the task.
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
            aside = checkpoint.with_suffix(".writing")
            torch.save(run.state_dict(), aside)
            aside.replace(checkpoint)
            written = time.monotonic()
    return TrainedHeads(heads, run.best_weights, run.best, run.best_epoch, network)


class _GridRun:
    """The state of a grid in training; the heads that stopped leave the batch."""

    def __init__(self, heads: Sequence[Head], network: HeadStack, problem: Problem, settings: HeadSettings,
                 device: torch.device) -> None:
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
        self.dropout_generator = torch.Generator(device=device).manual_seed(settings.seeds[0])
        self.order_generators = [torch.Generator().manual_seed(seed) for seed in settings.seeds]

    def train_epoch(self) -> None:
        """One pass over the training examples, in an order of its own for each seed."""
        train = self.problem.train
        orders = torch.stack([torch.randperm(len(train), generator=each) for each in self.order_generators])
        for batch in orders.split(self.settings.batch_size, dim=1):
            for tensor in self.weights.values():
                tensor.requires_grad_(True).grad = None
            for part in batch.split(self.network.fitting(len(self.rows), train), dim=1):
                features, targets = train.batch(part, self.device, self.order_generators)
                outputs = self.network.forward(self.weights, self.rows, features, self.dropout_generator)
                loss = self.problem.loss(outputs, targets[self.network.seed_row[self.rows]])  # (H, b)
                # Sum over heads: each head's gradient is that of its own mean loss.
                (loss.sum() / (batch.shape[1] * train.frames_per_example)).backward()
            self._adam_step()

    @torch.no_grad()
    def _adam_step(self, beta1: float = 0.9, beta2: float = 0.999, eps: float = 1e-8) -> None:
        """torch.optim.Adam with a learning rate per head."""
        self.step += 1
        correction1, correction2 = 1 - beta1**self.step, 1 - beta2**self.step
        for name, tensor in self.weights.items():
            gradient = tensor.grad
            tensor.requires_grad_(False).grad = None
            if gradient is None:  # no mixed head is left
                continue
            first = self.first_moment[name].lerp_(gradient, 1 - beta1)
            second = self.second_moment[name].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
            rate = (self.learning_rate / correction1).view(-1, *[1] * (tensor.dim() - 1))
            tensor.sub_(rate * first / (second.sqrt().div_(math.sqrt(correction2)).add_(eps)))

    def judge_epoch(self) -> None:
        """Score every head on validation; keep the better ones, halve on a plateau, drop those out of patience."""
        self.epoch += 1
        outputs = self.network.outputs(self.weights, self.rows, self.problem.validation)
        score = self.problem.validation_score(outputs).nan_to_num(nan=-math.inf).float()
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

    _TENSORS = ("rows", "weights", "first_moment", "second_moment", "learning_rate", "best_weights", "best",
                "best_epoch", "plateau_best", "plateau_epochs", "epoch", "step")

    def state_dict(self) -> dict:
        """Everything the rest of the training depends on, random generators included."""
        state = {name: getattr(self, name) for name in self._TENSORS}
        generators = [self.dropout_generator, *self.order_generators]
        return state | {"generators": [generator.get_state() for generator in generators]}

    def load_state_dict(self, state: dict) -> None:
        """Go on where `state_dict` was taken."""
        for name in self._TENSORS:
            setattr(self, name, state[name])
        for generator, saved in zip([self.dropout_generator, *self.order_generators], state["generators"], strict=True):
            generator.set_state(saved.cpu())
