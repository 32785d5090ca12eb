"""The quality of labels: how many clusters are used, how long labels last, and, where frames have a true class (pitch,
chord, beat), how much information the labels carry about it.

Shapes: F frames of a clip, n frames of all clips, K clusters.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch

from musichubert.acoustic_features import SAMPLE_RATE
from musicssl.labels.codebook import perplexity
from musicssl.labels.labeller import Labeller
from musicssl.tables import Table


def usage(sequences: Sequence[np.ndarray], num_clusters: int) -> dict[str, float]:
    """Usage perplexity (1 to K) and mean run length (frames) of label sequences (F,), one per clip."""
    counts = np.bincount(np.concatenate(sequences), minlength=num_clusters)
    runs = sum(1 + int((labels[1:] != labels[:-1]).sum()) for labels in sequences)
    return {
        "num_frames": int(counts.sum()),
        "usage_perplexity": perplexity(counts),
        "used_clusters": int((counts > 0).sum()),
        "mean_run_frames": float(counts.sum() / runs),
    }


def agreement(labels: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """How much information frame labels (n,) carry about the truth (n,); both are integers.

    Returns:
        mutual_information (nats), normalised_mutual_information (its share of the truth's entropy),
        class_purity (share of frames whose class is the most common one of their cluster, HuBERT's phone purity) and
        cluster_purity (the same with labels and truth exchanged).
    """
    table = np.zeros((labels.max() + 1, truth.max() + 1))
    np.add.at(table, (labels, truth), 1)
    joint = table / table.sum()
    of_label, of_truth = joint.sum(axis=1, keepdims=True), joint.sum(axis=0, keepdims=True)
    some = joint > 0
    information = float((joint[some] * np.log(joint[some] / (of_label @ of_truth)[some])).sum())
    entropy = float(-(of_truth[of_truth > 0] * np.log(of_truth[of_truth > 0])).sum())
    return {
        "mutual_information": information,
        "normalised_mutual_information": information / entropy if entropy > 0 else 0.0,
        "class_purity": float(joint.max(axis=1).sum()),
        "cluster_purity": float(joint.max(axis=0).sum()),
    }


def label_quality(labeller: Labeller, clips: Iterable[tuple[str, np.ndarray]], max_seconds: float) -> dict[str, dict]:
    """`usage` of every codebook on the first `max_seconds` of audio: {'0-mfcc39': {...}, ...}."""
    sequences: list[list[np.ndarray]] = [[] for _ in labeller.codebooks]
    seconds = 0.0
    for _, waveform in clips:
        if seconds >= max_seconds:
            break
        seconds += len(waveform) / SAMPLE_RATE
        for kept, labels in zip(
            sequences, labeller.label_track(torch.from_numpy(waveform).to(labeller.device)), strict=True
        ):
            if len(labels):
                kept.append(labels.cpu().numpy())
    return {
        f"{number}-{source.name}": usage(sequences[number], labeller.num_clusters[number])
        | {"rate_hz": source.rate_hz}
        for number, source in enumerate(labeller.sources)
        if sequences[number]
    }


def usage_table(quality: dict[str, dict]) -> str:
    """The numbers of `label_quality` as text."""
    header = ("codebook", "perplexity", "used clusters", "mean run")
    rows = [
        (
            name,
            f"{values['usage_perplexity']:.1f}",
            values["used_clusters"],
            f"{1000 * values['mean_run_frames'] / values['rate_hz']:.0f} ms",
        )
        for name, values in quality.items()
    ]
    return Table(header, rows).text()


def agreement_table(rows: list[dict]) -> str:
    """Rows of `agreement`, each with its codebook and truth, as text."""
    header = ("codebook", "truth", "MI (nats)", "of entropy", "class purity", "cluster purity")
    keys = ("mutual_information", "normalised_mutual_information", "class_purity", "cluster_purity")
    cells = [(row["codebook"], row["truth"], *(f"{row[key]:.3f}" for key in keys)) for row in rows]
    return Table(header, cells).text()
