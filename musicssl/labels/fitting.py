"""Codebooks for a run: sample frames of the training audio, cluster them, keep them.

Shapes: n frames, d feature values, K clusters, C codebooks.

    runs/NAME/codebook/
      0-mfcc39/codebook.safetensors, codebook.json     one folder per codebook
      quality.json                                     label quality on some of the audio
      request.json                                     the settings they were fitted with; written last
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.numpy import save_file

from musichubert.acoustic_features import SAMPLE_RATE, feature_recipe
from musicssl.audio.clips import iterate_clips
from musicssl.audio.sources import Source
from musicssl.errors import UserError
from musicssl.files import read_json, whole_file, write_json
from musicssl.flags import former_names
from musicssl.labels.codebook import Codebook, fit_codebook
from musicssl.labels.labeller import FeatureSource, Labeller, describe, source_of
from musicssl.labels.layer_features import LayerFeatures
from musicssl.labels.quality import label_quality
from musicssl.labels.sampling import sample_capacity, sample_frames
from musicssl.labels.settings import LabelConfig
from musicssl.labels.store import StoredLabeller, write_labels

FORMER_NAMES = former_names(LabelConfig)
QUALITY_SECONDS = 300.0  # audio that the quality report of a new codebook is computed on


@dataclass(frozen=True)
class TrainingAudio:
    """The audio that codebooks are fitted on, and how it is read."""

    sources: Sequence[Source]
    channel_mode: str
    seed: int

    def clips(self, rank: int = 0, world_size: int = 1) -> Iterator[tuple[str, np.ndarray]]:
        """(clip id, waveform (N,) float32 at 16 kHz) of one process's share, each clip once."""
        yield from iterate_clips(
            self.sources, SAMPLE_RATE, channel_mode=self.channel_mode, rank=rank, world_size=world_size
        )

    @property
    def names(self) -> list[str]:
        """The sources as the user named them."""
        return [source.given for source in self.sources]


def prepare_labeller(
    labels: LabelConfig, sources: Sequence[Source], seed: int, channel_mode: str, output_dir: Path,
    accelerator: Accelerator,
) -> Labeller:  # fmt: skip
    """The labels of a run, ready for `label_batch(batch, waveforms)`: fitted or loaded, and stored if asked to.

    Every process calls it. It continues where an interrupted call stopped.

    Args:
        sources: the training audio, opened.
        channel_mode: how stereo becomes mono.

    Raises:
        UserError, LabelError: settings, codebooks or stored labels that do not belong together.
    """
    if labels.store_labels and channel_mode == "random":
        raise UserError("--store_labels labels one mix of each clip: give --channel_mode mean or left with it")
    audio = TrainingAudio(sources, channel_mode, seed)
    labeller = _fit_or_load(labels, audio, output_dir / "codebook", accelerator)
    if not labels.store_labels:
        return labeller
    clips = audio.clips(accelerator.process_index, accelerator.num_processes)
    write_labels(labeller, clips, output_dir / "labels", accelerator)
    return StoredLabeller(labeller, output_dir / "labels")


def label_features(labels: LabelConfig) -> list[FeatureSource]:
    """The features named by --label_features, layers taken from --label_model."""
    return [_feature(name, labels.label_model) for name in labels.label_features]


def _feature(name: str, label_model: str | None) -> FeatureSource:
    if not name.startswith("layer"):
        return feature_recipe(name)
    layer = name.removeprefix("layer").strip()
    if not layer.isdigit():
        raise UserError(f"--label_features: '{name}' names no layer; write for example layer6")
    if label_model is None:
        raise UserError(f"--label_features {name}: give the checkpoint of that layer with --label_model DIR")
    return LayerFeatures.from_checkpoint(label_model, int(layer))


def _fit_or_load(labels: LabelConfig, audio: TrainingAudio, directory: Path, accelerator: Accelerator) -> Labeller:
    """Every process samples its share of the clips, the main process fits, all load."""
    if labels.codebook:
        codebooks = [Codebook.load(path) for path in labels.codebook]
        labeller = Labeller([source_of(codebook) for codebook in codebooks], codebooks, labels.auxiliary_features)
        _check_asked_for(labels, labeller)
        if accelerator.is_main_process:
            labeller.save(directory)
        return labeller.to(accelerator.device)
    if (directory / "request.json").is_file():
        labeller = Labeller.load(directory, labels.auxiliary_features)
        _check_request(_request(labels, audio, labeller.sources), directory)
        return labeller.to(accelerator.device)

    features = [feature.to(accelerator.device) for feature in label_features(labels)]
    request = _request(labels, audio, features)
    _sample(labels, audio, features, request, directory, accelerator)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        codebooks = _fit(labels, audio, features, directory, accelerator.num_processes)
        labeller = Labeller(features, codebooks).to(accelerator.device)
        labeller.save(directory)
        write_json(directory / "quality.json", label_quality(labeller, audio.clips(), QUALITY_SECONDS))
        write_json(directory / "request.json", request)
        for sample in directory.glob("sample-*"):
            sample.unlink()
    accelerator.wait_for_everyone()
    return Labeller.load(directory, labels.auxiliary_features).to(accelerator.device)


def _request(labels: LabelConfig, audio: TrainingAudio, features: list[FeatureSource]) -> dict[str, Any]:
    """All that decides what the codebooks become."""
    settings = {
        name: list(value) if isinstance(value, tuple) else value for name, value in labels.codebook_settings().items()
    }
    return {
        "label_features": [feature.name for feature in features],
        "feature_fingerprints": [feature.fingerprint for feature in features],
        "train_data": audio.names,
        "channel_mode": audio.channel_mode,
        "seed": audio.seed,
        **settings,
    }


