"""Many probing heads as one batched computation: hidden states x learning rates x seeds.

Shapes: H heads, B examples of a batch, K seeds, S hidden states, D width, U hidden units, C outputs, n windows
(beat tracking: frames) of a split.

A head is MARBLE's `ProberForBertUtterCLS`: Linear(D, 512), ReLU, Dropout(0.2), Linear(512, C) on one hidden state,
or on the softmax-weighted sum of the mixed ones. `training.py` trains them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch

from musicssl.probing.heads.head_data import FrameCrops, Split
from musicssl.probing.kinds.base import LEARNING_RATES

MIXED = "sum"  # the name of the softmax-weighted sum among the layers
# On a CPU: near the cache's size, and below the size from which the C library requests each tensor from the system.
WORKING_BYTES = {"cpu": 1 << 25, "cuda": 1 << 32}


@dataclass(frozen=True)
class HeadSettings:
    """How heads are trained; the defaults are MARBLE v1's (arXiv:2306.10548, appendix A, and its configurations).

    Attributes:
        plateau_patience: epochs without improvement after which a head's learning rate is halved.
        patience: epochs without improvement after which a head stops.
        working_bytes: memory for the features of one pass, and again for its weights, gradients and activations.
            Larger batches are accumulated in parts and more heads take turns; the results are equal. None:
            `WORKING_BYTES`.
    """

    learning_rates: tuple[float, ...] = LEARNING_RATES
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    epochs: int = 100
    patience: int = 10
    plateau_patience: int = 3
    plateau_factor: float = 0.5
    hidden_units: int = 512
    dropout: float = 0.2
    batch_size: int = 64
    working_bytes: int | None = None


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

    def __init__(
        self,
        heads: Sequence[Head],
        state_names: Sequence[str],
        mixed_states: Sequence[int],
        settings: HeadSettings,
        device: torch.device,
    ) -> None:
        self.settings = settings
        self.device = device
        self.working_bytes = settings.working_bytes or WORKING_BYTES.get(device.type, WORKING_BYTES["cuda"])
        self.mixed_states = list(mixed_states)
        seeds = list(settings.seeds)
        self.seed_row = torch.tensor([seeds.index(head.seed) for head in heads], device=device)
        # The mixed heads have no state of their own; -1 marks them.
        self.state = torch.tensor(
            [-1 if head.layer == MIXED else list(state_names).index(head.layer) for head in heads], device=device
        )

    def initial_weights(self, heads: Sequence[Head], width: int, outputs: int) -> dict[str, torch.Tensor]:
        """torch.nn.Linear's initialization and `randn` mixing weights, one draw per seed, so that layers compare."""
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
            name: torch.stack([drawn[head.seed][name] for head in heads]).to(self.device) for name in (*shapes, "mix")
        }

    def forward(
        self,
        weights: dict[str, torch.Tensor],
        rows: torch.Tensor,
        features: torch.Tensor,
        dropout: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Outputs of some heads.

        Args:
            weights: name -> (H, ...). rows: (H,) the heads' places in the grid, the mixed ones last.
            features: (K, B, S, D), a batch per seed; K = 1 serves every seed.
            dropout: (K, B, U) what hidden units are multiplied with, or None.

        Returns:
            (H, B, C)
        """
        seed_row = self.seed_row[rows] if len(features) > 1 else torch.zeros_like(rows)
        state = self.state[rows]
        sizes = [int((state >= 0).sum()), int((state < 0).sum())]
        # Separate, so that no gradient is computed for the inputs of single states.
        single, mixed = self._split_by_kind(weights, sizes)
        outputs = []
        if sizes[0]:
            inputs = features.transpose(1, 2)[seed_row[: sizes[0]], state[: sizes[0]]]
            outputs.append(self._head(single, inputs, dropout, seed_row[: sizes[0]]))
        if sizes[1]:
            states = features[:, :, self.mixed_states].permute(0, 2, 1, 3)[seed_row[sizes[0] :]]
            inputs = torch.einsum("hs,hsbd->hbd", torch.softmax(mixed["mix"], dim=-1), states)
            outputs.append(self._head(mixed, inputs, dropout, seed_row[sizes[0] :]))
        return torch.cat(outputs, dim=0)

    @staticmethod
    def _split_by_kind(weights: dict[str, torch.Tensor], sizes: list[int]) -> tuple[dict, dict]:
        """Weights by kind of head; not split where all are of one kind, as the gradient of a split is a copy."""
        if 0 in sizes:
            return weights, weights
        parts = {name: tensor.split(sizes) for name, tensor in weights.items()}
        single, mixed = ({name: part[kind] for name, part in parts.items()} for kind in (0, 1))
        return single, mixed

    @staticmethod
    def _head(
        weights: dict[str, torch.Tensor], inputs: torch.Tensor, dropout: torch.Tensor | None, seed_row: torch.Tensor
    ) -> torch.Tensor:
        hidden = torch.baddbmm(weights["b1"], inputs, weights["w1"])
        if dropout is not None:
            hidden.mul_(dropout[seed_row])  # not negative, so it may come before the ReLU, and no copy is kept
        return torch.baddbmm(weights["b2"], hidden.relu_(), weights["w2"])

    def draw_dropout(self, examples: int, generators: Sequence[torch.Generator]) -> torch.Tensor:
        """(K, B, U): one draw per seed, so that heads of one seed differ in layer and learning rate alone."""
        keep = 1 - self.settings.dropout
        shape = (examples, self.settings.hidden_units)
        draws = [torch.rand(shape, generator=generator, device=self.device) for generator in generators]
        return torch.stack(draws).lt_(keep).div_(keep)

    @torch.no_grad()
    def outputs(self, weights: dict[str, torch.Tensor], rows: torch.Tensor, split: Split) -> torch.Tensor:
        """(H, n, C): the outputs for every window (beat tracking: frame) of a split."""
        parts = torch.arange(len(split)).split(self.examples_at_once(split))
        groups = self.groups(len(rows), len(parts[0]), split.width)
        outputs = []
        for index in parts:
            features, _ = split.batch(index[None], self.device)
            of_groups = [
                self.forward({name: tensor[group] for name, tensor in weights.items()}, rows[group], features)
                for group in groups
            ]
            outputs.append(torch.cat(of_groups, dim=0))
        return torch.cat(outputs, dim=1)

    def examples_at_once(self, split: Split | FrameCrops) -> int:
        """How many examples of a split have their features, for every seed, in memory at once."""
        floats = len(self.settings.seeds) * (split.num_states * split.width + self.settings.hidden_units)
        return max(1, self.working_bytes // (4 * floats * split.frames_per_example))

    def groups(self, num_heads: int, num_inputs: int, width: int) -> list[slice]:
        """Which heads pass `num_inputs` windows or frames together."""
        floats = (2 * width + 4 * num_inputs) * self.settings.hidden_units
        size = max(1, self.working_bytes // (4 * floats))
        return [slice(first, min(first + size, num_heads)) for first in range(0, num_heads, size)]


def grid(state_names: Sequence[str], mixed: bool, settings: HeadSettings) -> list[Head]:
    """Every hidden state, then the weighted sum, times learning rates, times seeds."""
    layers = (*state_names, MIXED) if mixed else tuple(state_names)
    return [Head(*point) for point in product(layers, settings.learning_rates, settings.seeds)]
