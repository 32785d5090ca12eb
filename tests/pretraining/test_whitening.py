"""The data-dependent start: what it makes of the features, and that a run takes it."""

import pytest
import torch

from musichubert import MusicHubertConfig, MusicHubertForPreTraining
from musicssl.errors import UserError
from musicssl.pretraining.config.parsing import parse_arguments
from musicssl.pretraining.model.building import build_model_config
from musicssl.pretraining.model.whitening import fit_front_end


def make_model(hidden_size: int) -> MusicHubertForPreTraining:
    return MusicHubertForPreTraining(
        MusicHubertConfig(
            conv_dim=[12] * 7, hidden_size=hidden_size, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=16, num_conv_pos_embedding_groups=2, feat_extract_norm="layer",
        )
    ).eval()  # fmt: skip


def covariance(model, waveforms) -> tuple[torch.Tensor, torch.Tensor]:
    """Of the frames that enter the transformer."""
    frames = model.hubert.feature_projection(model.hubert.extract(waveforms)).flatten(0, 1)
    return frames.mean(dim=0), torch.cov(frames.T)


@pytest.mark.parametrize("hidden_size", [8, 12])
@torch.no_grad()
def test_frames_enter_the_transformer_white(hidden_size):
    torch.manual_seed(0)
    model, waveforms = make_model(hidden_size), torch.randn(4, 32000).cumsum(dim=1)
    waveforms = torch.nn.functional.layer_norm(waveforms, (32000,))
    _, before = covariance(model, waveforms)
    fit_front_end(model, waveforms)
    mean, after = covariance(model, waveforms)
    assert before.diagonal().max() < 0.5
    torch.testing.assert_close(mean, torch.zeros(hidden_size), atol=1e-2, rtol=0)
    # The layer norm before the projection takes one direction away where all are kept.
    assert torch.linalg.eigvalsh(after)[1:].sub(1).abs().max() < 0.1


def test_it_needs_layer_norms_and_fresh_weights():
    command = ["--model", "musichubert", "--dry_run", "--data_dependent_init", "true", "--label_features", "mfcc39"]
    command += ["--num_clusters", "10", "--train_data", "music", "--output_dir", "run"]
    with pytest.raises(UserError, match="feat_extract_norm=layer"):
        build_model_config(parse_arguments(command)[0].model)
    with pytest.raises(UserError, match="--init_from"):
        parse_arguments([*command, "--init_from", "facebook/hubert-base-ls960"])
    with pytest.raises(UserError, match="--data_dependent_init is for musicHuBERT only"):
        parse_arguments([*command, "--model", "music2vec"])
