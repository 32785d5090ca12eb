"""Codebooks for a run: sample frames of the training audio, cluster them, keep them.

Shapes: n frames, d feature values, K clusters, C codebooks.

    runs/NAME/codebook/
      0-mfcc39/codebook.safetensors, codebook.json     one folder per codebook
      quality.json                                     label quality on some of the audio
      request.json                                     the settings they were fitted with; written last
"""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from safetensors import safe_open
from safetensors.numpy import save_file

from musichubert.acoustic_features import feature_recipe
from musicssl.errors import UserError
from musicssl.labels.codebook import Codebook, fit_codebook
from musicssl.labels.labeller import FeatureSource, Labeller, describe, source_of
from musicssl.labels.layer_features import LayerFeatures
from musicssl.labels.quality import label_quality
from musicssl.labels.sampling import sample_capacity, sample_frames, training_clips
from musicssl.labels.store import StoredLabeller, write_labels
from musicssl.pretraining.config.arguments import Arguments

QUALITY_SECONDS = 300.0  # audio that the quality report of a new codebook is computed on


def prepare_labeller(arguments: Arguments, accelerator: Accelerator) -> Labeller | StoredLabeller:
    """The labels of a run, ready for `label_batch(batch, waveforms)`: fitted, loaded, and stored if so asked.

    Every process calls it. It picks up where an interrupted call stopped.

    Raises:
        UserError, LabelError: settings, codebooks or stored labels that do not belong together.
    """
    output_dir = Path(arguments.output_dir)
    if arguments.store_labels and arguments.channel_mode == "random":
        raise UserError("--store_labels labels one mix of each clip: give --channel_mode mean or left with it")
    labeller = _fit_or_load(arguments, output_dir / "codebook", accelerator)
    if not arguments.store_labels:
        return labeller
    clips = training_clips(arguments, accelerator.process_index, accelerator.num_processes)
    write_labels(labeller, clips, output_dir / "labels", accelerator)
    return StoredLabeller(labeller, output_dir / "labels")


def label_sources(arguments: Arguments) -> list[FeatureSource]:
    """The features named by --label_features, layers taken from --label_model."""
    sources = []
    for name in arguments.label_features:
        layer = name.removeprefix("layer").strip()
        if name.startswith("layer") and not layer.isdigit():
            raise UserError(f"--label_features: '{name}' names no layer; write for example layer6")
        is_layer = name.startswith("layer")
        sources.append(
            LayerFeatures.from_checkpoint(arguments.label_model, int(layer)) if is_layer else feature_recipe(name)
        )
    return sources


def _fit_or_load(arguments: Arguments, directory: Path, accelerator: Accelerator) -> Labeller:
    """Every process samples its share of the clips, the main process fits, all load."""
    if arguments.codebook:
        codebooks = [Codebook.load(path) for path in arguments.codebook]
        labeller = Labeller([source_of(codebook) for codebook in codebooks], codebooks, arguments.auxiliary_features)
        _check_asked_for(arguments, labeller)
        if accelerator.is_main_process:
            labeller.save(directory)
        return labeller.to(accelerator.device)
    if (directory / "request.json").is_file():
        labeller = Labeller.load(directory, arguments.auxiliary_features)
        _check_request(_request(arguments, labeller.sources), directory)
        return labeller.to(accelerator.device)

    sources = [source.to(accelerator.device) for source in label_sources(arguments)]
    request = _request(arguments, sources)
    _sample(arguments, sources, request, directory, accelerator)
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        codebooks = _fit(arguments, sources, directory, accelerator.num_processes)
        labeller = Labeller(sources, codebooks).to(accelerator.device)
        labeller.save(directory)
        _write_json(label_quality(labeller, training_clips(arguments), QUALITY_SECONDS), directory / "quality.json")
        _write_json(request, directory / "request.json")
        for sample in directory.glob("sample-*"):
            sample.unlink()
    accelerator.wait_for_everyone()
    return Labeller.load(directory, arguments.auxiliary_features).to(accelerator.device)


def _request(arguments: Arguments, sources: list[FeatureSource]) -> dict:
    """All that decides what the codebooks become."""
    return {
        "label_features": [source.name for source in sources],
        "feature_fingerprints": [source.fingerprint for source in sources],
        "num_clusters": list(arguments.num_clusters),
        "train_data": [str(source) for source in arguments.train_data],
        "channel_mode": arguments.channel_mode,
        "seed": arguments.seed,
        "kmeans_iterations": arguments.kmeans_iterations,
        "kmeans_restarts": arguments.kmeans_restarts,
        "kmeans_init": arguments.kmeans_init,
        "kmeans_standardise": arguments.kmeans_standardise,
        "kmeans_spherical": arguments.kmeans_spherical,
        "kmeans_max_points_per_cluster": arguments.kmeans_max_points_per_cluster,
        "kmeans_budget_mb": arguments.kmeans_budget_mb,
        "label_statistics_seconds": arguments.label_statistics_seconds,
    }


