"""The encoder runs once per clip, without padding, and what it gave is found again."""

import numpy as np
import pytest
import soundfile
import torch
from probing_makers import RATE, note, save_tiny_encoder

from musicssl.audio.decode import load_audio
from musicssl.probing.encoders.feature_store import FeatureStore
from musicssl.probing.encoders.features import ExtractionSettings, Extractor, WindowRule
from musicssl.probing.encoders.huggingface import load_encoder
from musicssl.probing.tasks.base import Example


def examples_of(folder, lengths, rate=RATE):
    paths = []
    for number, seconds in enumerate(lengths):
        path = folder / f"{number}.wav"
        soundfile.write(path, note(50 + number, seconds, number, rate), rate)
        paths.append(path)
    return [Example(path.name, str(path), 0, "train", path.name) for path in paths]


def extractor_for(encoder, store, rule=None, **settings):
    return Extractor(encoder, rule or WindowRule(), ExtractionSettings(store, **({"batch_seconds": 4.0} | settings)))


@pytest.fixture
def encoder(tiny_encoder):
    return load_encoder(str(tiny_encoder))


def test_features_are_the_models_hidden_states_of_the_whole_normalized_clip(encoder, tmp_path):
    examples = examples_of(tmp_path, [0.5, 0.9, 0.5, 0.9])
    extractor = extractor_for(encoder, tmp_path / "store", feature_dtype="float32")
    extractor.extract(examples, progress=False)
    for example in examples:
        wave = load_audio(example.audio, RATE)
        wave = torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))[None]
        states = encoder.model(wave, output_hidden_states=True).hidden_states
        expected = torch.stack([state.mean(dim=1)[0] for state in states])
        assert np.allclose(extractor.windows(example)[0], expected, atol=1e-5)


def test_features_of_version_0_1_are_found_again(tmp_path, monkeypatch):
    """music2vec had five more settings then, and the hash by which features are found covers the settings."""
    from music2vec import Music2VecConfig, Music2VecFeatureExtractor, Music2VecModel

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    config = Music2VecConfig(**sizes, conv_dim=[8] * 7, num_conv_pos_embedding_groups=2, average_top_k_layers=1)
    Music2VecModel(config).save_pretrained(tmp_path)
    Music2VecFeatureExtractor().save_pretrained(tmp_path)
    now = load_encoder(str(tmp_path)).fingerprint

    to_dict = Music2VecConfig.to_dict
    removed = {"drop_masked_frames": False, "decoder_layers": 4, "decoder_dim": 384, "decoder_kernel": 7}
    as_then = lambda config: to_dict(config) | removed | {"decoder_groups": 16}  # noqa: E731
    monkeypatch.setattr(Music2VecConfig, "to_dict", as_then)
    assert load_encoder(str(tmp_path)).fingerprint == now


def test_a_long_track_is_normalized_whole_and_cut_and_its_short_tail_dropped(encoder, tmp_path):
    (long,) = examples_of(tmp_path, [7.5])
    rule = WindowRule(window_seconds=2.0, minimum_window_seconds=1.6)
    extractor = extractor_for(encoder, tmp_path / "store", rule, feature_dtype="float32")
    extractor.extract([long], progress=False)
    windows = extractor.windows(long)
    assert windows.shape == (3, 3, 16)
    wave = encoder.normalize(load_audio(long.audio, RATE))
    second = encoder.pooled(torch.from_numpy(wave[2 * RATE : 4 * RATE])[None])[0]
    assert np.allclose(windows[1], second, atol=1e-5)


