"""Acoustic features: equal to Kaldi's and librosa's, and in step with the encoder."""

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from musichubert.acoustic_features import RECIPES, chroma, cqt, feature_recipe, log_mel, mfcc, num_frames
from musichubert.errors import LabelError

GOLDEN = load_file(Path(__file__).parents[1] / "golden" / "mfcc.safetensors")
WAVEFORM = GOLDEN["waveform"]


@pytest.mark.parity
@pytest.mark.parametrize(("num_ceps", "name"), [(13, "mfcc_13x3"), (20, "mfcc_20x3")])
def test_mfcc_parity_with_kaldi(num_ceps, name):
    ours = mfcc(WAVEFORM, num_ceps=num_ceps)[0]
    worst = (ours - GOLDEN[name]).abs().max().item()
    print(f"\n{name}: worst absolute error {worst:.1e}")
    assert ours.shape == GOLDEN[name].shape
    assert worst < 1e-3


def _librosa_power(n_fft: int) -> np.ndarray:
    """(n_fft // 2 + 1, F) of windows centred on the encoder's fields."""
    padded = np.pad(WAVEFORM.numpy(), ((n_fft - 400) // 2, n_fft))
    frames = num_frames(len(WAVEFORM))
    return np.abs(librosa.stft(padded, n_fft=n_fft, hop_length=320, center=False))[:, :frames] ** 2


@pytest.mark.parity
def test_log_mel_parity_with_librosa():
    mel = librosa.feature.melspectrogram(S=_librosa_power(2048), sr=16000, n_mels=229, fmin=30)
    worst = np.abs(np.log(np.maximum(mel, 1e-8)).T - log_mel(WAVEFORM)[0].numpy()).max()
    print(f"\nlog-mel 229: worst absolute error {worst:.1e}")
    assert worst < 1e-3


@pytest.mark.parity
@pytest.mark.parametrize("num_bins", [24, 264])
def test_chroma_parity_with_librosa(num_bins):
    theirs = librosa.feature.chroma_stft(S=_librosa_power(4096), sr=16000, n_chroma=num_bins, n_fft=4096, tuning=0)
    worst = np.abs(theirs.T - chroma(WAVEFORM, num_bins=num_bins)[0].numpy()).max()
    print(f"\nchroma {num_bins}: worst absolute error {worst:.1e}")
    assert worst < 1e-4


@pytest.mark.parity
@pytest.mark.parametrize(("num_bins", "bins_per_octave"), [(84, 12), (336, 48)])
def test_cqt_parity_with_its_definition_and_librosa(num_bins, bins_per_octave):
    ours = cqt(WAVEFORM, num_bins=num_bins, bins_per_octave=bins_per_octave)[0].numpy()
    samples = WAVEFORM.double().numpy()
    worst = 0.0
    for k in range(0, num_bins, num_bins // 6):
        hz = 32.7 * 2 ** (k / bins_per_octave)
        window = 16000 / hz / (2 ** (1 / bins_per_octave) - 1)
        for t in (0, 60, len(ours) - 1):
            n = np.arange(len(samples)) - (320 * t + 200)
            hann = np.where(np.abs(n) < window / 2, 1 + np.cos(2 * np.pi * n / window), 0) / window
            direct = np.abs((samples * hann * np.exp(-2j * np.pi * hz * n / 16000)).sum()) * np.sqrt(window)
            worst = max(worst, abs(direct - ours[t, k]) / ours[:, k].max())
    # librosa resamples octave by octave, so it only comes near; its frame 1 of the padded clip is our frame 0.
    theirs = librosa.cqt(
        np.pad(WAVEFORM.numpy(), (120, 0)), sr=16000, fmin=32.7, n_bins=num_bins, hop_length=320,
        bins_per_octave=bins_per_octave, sparsity=0,
    )  # fmt: skip
    theirs = np.abs(theirs)[:, 1 : 1 + len(ours)].T
    distance = np.linalg.norm(theirs - ours) / np.linalg.norm(theirs)
    print(f"\nCQT {num_bins}: worst relative error {worst:.1e}, distance from librosa {distance:.1e}")
    assert worst < 1e-3
    assert distance < 0.03


@pytest.mark.parametrize("name", RECIPES)
def test_an_impulse_in_frame_t_is_loudest_in_frame_t(name):
    """Impulses in the middle of the encoder's frames 10, 60, 110 ...: exactly those frames hold the most energy."""
    recipe = feature_recipe(name)
    waveform = torch.zeros(1, 5 * 16000)
    impulses = torch.arange(10, num_frames(waveform.shape[1]), 50)
    waveform[0, impulses * 320 + 200] = 1.0
    frames = recipe.compute(waveform)[0][:: round(recipe.rate_hz / 50)]
    assert frames.shape == (num_frames(waveform.shape[1]), recipe.dimension)
    if name.startswith("mfcc"):
        loudness = frames[:, 0]  # C0
    elif name.startswith("cqt"):
        loudness = frames[:, -1]  # the shortest window
    elif name.startswith("chroma"):
        # Chroma is relative: an impulse has every pitch class, the windows without one are silent.
        loudness = _undivided_chroma(waveform, recipe.dimension)
    else:
        loudness = frames.exp().sum(1)
    for t in impulses:
        around = loudness[max(t - 4, 0) : t + 5]
        assert around.argmax() == min(t, 4)


def _undivided_chroma(waveform, num_bins):
    from musichubert import acoustic_features as module

    power = module._spectrum(waveform, 16000, 320, 4096).square()
    return (power @ module._chroma_bands(num_bins, 4096))[0].sum(1)


@pytest.mark.parametrize("name", RECIPES)
def test_frames_of_a_crop_are_the_crop_of_the_frames(name):
    """Beyond the recipe's own edge a crop at an aligned start sees exactly what the whole file sees."""
    recipe = feature_recipe(name)
    generator = torch.Generator().manual_seed(0)
    waveform = torch.randn(1, 8 * 16000, generator=generator) * 0.1
    first, frames = 37, 200
    per_frame = round(recipe.rate_hz / 50)
    edge = int(np.ceil(recipe.edge_seconds * 50)) * per_frame
    whole = recipe.compute(waveform)[0][first * per_frame :]
    crop = recipe.compute(waveform[:, first * 320 : (first + frames) * 320 + 80])[0]
    inside = slice(edge, len(crop) - edge - per_frame)
    assert inside.stop - inside.start > 50
    torch.testing.assert_close(crop[inside], whole[inside], rtol=1e-4, atol=2e-4)
    assert not torch.allclose(crop[:2], whole[:2], rtol=1e-4, atol=1e-4)  # the edge is real, too


def test_batches_give_what_single_clips_give():
    clips = torch.randn(3, 16000, generator=torch.Generator().manual_seed(1))
    for recipe in RECIPES.values():
        together = recipe.compute(clips)
        torch.testing.assert_close(together[1:2], recipe.compute(clips[1:2]), rtol=1e-4, atol=1e-4)


def test_errors_name_the_mistake():
    with pytest.raises(LabelError, match="44100 Hz"):
        mfcc(WAVEFORM, sample_rate=44100)
    with pytest.raises(LabelError, match="22050 Hz"):
        cqt(WAVEFORM, sample_rate=22050)
    with pytest.raises(LabelError, match="shorter than one frame"):
        log_mel(WAVEFORM[:399])
    with pytest.raises(LabelError, match="mfcc39"):
        feature_recipe("mfcc13")
    with pytest.raises(LabelError, match="half the sampling rate"):
        cqt(WAVEFORM, num_bins=480)
