"""Stored labels: for any crop those of the whole clip, restartable, and never those of another codebook."""

import json

import numpy as np
import pytest
import torch
from accelerate import Accelerator

from musichubert.acoustic_features import feature_recipe, num_frames
from musicssl.errors import UserError
from musicssl.labels.codebook import fit_codebook
from musicssl.labels.labeller import Labeller, at_label_rate, describe
from musicssl.labels.store import StoredLabeller, write_labels

FEATURES = ["mfcc39", "chroma24", "cqt84"]


@pytest.fixture(scope="module")
def clips() -> list[tuple[str, np.ndarray]]:
    generator = np.random.default_rng(0)
    lengths = [40000, 52345, 64001, 47999, 300]
    return [
        (f"clip-{n}", (generator.normal(size=length) * np.abs(np.sin(np.arange(length) / 900))).astype(np.float32))
        for n, length in enumerate(lengths)
    ]


@pytest.fixture(scope="module")
def labeller(clips) -> Labeller:
    return make_labeller(clips, seed=0)


def make_labeller(clips, seed) -> Labeller:
    codebooks = []
    for name in FEATURES:
        recipe = feature_recipe(name)
        frames = recipe.compute(torch.from_numpy(clips[0][1])[None])[0].numpy()
        codebooks.append(fit_codebook(frames, 8, seed=seed, metadata=describe(recipe)))
    return Labeller(FEATURES, codebooks)


@pytest.fixture(scope="module")
def accelerator() -> Accelerator:
    return Accelerator(cpu=True)


@pytest.fixture(scope="module")
def stored(labeller, clips, accelerator, tmp_path_factory) -> StoredLabeller:
    directory = tmp_path_factory.mktemp("labels")
    write_labels(labeller, clips, directory, accelerator, clips_per_shard=2)
    assert len(list(directory.glob("*.parquet"))) == 3
    return StoredLabeller(labeller, directory)


@pytest.mark.parametrize("start", [0, 320 * 7, 320 * 33, 160 * 9, 12345])
def test_labels_of_a_crop_are_the_crop_of_the_whole_clips_labels(stored, labeller, clips, start):
    samples = 24000
    clip_ids, waveforms = zip(*clips[:4], strict=True)
    crops = torch.stack([torch.from_numpy(w[start : start + samples]) for w in waveforms])
    batch = {"clip_id": list(clip_ids), "start_sample": torch.full((4,), start)}
    labels = stored.label_batch(batch, crops)
    assert labels.shape == (4, len(FEATURES), num_frames(samples))
    for clip, waveform in enumerate(waveforms):
        for codebook, track in enumerate(labeller.label_track(torch.from_numpy(waveform))):
            source = labeller.sources[codebook]
            first = round(start * source.rate_hz / 16000)
            whole = at_label_rate(source, track[first:], dim=0)
            assert torch.equal(labels[clip, codebook], whole[: labels.shape[2]])
    if start % 320 == 0:  # then they are also what the crop alone gives, beyond its edges
        alone = labeller(crops)
        for codebook, source in enumerate(labeller.sources):
            edge = int(np.ceil(source.edge_seconds * 50))
            assert torch.equal(labels[:, codebook, edge:-edge], alone[:, codebook, edge:-edge])


def test_the_last_possible_crop_has_labels(stored, clips):
    clip_id, waveform = clips[2]
    for samples in (16000, 16001, 20100):
        start = len(waveform) - samples
        batch = {"clip_id": [clip_id], "start_sample": torch.tensor([start])}
        labels = stored.label_batch(batch, torch.zeros(1, samples))
        assert labels.shape[2] == num_frames(samples)


def test_writing_continues_after_the_last_whole_shard(labeller, clips, accelerator, tmp_path):
    def killed_after_three():
        yield from clips[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_labels(labeller, killed_after_three(), tmp_path, accelerator, clips_per_shard=2)
    with pytest.raises(UserError, match="no complete labels"):
        StoredLabeller(labeller, tmp_path)
    first = (tmp_path / "labels-00000-00000.parquet").stat().st_mtime_ns
    write_labels(labeller, clips, tmp_path, accelerator, clips_per_shard=2)
    assert (tmp_path / "labels-00000-00000.parquet").stat().st_mtime_ns == first
    assert json.loads((tmp_path / "labels.json").read_text())["num_clips"] == len(clips)
    assert set(StoredLabeller(labeller, tmp_path).place) == {clip_id for clip_id, _ in clips}
    write_labels(labeller, iter(()), tmp_path, accelerator)  # nothing left to do


def test_mismatches_are_errors(stored, labeller, clips, accelerator):
    directory = stored.directory
    other = make_labeller(clips, seed=1)
    with pytest.raises(UserError, match="holds labels of the codebooks"):
        StoredLabeller(other, directory)
    with pytest.raises(UserError, match="holds labels of the codebooks"):
        write_labels(other, clips, directory, accelerator)
    with pytest.raises(UserError, match="no labels of clip stranger"):
        stored.crop("stranger", 0, 10)
    with pytest.raises(UserError, match="the audio changed"):
        stored.crop("clip-0", 32000, 100)


def test_two_clips_of_one_name_are_refused(labeller, clips, accelerator, tmp_path):
    with pytest.raises(UserError, match="two clips of --train_data that are called clip-0"):
        write_labels(labeller, [*clips, clips[0]], tmp_path, accelerator)


def test_held_out_clips_are_labelled_on_the_fly(stored, labeller):
    assert stored.on_the_fly is labeller
    assert labeller.on_the_fly is labeller