def test_a_track_of_ten_minutes_is_cut_and_its_frames_joined_without_a_gap(encoder, tmp_path):
    (track,) = examples_of(tmp_path, [600])
    pooled = extractor_for(encoder, tmp_path / "store")
    frames = extractor_for(encoder, tmp_path / "store", WindowRule(None, 0, "frames"), feature_dtype="float32")
    for extractor in (pooled, frames):
        assert extractor.extract([track], progress=False) == 1
    assert pooled.windows(track).shape == (20, 3, 16)
    (states,) = frames.windows(track)
    assert states.shape == (3, 1 + (600 * RATE - 400) // 320, 16)
    wave = torch.from_numpy(encoder.normalize(load_audio(track.audio, RATE)))
    second = encoder.frames(wave[None, 2999 * 320 : 2999 * 320 + 2998 * 320 + 400])[0]
    assert np.allclose(states[:, 2999 : 2999 + 2999], second, atol=1e-5)


def test_a_short_note_is_kept_and_one_shorter_than_a_frame_is_recorded(encoder, tmp_path):
    short, too_short = examples_of(tmp_path, [0.2, 0.02])
    broken = tmp_path / "text.wav"
    broken.write_text("not audio")
    broken, absent = (Example(n, str(tmp_path / n), 0, "train", n) for n in ("text.wav", "absent.wav"))
    extractor = extractor_for(encoder, tmp_path / "store")
    assert extractor.extract([short, too_short, broken, absent], progress=False) == 1
    assert extractor.windows(short).shape == (1, 3, 16)
    assert extractor.skip_reason(short) is None
    assert "shorter than one frame" in extractor.skip_reason(too_short)
    assert extractor.skip_reason(broken) and extractor.skip_reason(absent) and extractor.windows(absent) is None


def test_killed_extraction_goes_on_where_it_was_with_the_same_bits(encoder, tmp_path, monkeypatch):
    examples = examples_of(tmp_path, [0.4, 0.6, 0.4, 0.6, 0.4, 0.6, 0.4])
    whole = extractor_for(encoder, tmp_path / "whole", batch_seconds=1.0)
    whole.extract(examples, progress=False)
    encoded = []
    pooled = type(encoder).pooled

    def counting(self, windows, pooling):
        if len(encoded) == 3:
            encoded.append(0)
            raise KeyboardInterrupt
        encoded.append(len(windows))
        return pooled(self, windows, pooling)

    monkeypatch.setattr(type(encoder), "pooled", counting)
    with pytest.raises(KeyboardInterrupt):
        extractor_for(encoder, tmp_path / "killed", batch_seconds=1.0).extract(examples, progress=False)
    resumed = extractor_for(encoder, tmp_path / "killed", batch_seconds=1.0)
    resumed.extract(examples, progress=False)
    assert sum(encoded) == len(examples)
    for example in examples:
        assert np.array_equal(resumed.windows(example), whole.windows(example))


def test_clips_are_known_by_their_content_and_part(encoder, tmp_path):
    (first,) = examples_of(tmp_path, [0.5])
    copy = tmp_path / "copy.wav"
    copy.write_bytes((tmp_path / "0.wav").read_bytes())
    same = Example("copy", str(copy), 1, "test", "copy")
    from_bytes = Example("bytes", copy.read_bytes(), 1, "test", "bytes")
    part = Example("part", str(copy), 1, "test", "part", start_seconds=0.1, seconds=0.3)
    assert extractor_for(encoder, tmp_path / "store").extract([first, same, from_bytes, part], progress=False) == 2
    assert extractor_for(encoder, tmp_path / "store").extract([first, same, part], progress=False) == 0


def test_the_spread_over_time_is_kept_behind_the_mean_when_asked_for(encoder, tmp_path):
    (example,) = examples_of(tmp_path, [0.6])
    both, means = (
        extractor_for(encoder, tmp_path / "store", WindowRule(pooling=pooling), feature_dtype="float32")
        for pooling in ("mean_std", "mean")
    )
    assert [each.extract([example], progress=False) for each in (both, means)] == [1, 1]  # stored apart
    width = means.windows(example).shape[-1]
    assert np.array_equal(both.windows(example)[..., :width], means.windows(example))
    frames = extractor_for(encoder, tmp_path / "store", WindowRule(None, 0, "frames"), feature_dtype="float32")
    frames.extract([example], progress=False)
    np.testing.assert_allclose(both.windows(example)[0, :, width:], frames.windows(example)[0].std(1), atol=1e-5)


def test_another_sampling_rate_is_the_encoders_own(tmp_path):
    encoder = load_encoder(str(save_tiny_encoder(tmp_path / "encoder", sampling_rate=24000)))
    (example,) = examples_of(tmp_path, [0.5], rate=44100)
    extractor = extractor_for(encoder, tmp_path / "store", WindowRule(None, 0, "frames"))
    extractor.extract([example], progress=False)
    assert encoder.frame_rate_hz == 75
    assert extractor.windows(example).shape == (1, 3, (12000 - 400) // 320 + 1, 16)


def test_random_weights_differ_from_the_checkpoints_and_are_reproducible(tiny_encoder):
    fingerprints = [load_encoder(name).fingerprint for name in (f"random:{tiny_encoder}",) * 2 + (str(tiny_encoder),)]
    assert fingerprints[0] == fingerprints[1] != fingerprints[2]


@pytest.mark.parametrize("name,width", [("mfcc", 20 * 6), ("chroma", 24 * 6), ("cqt", 336 * 6), ("logmel", 229 * 6)])
def test_handmade_features_are_statistics_of_the_feature_and_its_differences(name, width):
    encoder = load_encoder(name)
    wave = torch.from_numpy(note(60, 1.0, 0))[None]
    pooled = encoder.pooled(wave)
    assert pooled.shape == (1, 1, width)
    feature = encoder.compute(wave)[0]
    bins = width // 6
    assert torch.allclose(pooled[0, 0, :bins], feature.mean(0), atol=1e-4)
    assert torch.allclose(pooled[0, 0, 3 * bins : 4 * bins], feature.diff(dim=0).std(0, correction=0), atol=1e-4)
    assert encoder.frames(wave).shape == (1, 1, len(feature), 3 * bins)
    assert encoder.pooled(wave[:, : encoder.minimum_samples]).isfinite().all()


def test_the_store_survives_a_cut_file(tmp_path):
    store = FeatureStore(tmp_path / "store")
    for number in range(3):
        store.append([f"clip{number}"], [np.full((2, 3), number, dtype=np.float32)])
    (path,) = (tmp_path / "store").glob("*.arrow")
    path.write_bytes(path.read_bytes()[:-40])  # no end marker, and the last batch cut
    reopened = FeatureStore(tmp_path / "store")
    assert "clip1" in reopened and "clip2" not in reopened
    assert (reopened.read("clip1") == 1).all() and reopened.read("clip1").dtype == np.float16
    with pytest.raises(FloatingPointError):
        reopened.append(["big"], [np.array([1e6])])
