"""Export the encoder as ONNX or as a `torch.export` program, for waveforms of any length.

The input is `input_values` (B, N), normalized as by the model's feature extractor; there is one output (B, T, D) per
layer.
"""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from musicssl.extras import require
from musicssl.files import whole_file
from musicssl.probing.encoders.huggingface import HuggingFaceEncoder

EXAMPLE_SAMPLES = 16_000
OPSET = 18
_FREE = {"input_values": {0: torch.export.Dim.DYNAMIC, 1: torch.export.Dim.DYNAMIC}}


class _States(nn.Module):
    """The hidden states of the chosen layers as plain outputs."""

    def __init__(self, model: nn.Module, chosen: list[int]):
        super().__init__()
        self.model, self.chosen = model, chosen
        # Plain products and a softmax, which every runtime supports.
        model.set_attn_implementation("eager")
        self.eval()

    def forward(self, input_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        states = self.model(input_values, output_hidden_states=True, return_dict=True).hidden_states
        return tuple(states[index] for index in self.chosen)


def _example() -> torch.Tensor:
    return torch.randn(2, EXAMPLE_SAMPLES, generator=torch.Generator().manual_seed(0))


def export_program(encoder: HuggingFaceEncoder, chosen: list[int]) -> torch.export.ExportedProgram:
    """The encoder as a program for any batch size and any length from two frames (720 samples) on."""
    with torch.no_grad():
        return torch.export.export(_States(encoder.model, chosen), (_example(),), dynamic_shapes=_FREE)


def export_onnx(encoder: HuggingFaceEncoder, path: Path, chosen: list[int]) -> None:
    """Write an ONNX file for any batch size and length.

    Raises:
        UserError: `onnx` or `onnxscript` is not installed.
    """
    require("export", "ONNX export", "onnx", "onnxscript")
    names = [f"layer_{encoder.state_names[index]}" for index in chosen]
    with torch.no_grad(), whole_file(path) as partial:
        partial.touch()  # what cannot be written is an OSError here, not an error of the exporter
        torch.onnx.export(
            _States(encoder.model, chosen), (_example(),), partial, input_names=["input_values"], output_names=names,
            dynamic_shapes=_FREE, opset_version=OPSET, dynamo=True, external_data=False, verbose=False,
        )  # fmt: skip


def largest_difference(encoder: HuggingFaceEncoder, path: Path, chosen: list[int], samples: int) -> float:
    """The largest absolute difference between the file and the model, on noise of another batch size and length."""
    waveforms = torch.randn(1, samples, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        expected = _States(encoder.model, chosen)(waveforms)
    if path.suffix == ".onnx":
        import onnxruntime

        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        outputs = session.run(None, {"input_values": waveforms.numpy()})
    else:
        outputs = [output.detach().numpy() for output in torch.export.load(path).module()(waveforms)]
    return max(float(np.abs(a - b.numpy()).max()) for a, b in zip(outputs, expected, strict=True))
