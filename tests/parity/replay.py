"""The runs of the reference implementation in tests/golden, and what is needed to repeat them."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
ENCODER = {
    "conv_dim": [16] * 7,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "activation_dropout": 0.0,
    "feat_proj_dropout": 0.0,
    "layerdrop": 0.0,
}


class GoldenRun:
    """Weights before and after, inputs and a row of numbers per update, as the reference printed them."""

    def __init__(self, name: str):
        self.updates = json.loads((GOLDEN / f"{name}.json").read_text())["updates"]
        self.tensors = load_file(GOLDEN / f"{name}.safetensors")

    def weights(self, prefix: str) -> dict[str, torch.Tensor]:
        """The tensors whose name starts with `prefix.`, without it."""
        return {
            name.removeprefix(f"{prefix}."): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(f"{prefix}.")
        }


class WorstErrors:
    """The worst relative (or absolute) error of each quantity over a replay."""

    def __init__(self, title: str):
        self.title = title
        self.rows: dict[str, tuple[float, float, str]] = {}

    def relative(self, quantity: str, ours: float, golden: float, tolerance: float) -> None:
        self._add(quantity, abs(ours - golden) / abs(golden), tolerance, "relative")

    def absolute(self, quantity: str, ours: torch.Tensor, golden: torch.Tensor, tolerance: float) -> None:
        self._add(quantity, (ours - golden).abs().max().item(), tolerance, "absolute")

    def _add(self, quantity: str, error: float, tolerance: float, kind: str) -> None:
        worst = max(error, self.rows.get(quantity, (0.0,))[0])
        self.rows[quantity] = (worst, tolerance, kind)

    def check(self) -> None:
        """Print the table, then fail on the quantities that are off."""
        print(f"\n{self.title:<44} {'worst error':>11} {'tolerance':>9}")
        for quantity, (error, tolerance, kind) in self.rows.items():
            print(f"  {quantity:<42} {error:>11.1e} {tolerance:>9.0e} {kind}")
        off = {quantity: row for quantity, row in self.rows.items() if not row[0] <= row[1]}
        assert not off, f"{self.title}: {off}"
