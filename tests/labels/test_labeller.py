"""Labels: in step with the encoder for every feature, from codebooks that belong to their features."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformers import HubertConfig, HubertModel, Wav2Vec2FeatureExtractor

from musichubert.acoustic_features import RECIPES, feature_recipe, num_frames
from musichubert.errors import LabelError
from musicssl.labels.codebook import Codebook, fit_codebook
from musicssl.labels.labeller import Labeller, at_label_rate, describe, window_features
from musicssl.labels.layer_features import LayerFeatures

CLUSTERS = 12


@pytest.fixture(scope="module")
def track() -> torch.Tensor:
    """Twelve seconds of gliding tones and noise bursts, 16 kHz."""
    time = torch.arange(12 * 16000) / 16000
    glide = torch.sin(2 * torch.pi * (200 * time + 40 * time**2)) * (0.2 + 0.1 * torch.sin(7 * time))
    bursts = torch.randn(len(time), generator=torch.Generator().manual_seed(0)) * (torch.sin(20 * time) > 0.7)
    return glide + 0.1 * bursts


@pytest.fixture(scope="module")
def labeller(track) -> Labeller:
    return _fit(list(RECIPES), track)


def _fit(names, track) -> Labeller:
    codebooks = []
    for name in names:
        recipe = feature_recipe(name)
        frames = recipe.compute(track[None])[0].numpy()
        codebooks.append(fit_codebook(frames, CLUSTERS, metadata=describe(recipe)))
    return Labeller(names, codebooks)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> str:
    """A small encoder with random weights, as an earlier iteration would have saved it."""
    torch.manual_seed(0)
    config = HubertConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64,
                          conv_dim=(16,) * 7, num_conv_pos_embeddings=16)  # fmt: skip
    directory = tmp_path_factory.mktemp("checkpoint")
    HubertModel(config).save_pretrained(directory)
    Wav2Vec2FeatureExtractor(do_normalize=False).save_pretrained(directory)
    return str(directory)


@pytest.mark.parametrize("samples", [400, 719, 720, 16000, 79999, 80000, 250000])
def test_there_is_one_label_for_every_encoder_frame(samples):
    track = torch.randn(1, samples, generator=torch.Generator().manual_seed(0))
    length = samples
    for kernel, stride in ((10, 5), (3, 2), (3, 2), (3, 2), (3, 2), (2, 2), (2, 2)):
        length = (length - kernel) // stride + 1
    for name in ("mfcc39", "chroma24"):
        recipe = feature_recipe(name)
        assert at_label_rate(recipe, recipe.compute(track), dim=1).shape[1] == length == num_frames(samples)


@pytest.mark.parametrize("codebook", range(len(RECIPES)), ids=list(RECIPES))
def test_labels_of_a_crop_are_the_crop_of_the_labels(labeller, track, codebook):
    """At aligned starts, frame by frame, beyond the margin in which a crop cannot see what the whole file sees."""
    whole = labeller(track[None])[0, codebook]
    edge = int(np.ceil(labeller.sources[codebook].edge_seconds * 50))
    assert len(whole.unique()) > 3
    for first in (0, 51, 313):
        frames = min(250, len(whole) - first)
        samples = (frames - 1) * 320 + 400
        crop = labeller(track[None, first * 320 : first * 320 + samples])[0, codebook]
        assert len(crop) == frames
        inside = slice(edge, frames - edge)
        same = (crop[inside] == whole[first : first + frames][inside]).float().mean()
        assert same == 1, f"{1 - same:.1%} of the frames differ"


def test_a_long_track_in_windows_gives_the_labels_of_the_whole(labeller, track):
    for source, codebook, labels in zip(
        labeller.sources, labeller.codebooks, labeller.label_track(track, window_seconds=6.0), strict=True
    ):
        whole = codebook.assign(source.compute(track[None])[0])
        assert torch.equal(labels, whole), source.name


def test_several_codebooks_and_the_auxiliary_target(labeller, track):
    waveforms = track[:96000].view(2, 48000)
    labels = labeller(waveforms)
    assert labels.shape == (2, len(RECIPES), num_frames(48000))
    assert labels.dtype == torch.int64
    assert labeller.num_clusters == [CLUSTERS] * len(RECIPES)
    with_target = Labeller(["chroma24"], [labeller.codebooks[list(RECIPES).index("chroma24")]], auxiliary="cqt336")
    target = with_target.auxiliary_targets(waveforms)
    assert target.shape == (2, num_frames(48000), 336)
    torch.testing.assert_close(target, feature_recipe("cqt336").compute(waveforms))
    assert with_target.config_fields()["auxiliary_dim"] == 336
    assert labeller.auxiliary_targets(waveforms) is None


def test_saved_labellers_come_back_whole(labeller, track, tmp_path):
    labeller.save(tmp_path)
    loaded = Labeller.load(tmp_path)
    assert loaded.hashes == labeller.hashes
    assert torch.equal(loaded(track[None, :32000]), labeller(track[None, :32000]))


@pytest.mark.parametrize("layer", [1, 3])
def test_layer_features_are_the_hidden_states(checkpoint, track, layer):
    source = LayerFeatures.from_checkpoint(checkpoint, layer)
    reference = HubertModel.from_pretrained(checkpoint).eval()
    with torch.no_grad():
        expected = reference(track[None, :32000], output_hidden_states=True).hidden_states[layer]
    torch.testing.assert_close(source.compute(track[None, :32000]), expected, rtol=1e-4, atol=1e-5)
    assert source.dimension == 32
    assert len(source.model.encoder.layers) == layer


def test_layer_features_need_no_kernel_that_the_run_has_chosen(checkpoint, track):
    """--sdpa_backend cudnn leaves a half-precision kernel alone; the encoder of the labels is fp32."""
    source = LayerFeatures.from_checkpoint(checkpoint, 2)
    expected = source.compute(track[None, :8000])
    with sdpa_kernel(SDPBackend.CUDNN_ATTENTION):
        with pytest.raises(RuntimeError):
            source.model(track[None, :8000])
        assert torch.equal(source.compute(track[None, :8000]), expected)


def test_layer_codebooks_remember_their_checkpoint(checkpoint, track, tmp_path):
    source = LayerFeatures.from_checkpoint(checkpoint, 2)
    frames = torch.cat(list(window_features(source, track, window_seconds=6.0)))
    assert len(frames) == num_frames(len(track))  # every frame once
    codebook = fit_codebook(frames.numpy(), 8, metadata=describe(source))
    Labeller([source], [codebook]).save(tmp_path)
    loaded = Labeller.load(tmp_path)
    assert loaded.label_features == ["layer2"]
    assert torch.equal(loaded(track[None, :32000]), Labeller([source], [codebook])(track[None, :32000]))
    with pytest.raises(LabelError, match="other settings of layer2"):
        _with_metadata(codebook, feature_fingerprint="of-another-checkpoint", sources=[source])


def test_errors_name_the_mistake(labeller, track, checkpoint, tmp_path):
    mfcc39 = labeller.codebooks[0]
    with pytest.raises(LabelError, match="44100 Hz"):
        labeller(track[None], sampling_rate=44100)
    with pytest.raises(LabelError, match="fitted on mfcc39, not on mfcc60"):
        Labeller(["mfcc60"], [mfcc39])
    with pytest.raises(LabelError, match="other settings of mfcc39"):
        _with_metadata(mfcc39, feature_fingerprint="yesterday", sources=["mfcc39"])
    with pytest.raises(LabelError, match="give one each"):
        Labeller(["mfcc39", "chroma24"], [mfcc39])
    with pytest.raises(LabelError, match="holds no codebook"):
        Labeller.load(tmp_path)
    with pytest.raises(LabelError, match="layers 1 to 3"):
        LayerFeatures.from_checkpoint(checkpoint, 4)
    with pytest.raises(LabelError, match="does not exist"):
        LayerFeatures.from_checkpoint(tmp_path / "gone", 1)


def _with_metadata(codebook: Codebook, sources, **changes) -> Labeller:
    return Labeller(sources, [dataclasses.replace(codebook, metadata=codebook.metadata | changes)])
