"""Spectra in the place of the convolutions: the same frames, the same labels, the same training."""

import pytest
import torch

from musichubert import MusicHubertConfig, MusicHubertForPreTraining, MusicHubertModel
from musichubert.acoustic_features import feature_recipe
from musichubert.errors import LabelError

SETTINGS = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64, "num_clusters": 11,
    "conv_dim": [16] * 7, "num_conv_pos_embedding_groups": 4, "num_conv_pos_embeddings": 16, "projection_dim": 8,
}  # fmt: skip


def config_of(*features: str) -> MusicHubertConfig:
    return MusicHubertConfig(**SETTINGS, front_end_features=list(features))


@pytest.mark.parametrize("samples", [400, 719, 720, 8000, 16001])
def test_there_are_as_many_frames_as_of_convolutions(samples):
    waveforms = torch.randn(2, samples)
    convolutions = MusicHubertModel(MusicHubertConfig(**SETTINGS)).extract(waveforms)
    for features in (["logmel229"], ["mfcc39"], ["logmel229", "cqt84"]):
        spectra = MusicHubertModel(config_of(*features)).extract(waveforms)
        assert spectra.shape[:2] == convolutions.shape[:2]


def test_the_values_are_those_that_labels_are_clustered_from():
    waveforms = torch.randn(2, 8000)
    spectra = MusicHubertModel(config_of("logmel229", "mfcc39", "cqt84")).extract(waveforms)
    mel, cepstra, constant_q = spectra.split([229, 39, 84], dim=-1)
    assert torch.equal(mel, feature_recipe("logmel229").compute(waveforms))
    assert torch.equal(cepstra, feature_recipe("mfcc39").compute(waveforms)[:, ::2][:, : mel.shape[1]])
    magnitudes = feature_recipe("cqt84").compute(waveforms)
    torch.testing.assert_close(constant_q.exp(), magnitudes.clamp_min(1e-4))


def test_half_precision_leaves_the_spectra_alone():
    model, waveforms = MusicHubertModel(config_of("logmel229")), torch.randn(1, 8000)
    expected = feature_recipe("logmel229").compute(waveforms)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(model.extract(waveforms), expected)


def test_it_trains_and_loads_again(tmp_path):
    torch.manual_seed(0)
    model = MusicHubertForPreTraining(config_of("logmel229", "cqt84")).train()
    waveforms, mask, labels = torch.randn(2, 8000), torch.rand(2, 24) < 0.5, torch.randint(0, 11, (2, 24))
    model(waveforms, mask, labels).loss.backward()
    assert model.hubert.feature_projection.projection.weight.grad.abs().sum() > 0
    assert not list(model.hubert.feature_extractor.parameters())

    model.eval().save_pretrained(tmp_path)
    again = MusicHubertModel.from_pretrained(tmp_path)
    assert again.config.conv_dim == [16] * 6 + [229 + 84]
    assert torch.equal(again(waveforms).last_hidden_state, model.hubert(waveforms).last_hidden_state)


def test_an_unknown_feature_is_an_error():
    with pytest.raises(LabelError, match="logmel229"):
        config_of("logmel80")
