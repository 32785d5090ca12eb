"""Pictures of labels: features and labels over the audio, usage of codebooks, agreement with a truth.

Shapes: N samples of a clip, F frames, K clusters.
"""

from pathlib import Path
from typing import Any

import numpy as np

from musichubert.acoustic_features import LABEL_RATE_HZ, SAMPLE_RATE, FeatureRecipe
from musicssl.plotting import load_pyplot, save_figure


def plot_features(waveform: np.ndarray, recipes: list[FeatureRecipe], features: list[np.ndarray], path: Path) -> None:
    """The waveform (N,) and below it each feature (F, d) on the same time axis."""
    figure, axes = _below_waveform(waveform, len(recipes), 1.35)
    for axis, recipe, frames in zip(axes, recipes, features, strict=True):
        values = shown_values(recipe, frames)
        # Frame t is centred 12.5 ms after its first sample.
        left, right = 0.0125 - 0.5 / recipe.rate_hz, 0.0125 + (len(frames) - 0.5) / recipe.rate_hz
        low, high = np.percentile(values, [2, 99.8])
        axis.imshow(
            values.T, origin="lower", aspect="auto", extent=(left, right, -0.5, recipe.dimension - 0.5),
            vmin=low, vmax=max(high, low + 1e-6), interpolation="nearest", cmap="magma",
        )  # fmt: skip
        axis.set_ylabel(f"{recipe.name}\n{axis_unit(recipe)}")
        axis.grid(False)
    save_figure(figure, path)


def shown_values(recipe: FeatureRecipe, frames: np.ndarray) -> np.ndarray:
    """What a picture shows of a feature: MFCCs standardized per coefficient, constant-Q magnitudes in decibels."""
    if recipe.name.startswith("mfcc"):
        return (frames - frames.mean(0)) / (frames.std(0) + 1e-6)
    if recipe.name.startswith("cqt"):
        decibels = 20 * np.log10(np.maximum(frames, 1e-10))
        return np.maximum(decibels, decibels.max() - 60)
    return frames


def axis_unit(recipe: FeatureRecipe) -> str:
    for prefix, unit in (("mfcc", "coefficient"), ("logmel", "band"), ("chroma", "bin from C"), ("cqt", "bin")):
        if recipe.name.startswith(prefix):
            return unit
    return "value"


def plot_usage(quality: dict[str, dict], path: Path) -> None:
    """Usage perplexity and mean run length of each codebook, as bars."""
    pyplot = load_pyplot()
    names = list(quality)
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 1.2 + 0.3 * len(names)), sharey=True, layout="constrained")
    perplexities = [quality[name]["usage_perplexity"] for name in names]
    runs = [1000 * quality[name]["mean_run_frames"] / quality[name]["rate_hz"] for name in names]
    for axis, values, title in (
        (axes[0], perplexities, "usage perplexity (clusters)"),
        (axes[1], runs, "mean run (ms)"),
    ):
        bars = axis.barh(names, values, height=0.6)
        axis.bar_label(bars, [f"{value:.1f}" for value in values], padding=2)
        axis.set_title(title)
        axis.margins(x=0.15)
        axis.grid(axis="y", visible=False)
    axes[0].invert_yaxis()
    save_figure(figure, path)


def plot_agreement(rows: list[dict], path: Path) -> None:
    """Mutual information of each codebook's labels with each truth, as a share of the truth's entropy."""
    pyplot = load_pyplot()
    truths = list(dict.fromkeys(row["truth"] for row in rows))
    names = list(dict.fromkeys(row["codebook"] for row in rows))
    value = {(row["truth"], row["codebook"]): row["normalised_mutual_information"] for row in rows}
    figure, axis = pyplot.subplots(figsize=(2 + 1.8 * len(truths), 3), layout="constrained")
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        heights = [value[truth, name] for truth in truths]
        bars = axis.bar(np.arange(len(truths)) + (place - (len(names) - 1) / 2) * width, heights, width, label=name)
        axis.bar_label(bars, [f"{height:.2f}" for height in heights], padding=1, fontsize=6)
    axis.set_xticks(range(len(truths)), truths)
    axis.set_ylabel("mutual information / entropy of the truth")
    axis.grid(axis="x", visible=False)
    axis.legend(loc="upper left", bbox_to_anchor=(1, 1))
    save_figure(figure, path)


def plot_labels(waveform: np.ndarray, names: list[str], labels: np.ndarray, path: Path) -> None:
    """The waveform (N,) and below it the labels (C, T) of each codebook, one colour per run of equal labels."""
    figure, axes = _below_waveform(waveform, len(names), 0.9)
    for axis, name, row in zip(axes, names, labels, strict=True):
        time = 0.0125 + np.arange(len(row)) / LABEL_RATE_HZ
        axis.scatter(time, row, c=row, cmap="turbo", s=3, linewidths=0)
        axis.set_ylabel(f"{name}\ncluster")
    save_figure(figure, path)


def _below_waveform(waveform: np.ndarray, count: int, height: float) -> tuple[Any, Any]:
    """A figure of the waveform (N,), and `count` axes below it on the same time axis, `height` inches each."""
    figure, axes = load_pyplot().subplots(
        count + 1, 1, figsize=(9, 1 + height * count), sharex=True, layout="constrained",
        height_ratios=[0.7, *[height] * count],
    )  # fmt: skip
    # Peaks per pixel column, so that a long clip draws fast and shows every attack.
    columns = np.array_split(waveform, min(2000, len(waveform)))
    time = np.linspace(0, len(waveform) / SAMPLE_RATE, len(columns))
    axes[0].fill_between(time, [c.min() for c in columns], [c.max() for c in columns], linewidth=0)
    axes[0].set_ylabel("waveform")
    axes[-1].set_xlabel("seconds")
    axes[-1].set_xlim(0, len(waveform) / SAMPLE_RATE)
    return figure, axes[1:]
