"""Exported encoders compute what the model computes, at lengths they were not traced with."""

import sys

import pytest
import torch

from musichubert import MusicHubertConfig, MusicHubertModel
from musicssl.commands.main import main
from musicssl.errors import UserError
from musicssl.features.export import export_onnx, largest_difference
from musicssl.features.extract import open_encoder
from musicssl.model_files import save_for_hub


@pytest.fixture(scope="module")
def shallow():
    """One layer: tracing costs by the layer."""
    torch.manual_seed(0)
    return MusicHubertModel(MusicHubertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64, conv_dim=[16] * 7,
        num_conv_pos_embeddings=16, num_conv_pos_embedding_groups=4,
    )).eval()  # fmt: skip


def test_onnx_equals_the_model_at_any_length(shallow, tmp_path):
    pytest.importorskip("onnxscript")
    pytest.importorskip("onnxruntime")
    encoder = open_encoder(shallow)
    path = tmp_path / "encoder.onnx"
    export_onnx(encoder, path, [0, 1])
    for samples in (400, 5_000, 48_123):
        assert largest_difference(encoder, path, [0, 1], samples) < 5e-5


def test_the_command_exports_a_program_and_prints_its_difference(shallow, tmp_path, capsys):
    save_for_hub(shallow, tmp_path / "model")
    path = tmp_path / "encoder.pt2"
    assert main(["export", "--model", str(tmp_path / "model"), "--output", str(path), "--layer", "1"]) == 0
    printed = capsys.readouterr().out
    assert float(printed.rsplit(" ", 1)[1]) < 5e-5
    program = torch.export.load(path).module()
    assert [tuple(output.shape) for output in program(torch.randn(3, 4_000))] == [(3, 12, 32)]
    assert main(["export", "--model", str(tmp_path / "model"), "--output", str(tmp_path / "encoder.tflite")]) == 2
    assert "something.onnx" in capsys.readouterr().err


def test_onnx_without_its_packages_names_the_extra(shallow, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(UserError, match=r"\[export\]"):
        export_onnx(open_encoder(shallow), tmp_path / "encoder.onnx", [0])
