"""Codebooks of a run: one uniform sample whatever the processes, picked up where an interrupted fit stopped."""

import dataclasses
import json

import numpy as np
import pytest
import soundfile
from accelerate import Accelerator

from musichubert.acoustic_features import feature_recipe
from musichubert.errors import LabelError
from musicssl.audio.sources import parse_sources
from musicssl.errors import UserError
from musicssl.labels import fitting as label_fitting
from musicssl.labels.fitting import prepare_labeller
from musicssl.labels.sampling import FrameSample, frame_keys, sample_capacity, sample_frames
from musicssl.labels.settings import LabelConfig


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Five clips of gliding tones in noise, 3 to 4 seconds."""
    folder = tmp_path_factory.mktemp("music")
    generator = np.random.default_rng(0)
    for number in range(5):
        time = np.arange(48000 + 4001 * number) / 16000
        tone = np.sin(2 * np.pi * (150 + 60 * number) * time * (1 + 0.1 * time))
        soundfile.write(folder / f"{number}.wav", 0.3 * tone + 0.05 * generator.normal(size=len(time)), 16000)
    return folder


LABELS = LabelConfig(label_features=("mfcc39",), num_clusters=(12,), kmeans_budget_mb=4)


@pytest.fixture
def prepare(music, tmp_path, accelerator):
    """prepare(labels, name of the output directory, seed, channel mode) -> the run's labeller"""

    def prepared(labels=LABELS, run="run", seed=1, channel_mode="mean"):
        return prepare_labeller(labels, parse_sources([str(music)]), seed, channel_mode, tmp_path / run, accelerator)

    return prepared


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


def test_the_sample_is_uniform_and_bounded():
    sample = FrameSample(500, 1)
    position = 0
    for clip in range(40):
        frames = np.arange(position, position + 250, dtype=np.float32)[:, None]
        sample.add(frames, frame_keys(7, str(clip), 250))
        position += 250
    assert (sample.filled, sample.seen) == (500, 10_000)
    kept = np.sort(sample.in_order()[0][:, 0])
    assert len(np.unique(kept)) == 500
    in_tenths = np.histogram(kept, bins=10, range=(0, 10_000))[0]
    assert in_tenths.min() > 25 and in_tenths.max() < 80  # 50 expected each, sigma 6.7


def test_the_sample_does_not_depend_on_processes_or_order():
    clips = {str(number): np.random.default_rng(number).normal(size=(70, 3)).astype(np.float32) for number in range(9)}

    def sampled(order):
        sample = FrameSample(100, 3)
        for clip_id in order:
            sample.add(clips[clip_id], frame_keys(0, clip_id, 70))
        return sample.in_order()

    forward, backward = sampled(list(clips)), sampled(list(clips)[::-1])
    np.testing.assert_array_equal(forward[0], backward[0])
    halves = [sampled(list(clips)[:4]), sampled(list(clips)[4:])]
    frames, keys = (np.concatenate(parts) for parts in zip(*halves, strict=True))
    np.testing.assert_array_equal(frames[np.argsort(keys)][:100], forward[0])


def test_the_budget_bounds_the_sample():
    assert sample_capacity(39, 100, 1000, budget_mb=1000) == 100_000
    assert sample_capacity(768, 500, 1000, budget_mb=64) == 64 * 2**20 // (2 * 4 * 768)
    with pytest.raises(UserError, match="--kmeans_budget_mb 1 .* give at least 12"):
        sample_capacity(768, 2000, 1000, budget_mb=1)


def test_prepare_fits_once_and_then_loads(prepare, tmp_path, monkeypatch, capsys):
    labeller = prepare()
    assert "12 clusters of" in capsys.readouterr().out
    directory = tmp_path / "run" / "codebook"
    quality = json.loads((directory / "quality.json").read_text())["0-mfcc39"]
    assert 1 < quality["usage_perplexity"] <= 12 and quality["mean_run_frames"] >= 1
    assert not list(directory.glob("sample-*"))

    monkeypatch.setattr(label_fitting, "fit_codebook", None)  # fitting again would fail
    assert prepare().hashes == labeller.hashes
    with pytest.raises(UserError, match=r"other settings: seed 1 \(now 2\)"):
        prepare(seed=2)
    given = dataclasses.replace(LABELS, codebook=(str(directory / "0-mfcc39"),))
    assert prepare(given, "run2").hashes == labeller.hashes
    with pytest.raises(UserError, match="make them agree"):
        prepare(dataclasses.replace(given, num_clusters=(13,)), "run2")


def test_a_fit_killed_after_sampling_starts_from_its_sample(prepare, monkeypatch):
    expected = prepare(run="whole").hashes
    real_fit = label_fitting.fit_codebook

    def killed(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(label_fitting, "fit_codebook", killed)
    with pytest.raises(KeyboardInterrupt):
        prepare()
    monkeypatch.setattr(label_fitting, "fit_codebook", real_fit)
    monkeypatch.setattr(label_fitting, "sample_frames", None)  # sampling again would fail
    assert prepare().hashes == expected


def test_samples_of_two_processes_make_the_codebook_of_one(music, tmp_path):
    """Both ranks' samples are written by this process in turn; the merged frames are those of a single process."""
    features = [feature_recipe("mfcc39")]
    labels = dataclasses.replace(LABELS, kmeans_max_points_per_cluster=30)
    audio = label_fitting.TrainingAudio(parse_sources([str(music)]), "mean", seed=1)
    merged = {}
    for world_size in (1, 2):
        directory = tmp_path / str(world_size)
        for rank in range(world_size):
            process = type("Process", (), {"process_index": rank, "num_processes": world_size, "device": "cpu"})
            label_fitting._sample(labels, audio, features, {}, directory, process)
        merged[world_size] = label_fitting._merged_sample(audio, directory, 0, 360, world_size)
    np.testing.assert_array_equal(merged[1][0], merged[2][0])
    assert merged[1][1] == merged[2][1] > 360


def test_errors_name_the_mistake(prepare):
    with pytest.raises(LabelError, match="5000 clusters asked of"):
        prepare(dataclasses.replace(LABELS, num_clusters=(5000,)))
    with pytest.raises(LabelError, match="unknown acoustic feature 'mfcc40'"):
        prepare(dataclasses.replace(LABELS, label_features=("mfcc40",)))
    with pytest.raises(UserError, match="'layerX' names no layer"):
        prepare(dataclasses.replace(LABELS, label_features=("layerX",)))
    with pytest.raises(UserError, match="--channel_mode"):
        prepare(dataclasses.replace(LABELS, store_labels=True), channel_mode="random")


def test_audio_that_cannot_be_decoded_is_one_line_and_leaves_no_sample(tmp_path, accelerator):
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "damaged.wav").write_bytes(b"RIFF")
    sources = parse_sources([str(tmp_path / "music")])
    with pytest.raises(UserError, match="--train_data .*/music: none of the 1 clips can be read; `musicssl scan"):
        prepare_labeller(LABELS, sources, 1, "mean", tmp_path / "run", accelerator)
    assert not list(tmp_path.rglob("sample-*"))


def test_sampling_stops_after_the_seconds_asked_for():
    clips = ((str(number), np.zeros(16000, np.float32)) for number in range(100))
    (sample,) = sample_frames([feature_recipe("mfcc39")], clips, [10_000], seed=0, max_seconds=3)
    assert sample.seen == 3 * 98
