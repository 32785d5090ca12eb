"""How much the labels of codebooks tell about a collection whose clips have known classes.

Shapes: N samples of a clip, F frames.
"""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch

from musichubert.acoustic_features import feature_recipe
from musicssl.labels.codebook import fit_codebook
from musicssl.labels.labeller import Labeller, describe, source_of
from musicssl.labels.quality import agreement, usage
from musicssl.labels.sampling import sample_capacity, sample_frames

FEWEST_FRAMES_PER_CLUSTER = 1000


def fit_labeller(
    features: Sequence[str], clips: Iterable[tuple[str, np.ndarray]], num_clusters: int, budget_mb: int, seed: int
) -> Labeller:
    """Fit one codebook per acoustic feature on clips (id, waveform (N,)).

    Args:
        budget_mb: memory for the sampled frames of all features together.
    """
    sources = [feature_recipe(name) for name in features]
    budget_mb //= len(sources)
    capacities = [
        sample_capacity(source.dimension, num_clusters, FEWEST_FRAMES_PER_CLUSTER, budget_mb) for source in sources
    ]
    samples = sample_frames(sources, clips, capacities, seed)
    codebooks = [
        fit_codebook(sample.in_order()[0], num_clusters, seed=seed, metadata=describe(source))
        for source, sample in zip(sources, samples, strict=True)
    ]
    return Labeller([source_of(codebook) for codebook in codebooks], codebooks)


def compare_with_classes(
    labeller: Labeller, clips: Iterable[tuple[str, np.ndarray]], classes: Mapping[str, Mapping[str, int]]
) -> tuple[list[dict], list[int]]:
    """`agreement` and `usage` of each codebook with each kind of class.

    Args:
        clips: (id, waveform (N,)).
        classes: name of a label column -> id of a clip -> its class.

    Returns:
        A row per column and codebook, and the number of frames of each clip.
    """
    sequences: list[list[np.ndarray]] = [[] for _ in labeller.sources]
    clip_ids, frames = [], []
    for clip_id, waveform in clips:
        labels = labeller(torch.from_numpy(waveform)[None])[0].numpy()
        clip_ids.append(clip_id)
        frames.append(labels.shape[1])
        for kept, row in zip(sequences, labels, strict=True):
            kept.append(row)

    rows = []
    for column, of_clip in classes.items():
        truth = np.repeat([of_clip[clip_id] for clip_id in clip_ids], frames)
        for number, source in enumerate(labeller.sources):
            told = agreement(np.concatenate(sequences[number]), truth)
            used = usage(sequences[number], labeller.num_clusters[number])
            rows.append({"codebook": f"{number}-{source.name}", "truth": column, **told, **used})
    return rows, frames