def _check_request(asked: dict, directory: Path) -> None:
    found = json.loads((directory / "request.json").read_text())
    changed = [f"{key} {found.get(key)} (now {asked[key]})" for key in asked if found.get(key) != asked[key]]
    if changed:
        raise UserError(
            f"{directory} holds codebooks fitted with other settings: {'; '.join(changed)}. "
            "Restore them, or give another --output_dir"
        )


def _check_asked_for(arguments: Arguments, labeller: Labeller) -> None:
    """Codebooks given must be those that the other flags describe."""
    given = list(zip(labeller.label_features, labeller.num_clusters, strict=True))
    asked = list(zip(arguments.label_features, arguments.num_clusters, strict=True))
    if given != asked:
        raise UserError(
            f"--codebook gives (feature, clusters) {given}, but --label_features and --num_clusters say {asked}: "
            "make them agree"
        )


def _sample(arguments: Arguments, sources: list, request: dict, directory: Path, accelerator: Accelerator) -> None:
    """Write this process's sample; one that an interrupted run left is kept if the settings are the same."""
    rank, world_size = accelerator.process_index, accelerator.num_processes
    directory.mkdir(parents=True, exist_ok=True)
    path = _sample_path(directory, rank, world_size)
    fingerprint = hashlib.sha256(json.dumps(request).encode()).hexdigest()
    if path.is_file():
        with safe_open(path, "numpy") as file:
            if file.metadata()["request"] == fingerprint:
                return
    samples = sample_frames(
        sources,
        training_clips(arguments, rank, world_size),
        _capacities(arguments, sources),
        arguments.seed,
        accelerator.device,
        arguments.label_statistics_seconds / world_size,
    )
    tensors = {}
    for number, sample in enumerate(samples):
        tensors[f"frames{number}"], tensors[f"keys{number}"] = sample.in_order()
        tensors[f"seen{number}"] = np.array([sample.seen])
    save_file(tensors, path.with_suffix(".aside"), metadata={"request": fingerprint})
    os.replace(path.with_suffix(".aside"), path)


def _capacities(arguments: Arguments, sources: list[FeatureSource]) -> list[int]:
    # All codebooks are sampled in one pass over the audio, so they share the budget.
    budget_mb = arguments.kmeans_budget_mb // len(sources)
    points = arguments.kmeans_max_points_per_cluster
    return [
        sample_capacity(source.dimension, clusters, points, budget_mb)
        for source, clusters in zip(sources, arguments.num_clusters, strict=True)
    ]


def _fit(arguments: Arguments, sources: list[FeatureSource], directory: Path, world_size: int) -> list[Codebook]:
    codebooks = []
    for number, (source, capacity) in enumerate(zip(sources, _capacities(arguments, sources), strict=True)):
        frames, seen = _merged_sample(directory, number, capacity, world_size)
        codebook = fit_codebook(
            frames,
            arguments.num_clusters[number],
            seed=arguments.seed,
            niter=arguments.kmeans_iterations,
            nredo=arguments.kmeans_restarts,
            init=arguments.kmeans_init,
            standardise=arguments.kmeans_standardise,
            spherical=arguments.kmeans_spherical,
            metadata={
                **describe(source),
                "num_frames_seen": seen,
                "frames_hash": hashlib.sha256(frames).hexdigest()[:16],
                "train_data": [str(source) for source in arguments.train_data],
            },
        )
        described = codebook.metadata
        print(
            f"codebook {number}-{source.name}: {codebook.num_clusters} clusters of {len(frames)} frames "
            f"(of {seen} seen), objective {described['objective']:.4g}, usage perplexity "
            f"{described['usage_perplexity']:.1f}, unused {described['unused_clusters']}"
        )
        codebooks.append(codebook)
    return codebooks


def _merged_sample(directory: Path, number: int, capacity: int, world_size: int) -> tuple[np.ndarray, int]:
    """The frames with the smallest keys of all processes, in the order of their keys; and how many were seen."""
    files = [safe_open(_sample_path(directory, rank, world_size), "numpy") for rank in range(world_size)]
    keys = [file.get_tensor(f"keys{number}") for file in files]
    seen = sum(int(file.get_tensor(f"seen{number}")[0]) for file in files)
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


def _write_json(content: dict, path: Path) -> None:
    aside = path.with_suffix(".aside")
    aside.write_text(json.dumps(content, indent=2) + "\n")
    os.replace(aside, path)