def _check_request(asked: dict, directory: Path) -> None:
    found = read_json(directory / "request.json")
    # Files of version 0.1 have the earlier names of flags.
    found = {FORMER_NAMES.get(key, key): value for key, value in found.items()}
    changed = [f"{key} {found.get(key)} (now {asked[key]})" for key in asked if found.get(key) != asked[key]]
    if changed:
        raise UserError(
            f"{directory} holds codebooks fitted with other settings: {'; '.join(changed)}. "
            "Restore them, or give another --output_dir"
        )


def _check_asked_for(labels: LabelConfig, labeller: Labeller) -> None:
    """Codebooks given must be those that the other flags describe."""
    given = list(zip(labeller.label_features, labeller.num_clusters, strict=True))
    asked = list(zip(labels.label_features, labels.num_clusters, strict=True))
    if given != asked:
        raise UserError(
            f"--codebook gives (feature, clusters) {given}, but --label_features and --num_clusters say {asked}: "
            "make them agree"
        )


def _sample(
    labels: LabelConfig, audio: TrainingAudio, features: list[FeatureSource], request: dict, directory: Path,
    accelerator: Accelerator,
) -> None:  # fmt: skip
    """Write this process's sample; one that an interrupted run left is kept if the settings are the same."""
    rank, world_size = accelerator.process_index, accelerator.num_processes
    path = _sample_path(directory, rank, world_size)
    fingerprint = hashlib.sha256(json.dumps(request).encode()).hexdigest()
    if path.is_file():
        with safe_open(path, "numpy") as file:
            if file.metadata()["request"] == fingerprint:
                return
    samples = sample_frames(
        features,
        audio.clips(rank, world_size),
        _capacities(labels, features),
        audio.seed,
        accelerator.device,
        labels.label_statistics_seconds / world_size,
    )
    tensors = {}
    for number, sample in enumerate(samples):
        tensors[f"frames{number}"], tensors[f"keys{number}"] = sample.in_order()
        tensors[f"seen{number}"] = np.array([sample.seen])
    with whole_file(path) as partial:
        save_file(tensors, partial, metadata={"request": fingerprint})


def _capacities(labels: LabelConfig, features: list[FeatureSource]) -> list[int]:
    # All codebooks are sampled in one pass over the audio, so they share the budget.
    budget_mb = labels.kmeans_budget_mb // len(features)
    points = labels.kmeans_max_points_per_cluster
    return [
        sample_capacity(feature.dimension, clusters, points, budget_mb)
        for feature, clusters in zip(features, labels.num_clusters, strict=True)
    ]


def _fit(
    labels: LabelConfig, audio: TrainingAudio, features: list[FeatureSource], directory: Path, world_size: int
) -> list[Codebook]:
    codebooks = []
    for number, (feature, capacity) in enumerate(zip(features, _capacities(labels, features), strict=True)):
        frames, seen = _merged_sample(audio, directory, number, capacity, world_size)
        known = {
            **describe(feature),
            "num_frames_seen": seen,
            "frames_hash": hashlib.sha256(frames.data).hexdigest()[:16],
            "train_data": audio.names,
        }
        codebook = fit_codebook(frames, labels.num_clusters[number], audio.seed, labels.kmeans, known)
        described = codebook.metadata
        print(
            f"codebook {number}-{feature.name}: {codebook.num_clusters} clusters of {len(frames)} frames "
            f"(of {seen} seen), objective {described['objective']:.4g}, usage perplexity "
            f"{described['usage_perplexity']:.1f}, unused {described['unused_clusters']}"
        )
        codebooks.append(codebook)
    return codebooks


def _merged_sample(
    audio: TrainingAudio, directory: Path, number: int, capacity: int, world_size: int
) -> tuple[np.ndarray, int]:
    """The frames with the smallest keys of all processes, in the order of their keys; and how many were seen."""
    paths = [_sample_path(directory, rank, world_size) for rank in range(world_size)]
    files = [safe_open(path, "numpy") for path in paths]
    keys = [file.get_tensor(f"keys{number}") for file in files]
    seen = sum(int(file.get_tensor(f"seen{number}")[0]) for file in files)
    if not seen:
        for path in paths:  # else the next run would take them for the sample of the repaired audio
            path.unlink()
        named = " ".join(source.given for source in audio.sources)
        clips = sum(source.num_clips for source in audio.sources)
        raise UserError(
            f"--train_data {named}: none of the {clips} clips can be read; `musicssl scan {named}` says why"
        )
    order = np.argsort(np.concatenate(keys), kind="stable")[:capacity]
    # Each file is sorted by key, so what it gives is its beginning; no more than that is read.
    owner = np.repeat(np.arange(world_size), [len(k) for k in keys])[order]
    given = [int((owner == rank).sum()) for rank in range(world_size)]
    if world_size == 1:
        return files[0].get_slice(f"frames{number}")[: given[0]], seen
    frames = np.empty((len(order), files[0].get_slice(f"frames{number}").get_shape()[1]), np.float32)
    for rank, file in enumerate(files):
        frames[owner == rank] = file.get_slice(f"frames{number}")[: given[rank]]
    return frames, seen


def _sample_path(directory: Path, rank: int, world_size: int) -> Path:
    return directory / f"sample-{rank:05d}-of-{world_size:05d}.safetensors"
