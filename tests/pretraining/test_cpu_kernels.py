"""The kernels for a CPU compute what the stock modules compute."""

import copy

import pytest
import torch
from torch import nn

from music2vec import Music2VecConfig, Music2VecForPreTraining
from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.pretraining.model.cpu_kernels import ATTENTION, Dropout, dropout, use_cpu_kernels

SIZES = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 48,
    "num_conv_pos_embedding_groups": 4,
    "conv_dim": [16] * 7,
    "layerdrop": 0.0,
    "hidden_dropout": 0.0,
    "attention_dropout": 0.0,
    "feat_proj_dropout": 0.0,
}


def pair(name: str, **settings) -> tuple[nn.Module, nn.Module, dict[str, torch.Tensor]]:
    """A stock model, the same one with our kernels, and inputs."""
    torch.manual_seed(0)
    if name == "music2vec":
        stock = Music2VecForPreTraining(Music2VecConfig(**(SIZES | settings), average_top_k_layers=2))
    else:
        stock = MusicHubertForPreTraining(MusicHubertConfig(**(SIZES | settings), num_clusters=5))
    for parameter in stock.parameters():
        # Biases and norms that matter
        parameter.data += 0.02 * torch.randn_like(parameter)
    ours = copy.deepcopy(stock)
    use_cpu_kernels(ours)
    inputs = {"input_values": torch.randn(3, 4321), "mask_time_indices": torch.rand(3, 13) < 0.5}
    if name == "musichubert":
        inputs["labels"] = torch.randint(0, 5, (3, 13))
    return stock.train(), ours.train(), inputs


@pytest.mark.parametrize(
    "name, settings",
    [
        ("music2vec", {}),
        ("musichubert", {}),
        ("musichubert", {"feat_extract_norm": "layer"}),
        ("music2vec", {"conv_kernel": [10, 5, 4, 3, 2, 2, 1], "conv_stride": [5, 2, 2, 2, 2, 2, 1]}),
    ],
)
def test_loss_and_gradients_equal_the_stock_modules(name, settings):
    stock, ours, inputs = pair(name, **settings)
    if settings.get("conv_kernel"):
        frames = int(stock._get_feat_extract_output_lengths(4321))
        inputs["mask_time_indices"] = torch.rand(3, frames) < 0.5
    expected, actual = stock(**inputs).loss, ours(**inputs).loss
    expected.backward()
    actual.backward()
    torch.testing.assert_close(actual, expected, rtol=1e-5, atol=1e-6)
    for (key, parameter), other in zip(stock.named_parameters(), ours.parameters(), strict=True):
        if parameter.grad is not None:
            torch.testing.assert_close(other.grad, parameter.grad, rtol=1e-3, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", ["music2vec", "musichubert"])
def test_half_precision_is_as_near_to_fp32_as_the_stock_modules(name):
    stock, ours, inputs = pair(name, attention_dropout=1e-9)
    exact = stock(**inputs).loss.item()
    with torch.autocast("cpu", torch.bfloat16):
        stock_error = abs(stock(**inputs).loss.item() - exact)
        our_error = abs(ours(**inputs).loss.item() - exact)
    assert our_error < max(3 * stock_error, 0.01 * abs(exact))


@pytest.mark.parametrize("shape", [(40, 50, 60), (7, 11, 13)])
def test_dropout_keeps_the_mean_and_its_gradient_the_mask(shape):
    torch.manual_seed(1)
    values = torch.ones(shape, requires_grad=True)
    dropped = dropout(values, 0.1)
    dropped.sum().backward()
    assert torch.equal(values.grad, dropped.detach())
    assert set(dropped.unique().tolist()) == {0.0, dropped.max().item()}
    expected_error = (0.1 / 0.9 / values.numel()) ** 0.5
    assert abs(dropped.mean().item() - 1) < 4 * expected_error


def test_dropout_is_seeded_and_does_nothing_in_eval_mode():
    layer, values = Dropout(0.3), torch.randn(1001)
    torch.manual_seed(5)
    first = layer(values)
    torch.manual_seed(5)
    assert torch.equal(layer(values), first)
    assert not torch.equal(layer(values), first)
    assert torch.equal(layer.eval()(values), values)


def test_attention_drops_in_training_only(tmp_path):
    stock, ours, inputs = pair("musichubert", attention_dropout=0.5)
    assert ours.config._attn_implementation == ATTENTION
    assert ours(**inputs).loss.item() != ours(**inputs).loss.item()
    torch.testing.assert_close(ours.eval()(**inputs).loss, stock.eval()(**inputs).loss)
    ours.save_pretrained(tmp_path)
    loaded = MusicHubertForPreTraining.from_pretrained(tmp_path)
    assert loaded.config._attn_implementation == "sdpa"
    torch.testing.assert_close(loaded.eval()(**inputs).loss, stock(**inputs).loss)
